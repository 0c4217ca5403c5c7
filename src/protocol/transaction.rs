//! Owns transactions in JSON, both directions: the body, its lines in a file, and the answer.

use serde::Deserialize;
use serde::de::Deserializer;

use super::RowObject;
use super::cells::{Columns, Exact, RowId};
use super::json::{read_line, read_object, write_number, write_text, write_value};
use super::request::{join, write_cells};
use crate::model::{
    Check, Code, Did, Done, Failure, Filter, Operation, Part, PutMode, ReadRow, Value, Write, check_name, check_row_id,
    check_transaction,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    conditions: Vec<ConditionBody>,
    operations: Vec<OperationBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionBody {
    table: String,
    row_id: RowId,
    exists: Option<bool>,
    revision: Option<u64>,
    filter: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OperationBody {
    Insert(PutBody),
    Replace(PutBody),
    Update(PutBody),
    Delete(DeleteBody),
    Get(GetBody),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LineBody {
    If(ConditionBody),
    Insert(PutBody),
    Replace(PutBody),
    Update(PutBody),
    Delete(DeleteBody),
    Get(GetBody),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutBody {
    table: String,
    row_id: RowId,
    data: Option<Columns<Exact>>,
    text: Option<Columns<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody {
    table: String,
    row_id: RowId,
    #[serde(default)]
    if_exists: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetBody {
    table: String,
    row_id: RowId,
}

/// One line of a file of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// What must hold.
    Check(Check),
    /// What is done.
    Operation(Operation),
}

/// `POST /v1/transactions`: `{"conditions":[{"table","row_id","exists"?,"revision"?,"filter":[…]?}…]?,
/// "operations":[{"insert"|"replace"|"update"|"delete"|"get":{"table","row_id",…}}…]}`.
///
/// # Errors
/// `bad_json`, `bad_name`, `bad_filter`, `bad_request` or `too_large`, saying of which part.
pub fn parse_transaction(body: &[u8]) -> Result<Write, Failure> {
    let Body { conditions, operations } = read_object(body)?;
    check_transaction(conditions.len(), operations.len())?;
    if operations.is_empty() {
        return Err(Failure::new(Code::BadRequest, "the transaction has no operations; nothing was written"));
    }
    let check = |(index, body): (usize, ConditionBody)| body.check().map_err(|f| Part::Condition(index).says(f));
    let operation = |(index, body): (usize, OperationBody)| body.read().map_err(|f| Part::Operation(index).says(f));
    let checks = conditions.into_iter().enumerate().map(check).collect::<Result<_, Failure>>()?;
    let operations = operations.into_iter().enumerate().map(operation).collect::<Result<_, Failure>>()?;
    Ok(Write::Transaction { checks, operations })
}

/// One line of a file: an operation as it stands in the body, or a condition as `{"if":{…}}`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_transaction_line(line: &[u8]) -> Result<Step, Failure> {
    let operation = match read_line(line)? {
        LineBody::If(condition) => return condition.check().map(Step::Check),
        LineBody::Insert(body) => OperationBody::Insert(body),
        LineBody::Replace(body) => OperationBody::Replace(body),
        LineBody::Update(body) => OperationBody::Update(body),
        LineBody::Delete(body) => OperationBody::Delete(body),
        LineBody::Get(body) => OperationBody::Get(body),
    };
    operation.read().map(Step::Operation)
}

impl ConditionBody {
    fn check(self) -> Result<Check, Failure> {
        let ConditionBody { table, row_id: RowId(row_id), exists, revision, filter } = self;
        check_place(&table, &row_id)?;
        let filters = filter.unwrap_or_default();
        let filters = Filter::parse_all(filters.iter().map(|filter| &**filter))?;
        let asks = revision.is_some() || !filters.is_empty();
        match exists {
            None if !asks => Err(Failure::new(Code::BadRequest, "the condition asks for nothing")
                .hint("give it exists, revision or filter")),
            Some(false) if asks => Err(Failure::new(
                Code::BadRequest,
                "the condition asks for a row that is not there, and for something of it",
            )),
            _ => Ok(Check { table, row_id, exists, revision, filters }),
        }
    }
}

impl OperationBody {
    fn read(self) -> Result<Operation, Failure> {
        let put = |body: PutBody, mode| {
            let PutBody { table, row_id: RowId(row_id), data, text } = body;
            check_place(&table, &row_id)?;
            Ok(Operation::Put { table, row_id, cells: join(data, text)?, mode })
        };
        match self {
            OperationBody::Insert(body) => put(body, PutMode::Insert),
            OperationBody::Replace(body) => put(body, PutMode::Replace),
            OperationBody::Update(body) => put(body, PutMode::Update),
            OperationBody::Delete(DeleteBody { table, row_id: RowId(row_id), if_exists }) => {
                check_place(&table, &row_id)?;
                Ok(Operation::Delete { table, row_id, if_exists })
            }
            OperationBody::Get(GetBody { table, row_id: RowId(row_id) }) => {
                check_place(&table, &row_id)?;
                Ok(Operation::Get { table, row_id })
            }
        }
    }
}

fn check_place(table: &str, row_id: &str) -> Result<(), Failure> {
    check_name("table", table)?;
    check_row_id(row_id)
}

/// The body that `parse_transaction` reads.
pub fn encode_transaction(checks: &[Check], operations: &[Operation]) -> Vec<u8> {
    let mut out = b"{\"conditions\":[".to_vec();
    for (index, check) in checks.iter().enumerate() {
        write_check(&mut out, index, check);
    }
    out.extend_from_slice(b"],\"operations\":[");
    for (index, operation) in operations.iter().enumerate() {
        let name = match operation {
            Operation::Put { mode: PutMode::Insert, .. } => "insert",
            Operation::Put { mode: PutMode::Replace, .. } => "replace",
            Operation::Put { mode: PutMode::Update, .. } => "update",
            Operation::Delete { .. } => "delete",
            Operation::Get { .. } => "get",
        };
        out.extend_from_slice(if index > 0 { b",{" } else { b"{" });
        write_text(&mut out, name);
        out.push(b':');
        let (table, row_id) = operation.place();
        write_place(&mut out, table, row_id);
        match operation {
            Operation::Put { cells, .. } => {
                out.push(b',');
                write_cells(&mut out, cells);
            }
            Operation::Delete { if_exists: true, .. } => out.extend_from_slice(b",\"if_exists\":true}"),
            Operation::Delete { .. } | Operation::Get { .. } => out.push(b'}'),
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

fn write_check(out: &mut Vec<u8>, index: usize, check: &Check) {
    if index > 0 {
        out.push(b',');
    }
    write_place(out, &check.table, &check.row_id);
    if let Some(exists) = check.exists {
        out.extend_from_slice(format!(",\"exists\":{exists}").as_bytes());
    }
    if let Some(revision) = check.revision {
        out.extend_from_slice(format!(",\"revision\":{revision}").as_bytes());
    }
    for (index, filter) in check.filters.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b"," } else { b",\"filter\":[" });
        write_text(out, &filter.to_string());
    }
    out.extend_from_slice(if check.filters.is_empty() { b"}" } else { b"]}" });
}

/// Appends `{"table":…,"row_id":…`.
fn write_place(out: &mut Vec<u8>, table: &str, row_id: &str) {
    out.extend_from_slice(b"{\"table\":");
    write_text(out, table);
    out.extend_from_slice(b",\"row_id\":");
    write_text(out, row_id);
}

/// The answer to a transaction: `{"results":[{"table","row_id","effect","row"?}…],"revision"}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Transacted {
    /// One an operation, in order.
    pub results: Vec<Outcome>,
    /// The revision of the transaction.
    pub revision: u64,
}

/// The effect of an operation that reads.
const READ: &str = "read";

/// What one operation did.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Outcome {
    /// The table's name.
    pub table: String,
    /// The row id: `Int` in a table with `id:int`, else `Text`.
    #[serde(deserialize_with = "exact")]
    pub row_id: Value,
    /// `inserted`, `replaced`, `updated`, `deleted`, `absent` (there was nothing to delete) or `read`.
    pub effect: String,
    /// What was read; `None` where there is no such row.
    #[serde(default)]
    pub row: Option<RowObject>,
}

fn exact<'de, D: Deserializer<'de>>(reader: D) -> Result<Value, D::Error> {
    Exact::deserialize(reader).map(|id| id.0)
}

impl Transacted {
    /// The answer for what was `done` at each of `places`, a table and a row id.
    pub fn new(places: Vec<(String, String)>, done: Vec<Did>, revision: u64) -> Transacted {
        let outcome = |((table, row_id), Did { done, ids }): ((String, String), Did)| {
            let (effect, row) = match done {
                Done::Inserted => ("inserted", None),
                Done::Replaced => ("replaced", None),
                Done::Updated => ("updated", None),
                Done::Deleted => ("deleted", None),
                Done::Absent => ("absent", None),
                Done::Read(row) => (READ, row),
            };
            let row = row.map(|ReadRow { id, data, revision }| RowObject { id, data, revision });
            Outcome { table, row_id: ids.value(&row_id), effect: effect.into(), row }
        };
        Transacted { results: places.into_iter().zip(done).map(outcome).collect(), revision }
    }

    /// Its JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = b"{\"results\":[".to_vec();
        for (index, Outcome { table, row_id, effect, row }) in self.results.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"table\":");
            write_text(&mut out, table);
            out.extend_from_slice(b",\"row_id\":");
            write_value(&mut out, row_id);
            out.extend_from_slice(b",\"effect\":");
            write_text(&mut out, effect);
            match row {
                Some(row) => {
                    out.extend_from_slice(b",\"row\":");
                    row.write(&mut out);
                }
                None if effect == READ => out.extend_from_slice(b",\"row\":null"),
                None => {}
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"revision\":");
        write_number(&mut out, self.revision);
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;
    use crate::model::{Cell, Ids, MAX_OPERATIONS};

    fn check(exists: Option<bool>, revision: Option<u64>, filters: &[&str]) -> Check {
        let filters = filters.iter().map(|filter| Filter::parse(filter).unwrap()).collect();
        Check { table: "t".into(), row_id: "a\"b".into(), exists, revision, filters }
    }

    fn operations() -> Vec<Operation> {
        let (table, row_id) = ("t".to_string(), "7".to_string());
        let cells =
            vec![("n".to_string(), Cell::Exact(Value::Int(i64::MAX))), ("x".to_string(), Cell::Text("1".into()))];
        let put = |mode| Operation::Put { table: table.clone(), row_id: row_id.clone(), cells: cells.clone(), mode };
        vec![
            put(PutMode::Insert),
            put(PutMode::Replace),
            put(PutMode::Update),
            Operation::Delete { table: table.clone(), row_id: row_id.clone(), if_exists: true },
            Operation::Delete { table: table.clone(), row_id: row_id.clone(), if_exists: false },
            Operation::Get { table, row_id },
        ]
    }

    #[test]
    fn what_the_client_writes_the_node_reads() {
        let checks = vec![
            check(Some(false), None, &[]),
            check(Some(true), Some(u64::MAX), &["a.in=1,2", "b==\"x\""]),
            check(None, None, &["a!=1"]),
        ];
        let wanted = Write::Transaction { checks: checks.clone(), operations: operations() };
        assert_eq!(parse_transaction(&encode_transaction(&checks, &operations())), Ok(wanted));
        let bare = br#"{"operations":[{"delete":{"table":"t","row_id":7}}]}"#;
        let wanted = Write::Transaction { checks: vec![], operations: operations()[4..5].to_vec() };
        assert_eq!(parse_transaction(bare), Ok(wanted));
    }

    #[test]
    fn a_line_is_a_condition_or_an_operation() {
        let step = |line: &str| parse_transaction_line(line.as_bytes());
        let line = r#"{"if":{"table":"t","row_id":"a\"b","revision":7}}"#;
        assert_eq!(step(line), Ok(Step::Check(check(None, Some(7), &[]))));
        let line = r#"{"get":{"table":"t","row_id":7}}"#;
        assert_eq!(step(line), Ok(Step::Operation(operations()[5].clone())));
        for (line, said) in [
            (r#"{"get":{"table":"t","row_id":7},"delete":{}}"#, "at column"),
            (r#"{"fetch":{}}"#, "it is not the JSON that was expected: "),
            (r#"{"insert":{"table":"t","row_id":7}}"#, "missing field `data`"),
            (r#"{"if":{"table":"t","row_id":7}}"#, "asks for nothing"),
            (r#"{"delete":{"table":"t"}}"#, "missing field `row_id`"),
        ] {
            let failure = step(line).unwrap_err();
            assert!(failure.message.contains(said), "{line}: {}", failure.message);
        }
    }

    #[test]
    fn a_bad_part_is_refused_and_named() {
        let condition = |more: &str| {
            format!(
                r#"{{"conditions":[{{"table":"t","row_id":1{more}}}],"operations":[{{"get":{{"table":"t","row_id":1}}}}]}}"#
            )
        };
        let operation = |words: &str| format!(r#"{{"operations":[{{"get":{{"table":"t","row_id":1}}}},{words}]}}"#);
        let many = vec![r#"{"get":{"table":"t","row_id":1}}"#; MAX_OPERATIONS + 1].join(",");
        for (body, code, said) in [
            ("{}".into(), Code::BadJson, "missing field `operations`"),
            (r#"{"operations":[]}"#.into(), Code::BadRequest, "no operations"),
            (r#"{"operations":[],"ops":[]}"#.into(), Code::BadJson, "unknown field `ops`"),
            (format!(r#"{{"operations":[{many}]}}"#), Code::TooLarge, "1025 operations"),
            (condition(""), Code::BadRequest, "conditions[0]: the condition asks for nothing"),
            (condition(r#","exists":false,"revision":1"#), Code::BadRequest, "conditions[0]: "),
            (condition(r#","revision":-1"#), Code::BadJson, "line 1 column"),
            (condition(r#","filter":["a>1"]"#), Code::BadFilter, "conditions[0]: \"a>1\" is not a filter"),
            (condition(r#","filter":"a=1""#), Code::BadJson, "expected a sequence"),
            (condition(r#","is":1"#), Code::BadJson, "unknown field `is`"),
            (operation(r#"{"get":{"table":"_t","row_id":1}}"#), Code::BadName, "operations[1]: \"_t\""),
            (operation(r#"{"update":{"table":"t","row_id":""}}"#), Code::BadName, "operations[1]: "),
            (operation(r#"{"update":{"table":"t","row_id":1}}"#), Code::BadJson, "operations[1]: "),
            (operation(r#"{"upsert":{}}"#), Code::BadJson, "unknown variant `upsert`, expected one of `insert`"),
            (operation("{}"), Code::BadJson, "line 1 column"),
        ] {
            let failure = parse_transaction(body.as_bytes()).unwrap_err();
            assert_eq!(failure.code, code, "{body:.200}: {}", failure.message);
            assert!(failure.message.contains(said), "{body:.200}: {}", failure.message);
        }
    }

    #[test]
    fn an_answer_comes_back() {
        let data = vec![("id".to_string(), Value::Int(7)), ("n".to_string(), Value::Int(i64::MAX))];
        let row = ReadRow { id: Value::Int(7), data: data.clone(), revision: 3 };
        let places = vec![("t".to_string(), "7".to_string()); 3];
        let did = |(done, ids)| Did { done, ids };
        let done = [(Done::Absent, Ids::Int), (Done::Read(Some(row)), Ids::Int), (Done::Read(None), Ids::Text)];
        let body = Transacted::new(places, done.map(did).into(), 9).encode();
        let told: Transacted = decode(&body).unwrap();
        assert_eq!((told.revision, told.results.len()), (9, 3));
        let ids: Vec<&Value> = told.results.iter().map(|outcome| &outcome.row_id).collect();
        assert_eq!(ids, [&Value::Int(7), &Value::Int(7), &Value::Text("7".into())]);
        assert_eq!((told.results[0].effect.as_str(), told.results[0].row.as_ref()), ("absent", None));
        assert_eq!(told.results[1].row, Some(RowObject { id: Value::Int(7), data, revision: 3 }));
        assert_eq!((told.results[2].effect.as_str(), told.results[2].row.as_ref()), ("read", None));
    }
}
