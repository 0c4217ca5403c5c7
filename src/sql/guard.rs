//! Owns what a query may do: read tables and call functions, within limits.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Result};

use super::gate::Gate;

/// The most memory that SQLite may take for all queries of this process together. Its own limit counts the
/// process, and here only queries use it.
pub(super) const MEMORY: usize = 256 << 20;

/// The longest text that a query may make or have, in bytes.
const LENGTH: i32 = 16 << 20;

/// The longest query.
const TEXT: i32 = 1 << 20;

/// The longest pattern of LIKE and GLOB: matching is quadratic, and cannot be interrupted.
const PATTERN: i32 = 1_000;

/// After how many steps of its program a query looks at the gate.
const LOOK: i32 = 1_000;

/// What a query was refused for first, in words that follow "only reading is allowed: this would".
pub(super) type Denied = Arc<Mutex<Option<String>>>;

/// An empty SQLite in memory that keeps all it makes in memory, too.
pub(super) fn open() -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_MEMORY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_in_memory_with_flags(flags)?;
    connection.execute_batch(&format!("PRAGMA temp_store = MEMORY; PRAGMA hard_heap_limit = {MEMORY}"))?;
    // "x" is a column and nothing else, so that a slip is an error and not a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, LENGTH),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, TEXT),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    Ok(connection)
}

/// From here on the connection reads only, and ends when `gate` says so.
pub(super) fn close_in(connection: &mut Connection, gate: Arc<Gate>) -> Result<Denied> {
    let denied = Denied::default();
    let first = denied.clone();
    connection.authorizer(Some(move |asked: AuthContext<'_>| {
        let Some(what) = refused(&asked.action) else { return Authorization::Allow };
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
        Authorization::Deny
    }))?;
    connection.progress_handler(LOOK, Some(move || gate.ended().is_some()))?;
    Ok(denied)
}

/// What a query would do that it may not, if it is so.
fn refused(action: &AuthAction<'_>) -> Option<String> {
    let on = |what: &str, name: &str| Some(format!("{what} \"{name}\""));
    match *action {
        AuthAction::Select | AuthAction::Recursive => None,
        AuthAction::Read { table_name, .. } if table_name.to_ascii_lowercase().starts_with("sqlite_") => {
            on("read SQLite's own, empty table", table_name)
        }
        AuthAction::Read { .. } => None,
        AuthAction::Function { function_name } if function_name.eq_ignore_ascii_case("load_extension") => {
            Some("load an extension".into())
        }
        AuthAction::Function { .. } => None,
        AuthAction::Insert { table_name } if !own(table_name) => on("insert into", table_name),
        AuthAction::Update { table_name, .. } if !own(table_name) => on("update", table_name),
        AuthAction::Delete { table_name } if !own(table_name) => on("delete from", table_name),
        AuthAction::DropTable { table_name } | AuthAction::DropVtable { table_name, .. } => on("drop", table_name),
        AuthAction::AlterTable { table_name, .. } => on("alter", table_name),
        AuthAction::Pragma { pragma_name, .. } => on("run the PRAGMA", pragma_name),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Some("attach or detach a database".into()),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => Some("begin or end a transaction".into()),
        _ => Some("create or change something".into()),
    }
}

/// Whether it is one of SQLite's own tables, which are written when others are created or dropped.
fn own(table: &str) -> bool {
    table.to_ascii_lowercase().starts_with("sqlite_")
}
