//! Owns the table of routes: which path takes which method, which parameters, which body.

use crate::model::MAX_TRANSACTION_BYTES;

/// What a request is for; also the index of its route in `ROUTES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    GetRow,
    PutRow,
    PatchRow,
    DeleteRow,
    InsertV0,
    UpdateV0,
    DeleteV0,
    SearchV0,
    CreateTableV0,
    Rows,
    UpdateRows,
    DeleteRows,
    Transaction,
    Import,
    Export,
    Sql,
    ListTables,
    CreateTable,
    DescribeTable,
    DropTable,
    AlterTable,
    CreateIndex,
    DropIndex,
    Status,
    Nodes,
    Verify,
    Livez,
    Readyz,
    Version,
    Metrics,
    OpenApi,
    Root,
    Peer,
}

/// Which body a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// None; what comes is not looked at.
    Nothing,
    /// JSON.
    Json,
    /// JSON, also under the content type that `curl -d` says, as users of the first version do.
    JsonOrForm,
    /// Lines of rows, read by the handler as they arrive.
    Lines,
}

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    /// What it is for.
    pub(super) endpoint: Endpoint,
    /// Its method; `GET` stands for `HEAD` too.
    pub(super) method: &'static str,
    /// Its path; `{…}` stands for any one segment.
    pub(super) path: &'static str,
    /// Its own parameters.
    pub(super) params: &'static [&'static str],
    /// Its body.
    pub(super) body: BodyKind,
}

const ROW: &str = "/v1/tables/{table}/rows/{id}";
const ROWS: &str = "/v1/tables/{table}/rows";
const CHANGE_PARAMS: &[&str] = &["filter", "all", "dry_run"];
const IMPORT: &str = "/v1/tables/{table}/import";
const IMPORT_PARAMS: &[&str] = &["format", "on_conflict", "id", "generate_ids", "max_errors", "first_line", "dry_run"];
const TABLE: &str = "/v1/tables/{table}";

const fn get(endpoint: Endpoint, path: &'static str, params: &'static [&'static str]) -> Route {
    Route { endpoint, method: "GET", path, params, body: BodyKind::Nothing }
}

const fn write(endpoint: Endpoint, method: &'static str, path: &'static str, body: BodyKind) -> Route {
    Route { endpoint, method, path, params: &[], body }
}

/// Every route, the busiest first; in the order of `Endpoint`.
pub(super) static ROUTES: [Route; 33] = [
    get(Endpoint::GetRow, ROW, &[]),
    write(Endpoint::PutRow, "PUT", ROW, BodyKind::Json),
    write(Endpoint::PatchRow, "PATCH", ROW, BodyKind::Json),
    write(Endpoint::DeleteRow, "DELETE", ROW, BodyKind::Nothing),
    write(Endpoint::InsertV0, "POST", "/insert", BodyKind::JsonOrForm),
    write(Endpoint::UpdateV0, "POST", "/update", BodyKind::JsonOrForm),
    write(Endpoint::DeleteV0, "POST", "/delete", BodyKind::JsonOrForm),
    get(Endpoint::SearchV0, "/search", &["table", "column", "value"]),
    write(Endpoint::CreateTableV0, "POST", "/create_table", BodyKind::JsonOrForm),
    get(Endpoint::Rows, ROWS, &["filter", "columns", "order", "limit", "cursor", "explain", "count"]),
    Route { params: CHANGE_PARAMS, ..write(Endpoint::UpdateRows, "PATCH", ROWS, BodyKind::Json) },
    Route { params: CHANGE_PARAMS, ..write(Endpoint::DeleteRows, "DELETE", ROWS, BodyKind::Nothing) },
    Route { params: &["dry_run"], ..write(Endpoint::Transaction, "POST", "/v1/transactions", BodyKind::Json) },
    Route { params: IMPORT_PARAMS, ..write(Endpoint::Import, "POST", IMPORT, BodyKind::Lines) },
    get(Endpoint::Export, "/v1/tables/{table}/export", &["format", "filter"]),
    Route { params: &["format"], ..write(Endpoint::Sql, "POST", "/v1/sql", BodyKind::Json) },
    get(Endpoint::ListTables, "/v1/tables", &[]),
    write(Endpoint::CreateTable, "POST", "/v1/tables", BodyKind::Json),
    get(Endpoint::DescribeTable, TABLE, &[]),
    write(Endpoint::DropTable, "DELETE", TABLE, BodyKind::Nothing),
    write(Endpoint::AlterTable, "PATCH", TABLE, BodyKind::Json),
    write(Endpoint::CreateIndex, "POST", "/v1/tables/{table}/indexes", BodyKind::Json),
    write(Endpoint::DropIndex, "DELETE", "/v1/tables/{table}/indexes/{index}", BodyKind::Nothing),
    get(Endpoint::Status, "/v1/status", &[]),
    get(Endpoint::Nodes, "/v1/nodes", &[]),
    write(Endpoint::Verify, "POST", "/v1/verify", BodyKind::Nothing),
    get(Endpoint::Livez, "/livez", &["verbose"]),
    get(Endpoint::Readyz, "/readyz", &["verbose"]),
    get(Endpoint::Version, "/version", &[]),
    get(Endpoint::Metrics, "/metrics", &[]),
    get(Endpoint::OpenApi, "/openapi.json", &[]),
    get(Endpoint::Root, "/", &[]),
    get(Endpoint::Peer, "/peer", &[]),
];

impl Route {
    /// Whether its answer tells what became of a write.
    pub(super) fn is_write(&self) -> bool {
        self.method != "GET" && !matches!(self.endpoint, Endpoint::Verify | Endpoint::Sql)
    }

    /// How many names its path has: a table, then a row id.
    pub(super) fn names(&self) -> usize {
        self.path.bytes().filter(|byte| *byte == b'{').count()
    }

    /// The most bytes of its body; other bodies have the limit of the front door.
    pub(super) fn body_limit(&self) -> Option<usize> {
        (self.endpoint == Endpoint::Transaction).then_some(MAX_TRANSACTION_BYTES)
    }

    /// Whether it is answered whatever the load: peers and probes.
    pub(super) fn is_vital(&self) -> bool {
        matches!(self.endpoint, Endpoint::Peer | Endpoint::Livez | Endpoint::Readyz | Endpoint::Metrics)
    }
}

/// What was found under a path.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A route, and the undecoded segments that stand for its `{…}`: a table, a row id.
    Route(&'static Route, [&'a str; 2]),
    /// The path takes only these methods.
    Allow(String),
    /// There is no such path.
    Nothing,
}

/// Finds the route of a request.
pub(super) fn find<'a>(method: &str, path: &'a str) -> Found<'a> {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut allow: Vec<&str> = Vec::new();
    for route in &ROUTES {
        let Some(names) = fit(route.path, path) else { continue };
        if route.method == method {
            return Found::Route(route, names);
        }
        allow.push(route.method);
        if route.method == "GET" {
            allow.push("HEAD");
        }
    }
    if allow.is_empty() { Found::Nothing } else { Found::Allow(allow.join(", ")) }
}

/// The segments of `path` that stand for the `{…}` of `pattern`, if it fits.
fn fit<'a>(pattern: &str, path: &'a str) -> Option<[&'a str; 2]> {
    let mut names = [""; 2];
    let mut known = 0;
    let (mut wanted, mut given) = (Some(pattern), Some(path));
    while let (Some(pattern), Some(path)) = (wanted, given) {
        let ((want, patterns), (segment, paths)) = (split(pattern), split(path));
        if want.starts_with('{') {
            names[known] = segment;
            known += 1;
        } else if want != segment {
            return None;
        }
        (wanted, given) = (patterns, paths);
    }
    (wanted.is_none() && given.is_none()).then_some(names)
}

/// The first segment, and what is behind it. Segments are short: to look at each byte is quicker than what searches long texts.
fn split(path: &str) -> (&str, Option<&str>) {
    match path.bytes().position(|byte| byte == b'/') {
        Some(end) => (&path[..end], Some(&path[end + 1..])),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_the_index_of_its_route() {
        for (index, route) in ROUTES.iter().enumerate() {
            assert_eq!(route.endpoint as usize, index, "{route:?}");
            assert!(matches!(find(route.method, route.path), Found::Route(found, _) if std::ptr::eq(found, route)));
        }
    }

    #[test]
    fn names_are_taken_from_the_path_undecoded() {
        let Found::Route(route, names) = find("PUT", "/v1/tables/t/rows/a%2Fb") else { panic!("not found") };
        assert_eq!((route.endpoint, names), (Endpoint::PutRow, ["t", "a%2Fb"]));
        let Found::Route(route, names) = find("HEAD", "/v1/tables/t/rows") else { panic!("not found") };
        assert_eq!((route.endpoint, names), (Endpoint::Rows, ["t", ""]));
    }

    #[test]
    fn another_method_is_told_what_the_path_takes() {
        for (method, path, wanted) in [
            ("POST", "/v1/tables/t/rows/1", "GET, HEAD, PUT, PATCH, DELETE"),
            ("GET", "/insert", "POST"),
            ("PUT", "/v1/tables", "GET, HEAD, POST"),
            ("get", "/", "GET, HEAD"),
            ("BREW", "/peer", "GET, HEAD"),
        ] {
            assert!(matches!(find(method, path), Found::Allow(allow) if allow == wanted), "{method} {path}");
        }
    }

    #[test]
    fn only_whole_paths_are_found() {
        for path in ["", "*", "//", "/insert/", "/v1", "/v1/tables/t/rows/1/2", "/V1/tables", "/v1/tables/t/row"] {
            assert!(matches!(find("GET", path), Found::Nothing), "{path}");
        }
    }
}
