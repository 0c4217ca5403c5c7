//! Owns how changes of a table's columns and indexes are asked for, and how indexes are told of.

use serde::{Deserialize, Serialize};

use super::columns::Declared;
use super::json::read_object;
use crate::model::{Alteration, Code, ColumnSpec, Failure, Index, IndexSpec, IndexState, Table, Write, check_name};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alter {
    changes: Vec<Told>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Add(Declared),
    Rename(Rename),
    Drop(String),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateIndex {
    name: Option<String>,
    columns: Vec<String>,
    #[serde(default)]
    unique: bool,
}

/// `PATCH /v1/tables/{t}`: `{"changes":[{"add":"email:text"},{"rename":{"from","to"}},{"drop":"notes"}…]}`.
///
/// # Errors
/// `bad_json`, or what is wrong with a declaration.
pub fn parse_alter_table(table: &str, body: &[u8]) -> Result<Write, Failure> {
    let Alter { changes } = read_object(body)?;
    let change = |told| {
        Ok(match told {
            Told::Add(declared) => Alteration::Add(declared.spec()?),
            Told::Rename(Rename { from, to }) => Alteration::Rename { from, to },
            Told::Drop(column) => Alteration::Drop { column },
        })
    };
    let changes = changes.into_iter().map(change).collect::<Result<_, Failure>>()?;
    Ok(Write::AlterTable { name: table.into(), changes })
}

/// `POST /v1/tables/{t}/indexes`: `{"name"?,"columns":["a","b"],"unique"?}`.
///
/// # Errors
/// `bad_json`, or `bad_name`.
pub fn parse_create_index(table: &str, body: &[u8]) -> Result<Write, Failure> {
    let CreateIndex { name, columns, unique } = read_object(body)?;
    if let Some(name) = &name {
        check_name("index", name)?;
    }
    Ok(Write::CreateIndex { table: table.into(), index: IndexSpec { name, columns, unique } })
}

/// The body that `parse_alter_table` reads.
pub fn encode_alter_table(changes: &[Alteration]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body {
        changes: Vec<Change>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Change {
        Add(#[serde(serialize_with = "super::columns::serialize_one")] ColumnSpec),
        Rename(Rename),
        Drop(String),
    }
    let change = |change: &Alteration| match change.clone() {
        Alteration::Add(spec) => Change::Add(spec),
        Alteration::Rename { from, to } => Change::Rename(Rename { from, to }),
        Alteration::Drop { column } => Change::Drop(column),
    };
    // Strings only: there is nothing in it that JSON cannot hold.
    serde_json::to_vec(&Body { changes: changes.iter().map(change).collect() }).unwrap_or_default()
}

/// The body that `parse_create_index` reads.
pub fn encode_create_index(index: &IndexSpec) -> Vec<u8> {
    let IndexSpec { name, columns, unique } = index;
    let mut body = serde_json::json!({ "columns": columns, "unique": unique });
    if let Some(name) = name {
        body["name"] = name.as_str().into();
    }
    body.to_string().into_bytes()
}

/// An index as a node tells it: `{"name","columns","unique","state"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// The names of its columns, in order.
    pub columns: Vec<String>,
    /// Whether no two rows may have the same values.
    pub unique: bool,
    /// `ready`, `building` or `failed`.
    pub state: String,
    /// How many rows have been entered into one that is being built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_built: Option<u64>,
    /// Why one that failed could not be built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl IndexInfo {
    /// The indexes of `table`.
    pub(super) fn all(table: &Table) -> Vec<IndexInfo> {
        table.indexes.iter().map(|index| IndexInfo::new(table, index)).collect()
    }

    fn new(table: &Table, index: &Index) -> IndexInfo {
        let (state, error) = match &index.state {
            IndexState::Building => ("building", None),
            IndexState::Ready => ("ready", None),
            IndexState::Failed(why) => ("failed", Some(why.clone())),
        };
        IndexInfo {
            name: index.name.clone(),
            columns: table.index_columns(index).into_iter().map(String::from).collect(),
            unique: index.unique,
            state: state.into(),
            rows_built: None,
            error,
        }
    }

    /// The failure that it ended in.
    pub fn failure(&self) -> Option<Failure> {
        let why = self.error.as_ref()?;
        let message = format!("index \"{}\" could not be built: {why}", self.name);
        let code = if self.unique { Code::UniqueViolation } else { Code::TooLarge };
        Some(Failure::new(code, message).hint("drop it, change the rows, and add it again"))
    }
}

/// The path of an index: `/v1/tables/{t}/indexes/{name}`.
///
/// # Errors
/// `bad_name`: what is no name must not become another path.
pub fn index_path(table: &str, index: &str) -> Result<String, Failure> {
    check_name("index", index)?;
    Ok(format!("{}/indexes/{index}", super::table_path(table)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_writes_the_node_reads() {
        let spec = |word: &str| ColumnSpec::parse(word).unwrap();
        let changes = vec![
            Alteration::Add(spec("email:text:not-null:unique:default=a\"b")),
            Alteration::Add(spec("n:int:default=9223372036854775807")),
            Alteration::Rename { from: "grade".into(), to: "mark".into() },
            Alteration::Drop { column: "notes".into() },
        ];
        let wanted = Write::AlterTable { name: "t".into(), changes: changes.clone() };
        assert_eq!(parse_alter_table("t", &encode_alter_table(&changes)), Ok(wanted));
        for name in [None, Some("by_a".to_string())] {
            let index = IndexSpec { name, columns: vec!["a".into(), "b".into()], unique: true };
            let wanted = Write::CreateIndex { table: "t".into(), index: index.clone() };
            assert_eq!(parse_create_index("t", &encode_create_index(&index)), Ok(wanted));
        }
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for (body, code) in [
            (r#"{"changes":[{"add":"a:word"}]}"#, Code::BadRequest),
            (r#"{"changes":[{"add":"a","drop":"b"}]}"#, Code::BadJson),
            (r#"{"changes":[{"remove":"a"}]}"#, Code::BadJson),
            (r#"{"changes":[{"rename":{"from":"a"}}]}"#, Code::BadJson),
            (r#"{"changes":[{"add":{"name":"a","type":"int","default":1.5}}]}"#, Code::TypeMismatch),
            (r#"{"changes":[{"add":{"name":"a","not_null":1}}]}"#, Code::BadJson),
            ("{}", Code::BadJson),
        ] {
            assert_eq!(parse_alter_table("t", body.as_bytes()).unwrap_err().code, code, "{body}");
        }
        for (body, code) in [
            (r#"{"columns":"a"}"#, Code::BadJson),
            (r#"{"columns":["a"],"name":"_a"}"#, Code::BadName),
            (r#"{"name":"a"}"#, Code::BadJson),
        ] {
            assert_eq!(parse_create_index("t", body.as_bytes()).unwrap_err().code, code, "{body}");
        }
    }
}
