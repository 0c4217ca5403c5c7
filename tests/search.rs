//! Search over HTTP and from the command line: filters, order, cursors, what is read to answer.

mod harness;

use harness::Cluster;
use serde_json::{Value, json};

/// One node with a table `t` of these columns and rows.
async fn table(columns: Value, rows: &[(&str, Value)]) -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.post(1, "/create_table", json!({"table_name": "t", "columns": columns})).await.expect(201);
    for (id, data) in rows {
        put(&cluster, id, data.clone()).await;
    }
    cluster
}

async fn put(cluster: &Cluster, id: &str, data: Value) {
    let path = format!("/v1/tables/t/rows/{id}");
    let answer = cluster.request(1, "PUT", &path, Some(json!({"data": data}))).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
}

async fn page(cluster: &Cluster, query: &str) -> Value {
    cluster.get(1, &format!("/v1/tables/t/rows?{query}")).await.expect(200).json
}

/// The ids of the rows of a page, with spaces between them.
fn ids(page: &Value) -> String {
    let id = |row: &Value| row["row_id"].as_str().map_or_else(|| row["row_id"].to_string(), String::from);
    page["rows"].as_array().expect("rows").iter().map(id).collect::<Vec<_>>().join(" ")
}

/// Runs `ddb search t …` and requires an exit code; answers stdout and stderr.
#[track_caller]
fn search(cluster: &Cluster, words: &str, code: i32) -> (String, String) {
    let args: Vec<&str> = ["search", "t"].into_iter().chain(words.split(' ')).collect();
    let output = cluster.ddb(&args).output().expect("ddb runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{words}\n{out}\n{err}");
    (out, err)
}

async fn people() -> Cluster {
    let columns = json!(["id:int", "name:text", "age:int", "height:float", "born:timestamp", "note", "member:bool"]);
    let rows = [
        (
            "1",
            json!({"name": "Ahmed", "age": 9, "height": 1.2, "born": "2015-01-01T00:00:00Z", "note": "10", "member": true}),
        ),
        (
            "2",
            json!({"name": "Sara", "age": 30, "height": 1.75, "born": "1994-06-01T01:00:00+02:00", "note": 9, "member": false}),
        ),
        (
            "3",
            json!({"name": "Ahlam", "age": 30, "height": 1.6, "born": "1994-05-31T23:30:00Z", "note": "n/a", "member": true}),
        ),
        ("4", json!({"name": "Omar, Jr.", "age": null, "height": null, "note": true})),
        (
            "5",
            json!({"name": "Élan", "age": 101, "height": 2, "born": "1923-01-01T00:00:00Z", "note": 10.5, "member": false}),
        ),
    ];
    table(columns, &rows).await
}

#[tokio::test]
async fn filters_find_the_same_over_http_and_from_the_shell() {
    let cluster = people().await;
    for (filters, wanted) in [
        ("age=30", "2 3"),
        ("age!=30", "1 5"),
        ("age.gt=30", "5"),
        ("age.ge=30", "2 3 5"),
        ("age.lt=30", "1"),
        ("age.le=30", "1 2 3"),
        ("age.gt=8.5 age.lt=30.5", "1 2 3"),
        ("age.in=9,101", "1 5"),
        ("age.null=true", "4"),
        ("age.null=false member=true", "1 3"),
        ("height.ge=1.75", "2 5"),
        ("name.prefix=Ah", "1 3"),
        ("name.contains=a", "2 3 4 5"),
        ("name.contains=,", "4"),
        ("name.gt=Sara", "5"),
        ("born.ge=1994-06-01T00:00:00%2B01:00", "1 2 3"),
        ("born.lt=1994-05-31T23:30:00Z", "2 5"),
        ("born.prefix=1994-", "2 3"),
        ("note.gt=9", "1 3 4 5"),
        ("note.le=10", "1 2"),
        ("note=10.0", "1"),
        ("note=true", "4"),
        ("member!=true", "2 5"),
        ("id.gt=1 id.le=4 age=30", "2 3"),
        ("row_id.in=5,1,7", "1 5"),
        ("name=nobody", ""),
    ] {
        let query = filters.split(' ').map(|filter| format!("filter={filter}")).collect::<Vec<_>>().join("&");
        assert_eq!(ids(&page(&cluster, &query).await), wanted, "{filters}");
        let shell = search(&cluster, &format!("{} --keys-only", filters.replace("%2B", "+")), 0).0;
        assert_eq!(shell.split_whitespace().collect::<Vec<_>>().join(" "), wanted, "{filters}");
    }
    assert_eq!(search(&cluster, "age.gt=29 --count", 0).0.trim(), "3");
}

#[tokio::test]
async fn a_filter_that_cannot_be_meant_is_refused_with_the_reason() {
    let cluster = people().await;
    for (filter, status, code, exit, said) in [
        (
            "age=young",
            422,
            "type_mismatch",
            8,
            "\"young\" cannot be compared with column \"age\" of table \"t\", which is int",
        ),
        ("age.in=1,", 422, "type_mismatch", 8, "which is int"),
        ("born.gt=1994", 422, "type_mismatch", 8, "which is timestamp"),
        ("height=NaN", 422, "type_mismatch", 8, "which is float"),
        ("id.lt=x", 422, "type_mismatch", 8, "\"id\""),
        ("member=1", 422, "type_mismatch", 8, "which is bool"),
        ("age.prefix=1", 400, "bad_filter", 2, "\".prefix\" compares text"),
        ("age.null=yes", 400, "bad_filter", 2, "\"yes\""),
        ("age.near=1", 400, "bad_filter", 2, "\".near\""),
        ("aeg=1", 422, "unknown_column", 8, "\"aeg\""),
    ] {
        let answer = cluster.get(1, &format!("/v1/tables/t/rows?filter={filter}")).await.expect(status);
        assert_eq!(answer.code(), code, "{filter}");
        assert!(answer.text.contains(&said.replace('"', "\\\"")), "{filter}: {}", answer.text);
        let (out, err) = search(&cluster, filter, exit);
        assert!(out.is_empty() && err.starts_with("error: ") && err.contains(said), "{filter}: {err}");
    }
    search(&cluster, "age.gt=200 --fail-empty", 4);
    // The first version's search is held to the same.
    assert_eq!(cluster.get(1, "/search?table=t&column=age&value=young").await.expect(422).code(), "type_mismatch");
}

#[tokio::test]
async fn rows_come_in_the_order_asked_for() {
    let cluster = people().await;
    for (order, wanted) in [
        ("age", "1 2 3 5 4"),
        ("-age", "5 2 3 1 4"),
        ("-age,-id", "5 3 2 1 4"),
        ("age,-height", "1 2 3 5 4"),
        ("age,height", "1 3 2 5 4"),
        ("born", "5 2 3 1 4"),
        ("name", "3 1 4 2 5"),
        ("note", "2 1 5 3 4"),
        ("member,name", "2 5 3 1 4"),
        ("row_id", "1 2 3 4 5"),
        ("-id", "5 4 3 2 1"),
    ] {
        assert_eq!(ids(&page(&cluster, &format!("order={order}")).await), wanted, "{order}");
        let shell = search(&cluster, &format!("--order {order} --keys-only"), 0).0;
        assert_eq!(shell.split_whitespace().collect::<Vec<_>>().join(" "), wanted, "{order}");
    }
    assert_eq!(
        search(&cluster, "age.null=false --order -age --limit 2 --columns name,age -o csv", 0).0,
        "name,age\nÉlan,101\nSara,30\n"
    );
    for (query, status, code) in [
        ("order=", 400, "bad_request"),
        ("order=age,-age", 400, "bad_request"),
        ("order=aeg", 422, "unknown_column"),
        ("explain=perhaps", 400, "bad_request"),
    ] {
        assert_eq!(cluster.get(1, &format!("/v1/tables/t/rows?{query}")).await.expect(status).code(), code, "{query}");
    }
    search(&cluster, "--order aeg", 8);
    search(&cluster, "--order age,age", 2);
}

#[tokio::test]
async fn a_cursor_goes_with_its_own_order_only() {
    let cluster = people().await;
    let by_age = page(&cluster, "order=-age&limit=2").await;
    assert_eq!(ids(&by_age), "5 2");
    let cursor = by_age["cursor"].as_str().expect("a cursor");
    let next = page(&cluster, &format!("order=-age&limit=3&cursor={cursor}")).await;
    assert_eq!((ids(&next).as_str(), &next["cursor"]), ("3 1 4", &Value::Null));
    let by_id = page(&cluster, "limit=2").await;
    for query in [
        format!("order=age&cursor={cursor}"),
        format!("cursor={cursor}"),
        format!("order=-age&cursor={}", by_id["cursor"].as_str().expect("a cursor")),
    ] {
        let refused = cluster.get(1, &format!("/v1/tables/t/rows?{query}")).await.expect(400);
        assert!(refused.text.contains("belongs to another order"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_cursor_of_the_widest_order_fits_into_a_request() {
    let columns: Vec<String> = (0..8).map(|n| format!("c{n}:text")).collect();
    let cluster = table(json!(columns), &[]).await;
    let long = "é\u{10ffff}".repeat(1_000);
    let data: serde_json::Map<String, Value> = (0..8).map(|n| (format!("c{n}"), json!(long))).collect();
    let wide = |n: u32| format!("{n}{}", "%C3%A9".repeat(250));
    for n in 0..3 {
        put(&cluster, &wide(n), json!(data)).await;
    }
    let order = "order=c0,-c1,c2,-c3,c4,-c5,c6,-c7&limit=1&columns=c0";
    let (mut seen, mut cursor) = (String::new(), String::new());
    loop {
        let page = page(&cluster, &format!("{order}{cursor}")).await;
        seen.push_str(&ids(&page)[..1]);
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, "012");
}

#[tokio::test]
async fn a_walk_in_order_neither_skips_nor_repeats_rows_that_stay() {
    let cluster = table(json!(["id:int", "n:int", "keep:bool"]), &[]).await;
    // Many rows are equal in `n`, some have none.
    let number = |id: u64| if id.is_multiple_of(10) { Value::Null } else { json!(id % 7) };
    for id in 0..120 {
        put(&cluster, &(id * 2).to_string(), json!({"n": number(id), "keep": true})).await;
    }
    for falling in [false, true] {
        let mut wanted: Vec<u64> = (0..120).collect();
        wanted.sort_by_key(|id| {
            let n = number(*id).as_i64().map_or(i64::MAX, |n| if falling { -n } else { n });
            (n, *id)
        });
        let order = if falling { "-n" } else { "n" };
        let (mut seen, mut cursor, mut round) = (Vec::new(), String::new(), 0);
        loop {
            let page = page(&cluster, &format!("order={order}&filter=keep=true&limit=11{cursor}")).await;
            seen.extend(
                page["rows"].as_array().expect("rows").iter().map(|row| row["row_id"].as_u64().expect("an id") / 2),
            );
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            // Odd ids come with every value and go, all about the place where the walk is.
            for n in 0..7 {
                put(&cluster, &(round * 14 + n * 2 + 1).to_string(), json!({"n": n, "keep": false})).await;
            }
            cluster.request(1, "DELETE", &format!("/v1/tables/t/rows/{}", round * 14 + 1), None).await.expect(200);
            round += 1;
        }
        assert_eq!(seen, wanted, "{order}");
        assert_eq!(round, 10);
    }
}

#[tokio::test]
async fn a_search_by_row_id_reads_no_more_than_it_must_and_says_so() {
    let rows: Vec<(String, Value)> = (0..50).map(|n| (format!("k{n:02}"), json!({"n": n}))).collect();
    let rows: Vec<(&str, Value)> = rows.iter().map(|(id, data)| (id.as_str(), data.clone())).collect();
    let cluster = table(json!(["n:int"]), &rows).await;
    for (query, shell, access, sorted, examined, returned) in [
        ("filter=row_id=k07", "row_id=k07", "point", false, 1, 1),
        ("filter=row_id.in=k07,x,k01&filter=n.gt=5", "row_id.in=k07,x,k01 n.gt=5", "point", false, 2, 1),
        ("filter=row_id=k07&filter=row_id=k08", "row_id=k07 row_id=k08", "point", false, 0, 0),
        ("filter=row_id.prefix=k1", "row_id.prefix=k1", "range", false, 10, 10),
        (
            "filter=row_id.ge=k10&filter=row_id.lt=k20&filter=n=15",
            "row_id.ge=k10 row_id.lt=k20 n=15",
            "range",
            false,
            10,
            1,
        ),
        ("filter=row_id.gt=k47", "row_id.gt=k47", "range", false, 2, 2),
        ("filter=row_id.gt=k20&filter=row_id.lt=k10", "row_id.gt=k20 row_id.lt=k10", "range", false, 0, 0),
        ("filter=n=7", "n=7", "scan", false, 50, 1),
        ("limit=3", "--limit 3", "scan", false, 4, 3),
        ("order=-n&limit=3", "--order -n --limit 3", "scan", true, 50, 3),
        (
            "order=-row_id&filter=row_id.prefix=k4&limit=3",
            "row_id.prefix=k4 --order -row_id --limit 3",
            "range",
            false,
            4,
            3,
        ),
    ] {
        let wanted = json!({"access": access, "sorted": sorted, "rows_examined": examined, "rows_returned": returned});
        let page = page(&cluster, &format!("{query}&explain=1")).await;
        assert_eq!((&page["explain"], &page["count"]), (&wanted, &json!(returned)), "{query}");
        let shown: Value = serde_json::from_str(&search(&cluster, &format!("{shell} --explain -o json"), 0).0).unwrap();
        assert_eq!(shown, wanted, "{shell}");
    }
    assert_eq!(page(&cluster, "limit=1").await.get("explain"), None);
    let after = page(&cluster, "filter=row_id.prefix=k1&limit=4").await;
    let rest =
        page(&cluster, &format!("filter=row_id.prefix=k1&cursor={}&explain=1", after["cursor"].as_str().unwrap()))
            .await;
    assert_eq!((ids(&rest).as_str(), &rest["explain"]["rows_examined"]), ("k14 k15 k16 k17 k18 k19", &json!(6)));
    search(&cluster, "--explain --count", 2);
}
