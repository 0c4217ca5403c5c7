//! Owns the handler of the peer route: who knocks is checked, then the connection is the group's.

use hyper::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use hyper_util::rt::TokioIo;
use warp::reply::Response;

use super::super::dispatch::App;
use super::super::reply;
use super::super::request::Ask;
use crate::model::{Code, Failure};

/// The protocol that peers change to.
const PROTOCOL: &str = "ddb-peer";

/// The header that says who knocks.
const DDB_PEER: HeaderName = HeaderName::from_static(PROTOCOL);

/// `GET /peer` with `Upgrade: ddb-peer`.
pub(in super::super) fn connect(app: &App, ask: Ask) -> Result<Response, Failure> {
    let header = ask.headers.get(DDB_PEER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let peer = app.group.check_peer(header)?;
    let named =
        ask.headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()));
    let (true, Some(upgrade)) = (named, ask.upgrade) else {
        return Err(Failure::new(Code::BadRequest, "this route is for peers, with Upgrade: ddb-peer"));
    };
    let (group, ending) = (app.group.clone(), app.ending.clone());
    tokio::spawn(async move {
        match upgrade.await {
            Ok(io) => group.serve_peer(peer, TokioIo::new(io), ending).await,
            Err(error) => tracing::debug!(peer, %error, "a peer left before its connection was its own"),
        }
    });
    let mut response = reply::text(101, "");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    let hello = HeaderValue::from_str(&app.group.hello()).map_err(|e| Failure::internal(e.to_string()))?;
    response.headers_mut().insert(DDB_PEER, hello);
    Ok(response)
}
