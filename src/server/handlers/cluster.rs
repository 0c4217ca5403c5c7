//! Owns the handlers that tell how the cluster and this node are.

use std::fmt::Write as _;

use warp::reply::Response;

use super::super::dispatch::App;
use super::super::request::Ask;
use super::super::{meter, reply};
use crate::model::{Failure, NodeVersion};
use crate::replication::Check;

/// `GET /v1/status`.
pub(in super::super) async fn status(app: &App) -> Result<Response, Failure> {
    reply::encoded(200, &app.group.status().await)
}

/// `GET /v1/nodes`.
pub(in super::super) async fn nodes(app: &App) -> Result<Response, Failure> {
    reply::encoded(200, &app.group.status().await.nodes)
}

/// `POST /v1/verify`.
pub(in super::super) async fn verify(app: &App, ask: Ask) -> Result<Response, Failure> {
    let report = app.group.verify(ask.deadline).await?;
    Ok(reply::at_revision(reply::encoded(200, &report)?, report.revision))
}

/// `GET /livez`.
pub(in super::super) fn livez(app: &App, ask: Ask) -> Result<Response, Failure> {
    let check = Check { name: "node", result: app.group.alive() };
    Ok(health(&[check], is_verbose(&ask)))
}

/// `GET /readyz`.
pub(in super::super) fn readyz(app: &App, ask: Ask) -> Result<Response, Failure> {
    Ok(health(&app.group.checks(), is_verbose(&ask)))
}

fn is_verbose(ask: &Ask) -> bool {
    ask.params.get("verbose").is_some_and(|value| value != "false")
}

/// `GET /version`.
pub(in super::super) fn version(app: &App) -> Result<Response, Failure> {
    let (version, name) = (env!("CARGO_PKG_VERSION").into(), "ddb".into());
    reply::encoded(200, &NodeVersion { version, name, time_ms: Some(app.group.now_ms()) })
}

/// `GET /metrics`.
pub(in super::super) fn metrics() -> Result<Response, Failure> {
    Ok(reply::bytes(200, "text/plain; version=0.0.4; charset=utf-8", meter::render()))
}

/// `GET /`.
pub(in super::super) fn root(app: &App) -> Result<Response, Failure> {
    let node = app.group.id();
    Ok(reply::text(200, format!("ddb node {node}\n\ntables: /v1/tables\nstatus: /v1/status\nfigures: /metrics\n")))
}

/// `ok`, or a line a check where one failed or all are asked for.
fn health(checks: &[Check], verbose: bool) -> Response {
    let well = checks.iter().all(|check| check.result.is_ok());
    if well && !verbose {
        return reply::text(200, "ok\n");
    }
    let mut lines = String::new();
    for check in checks {
        // Writing to a String cannot fail.
        let _ = match &check.result {
            Ok(()) => writeln!(lines, "[+]{} ok", check.name),
            Err(reason) => writeln!(lines, "[-]{} failed: {reason}", check.name),
        };
    }
    reply::text(if well { 200 } else { 503 }, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_makes_the_node_unready() {
        let check = |name, result: Result<(), &str>| Check { name, result: result.map_err(String::from) };
        assert_eq!(health(&[check("log", Ok(()))], false).status(), 200);
        assert_eq!(health(&[check("log", Ok(()))], true).status(), 200);
        assert_eq!(health(&[check("log", Ok(())), check("leader", Err("none"))], false).status(), 503);
    }
}
