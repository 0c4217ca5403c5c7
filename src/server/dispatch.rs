//! Owns the way of one request: admit it, find its route, read it, handle it, count it.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Buf;
use futures::{FutureExt as _, Stream, future};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Method};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use warp::reply::Response;

use super::body::{self, Received};
use super::handlers::{change, cluster, export, import, peer, read, search, sql, write};
use super::listen::Unusual;
use super::meter::Meter;
use super::params::Params;
use super::request::{Ask, check_headers, check_host};
use super::routes::{BodyKind, Endpoint, Found, Route, find};
use super::{Limits, openapi, reply};
use crate::model::{Code, Failure, PutMode, check_name, check_row_id, excerpt};
use crate::protocol::{
    decode_segment, parse_create_table, parse_create_table_v0, parse_delete, parse_insert, parse_update,
};
use crate::replication::Group;

/// How many searches may put their rows in order at a time.
const SORTS: usize = 8;

/// How many SQL queries may run at a time; each has a thread.
const QUERIES: usize = 8;

/// What all requests of one server share.
pub(super) struct App {
    /// What the node replicates.
    pub(super) group: Group,
    /// The limits of the front door.
    pub(super) limits: Limits,
    /// How many slices of scans may run at a time.
    pub(super) scans: Arc<Semaphore>,
    /// How many searches may put their rows in order at a time, as each takes memory.
    pub(super) sorts: Semaphore,
    /// How many SQL queries may run at a time.
    pub(super) queries: Arc<Semaphore>,
    /// True once the server ends; peer connections end with it.
    pub(super) ending: watch::Receiver<bool>,
    meter: Meter,
    node_header: HeaderValue,
    large: Arc<Semaphore>,
}

/// A request as the filter takes it apart.
pub(super) struct Request<S> {
    pub(super) method: Method,
    pub(super) path: warp::path::FullPath,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) unusual: Unusual,
    pub(super) upgrade: Option<OnUpgrade>,
    pub(super) body: S,
}

impl App {
    pub(super) fn new(group: Group, limits: Limits, ending: watch::Receiver<bool>) -> App {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        App {
            node_header: HeaderValue::from(group.id()),
            group,
            limits,
            scans: Arc::new(Semaphore::new(cores.max(2))),
            sorts: Semaphore::new(SORTS),
            queries: Arc::new(Semaphore::new(QUERIES)),
            ending,
            meter: Meter::new(),
            large: Arc::new(Semaphore::new(limits.large_bodies)),
        }
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer<S, B, E>(self: Arc<App>, mut request: Request<S>) -> Response
    where
        S: Stream<Item = Result<B, E>> + Unpin + Send + 'static,
        B: Buf + Send,
        E: Send,
    {
        let began = Instant::now();
        let (method, path) = (request.method.as_str(), request.path.as_str());
        let reads = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let mut consumed = false;
        let (route, mut response) = match find(method, path) {
            Found::Route(route, names) => {
                let names = named(route, names);
                let answer = shielded(self.handle(route, names, &mut request, began, &mut consumed)).await;
                (Some(route), answer.unwrap_or_else(|failure| reply::failure(&failure, route.is_write())))
            }
            Found::Allow(allow) => (None, reply::method_not_allowed(method, path, &allow, !reads)),
            Found::Nothing => (None, reply::failure(&no_such_path(path), !reads)),
        };
        if !consumed && body::expected(&request.headers) {
            body::linger(request.body);
        }
        if request.unusual.reserve && !route.is_some_and(Route::is_vital) {
            // The reserve is for others.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.headers_mut().insert(reply::DDB_NODE, self.node_header.clone());
        self.meter.answered(route, response.status().as_u16(), began.elapsed());
        response
    }

    /// Reads the request as its route asks and handles it; says in `consumed` that no body is left.
    async fn handle<S, B, E>(
        &self,
        route: &'static Route,
        names: Result<[String; 2], Failure>,
        request: &mut Request<S>,
        mut began: Instant,
        consumed: &mut bool,
    ) -> Result<Response, Failure>
    where
        S: Stream<Item = Result<B, E>> + Unpin,
        B: Buf,
    {
        check_host(&request.headers, request.unusual.http10)?;
        admit(route, request.unusual)?;
        let [table, row_id] = names?;
        let params = Params::parse(&request.query, route.params)?;
        check_headers(route, &request.headers)?;
        let received = match route.body {
            BodyKind::Nothing | BodyKind::Lines => Received::default(),
            BodyKind::Json | BodyKind::JsonOrForm => {
                let limits = Limits { body: route.body_limit().unwrap_or(self.limits.body), ..self.limits };
                let received = body::receive(&mut request.body, &request.headers, &limits, &self.large).await?;
                *consumed = true;
                // A body has its own deadlines; the request's begins once there is something to do.
                began = Instant::now();
                received
            }
        };
        let deadline = began + params.timeout;
        let headers = std::mem::take(&mut request.headers);
        let upgrade = request.upgrade.take();
        let ask = Ask { table, row_id, params, headers, body: received.bytes.clone(), deadline, upgrade };
        if route.body == BodyKind::Lines {
            return Box::pin(import::import(self, ask, &mut request.body, consumed)).await;
        }
        self.route(route.endpoint, ask).await
    }

    /// A place among the requests with large bodies, for one whose body is a stream.
    pub(super) fn large_body(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.large.clone().try_acquire_owned().map_err(|_| body::too_many_large())
    }

    /// The handler's work, in a box of its own: within another future it would be as large as the largest of them
    /// all, and moved whole with every request.
    fn route(&self, endpoint: Endpoint, ask: Ask) -> Work<'_> {
        match endpoint {
            Endpoint::GetRow => Box::pin(read::row(self, ask)),
            Endpoint::PutRow => Box::pin(write::put(self, ask, PutMode::Replace)),
            Endpoint::PatchRow => Box::pin(write::put(self, ask, PutMode::Update)),
            Endpoint::DeleteRow => Box::pin(write::delete(self, ask)),
            Endpoint::InsertV0 => Box::pin(write::row_v0(self, ask, parse_insert, 201)),
            Endpoint::UpdateV0 => Box::pin(write::row_v0(self, ask, parse_update, 200)),
            Endpoint::DeleteV0 => Box::pin(write::row_v0(self, ask, parse_delete, 200)),
            Endpoint::SearchV0 => Box::pin(search::search_v0(self, ask)),
            Endpoint::CreateTableV0 => Box::pin(write::create_table(self, ask, parse_create_table_v0)),
            Endpoint::Rows => Box::pin(search::rows(self, ask)),
            Endpoint::UpdateRows => Box::pin(change::update(self, ask)),
            Endpoint::DeleteRows => Box::pin(change::delete(self, ask)),
            Endpoint::Transaction => Box::pin(write::transaction(self, ask)),
            // It reads its own body: `handle`.
            Endpoint::Import => at_once(Err(Failure::internal("a request came the wrong way"))),
            Endpoint::Export => Box::pin(export::export(self, ask)),
            Endpoint::Sql => Box::pin(sql::sql(self, ask)),
            Endpoint::ListTables => Box::pin(read::tables(self, ask)),
            Endpoint::CreateTable => Box::pin(write::create_table(self, ask, parse_create_table)),
            Endpoint::DescribeTable => Box::pin(read::table(self, ask)),
            Endpoint::DropTable => Box::pin(write::drop_table(self, ask)),
            Endpoint::AlterTable => Box::pin(write::alter_table(self, ask)),
            Endpoint::CreateIndex => Box::pin(write::create_index(self, ask)),
            Endpoint::DropIndex => Box::pin(write::drop_index(self, ask)),
            Endpoint::Status => Box::pin(cluster::status(self)),
            Endpoint::Nodes => Box::pin(cluster::nodes(self)),
            Endpoint::Verify => Box::pin(cluster::verify(self, ask)),
            Endpoint::Livez => at_once(cluster::livez(self, ask)),
            Endpoint::Readyz => at_once(cluster::readyz(self, ask)),
            Endpoint::Version => at_once(cluster::version(self)),
            Endpoint::Metrics => at_once(cluster::metrics()),
            Endpoint::OpenApi => at_once(openapi::answer()),
            Endpoint::Root => at_once(cluster::root(self)),
            Endpoint::Peer => at_once(peer::connect(self, ask)),
        }
    }
}

/// What a handler does.
type Work<'a> = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send + 'a>>;

fn at_once<'a>(answer: Result<Response, Failure>) -> Work<'a> {
    Box::pin(future::ready(answer))
}

/// The names in a path, decoded once and checked: a table, a row id; empty where the route has none.
fn named(route: &Route, segments: [&str; 2]) -> Result<[String; 2], Failure> {
    let [table, row_id] = segments.map(decode_segment);
    let (table, row_id) = (table?, row_id?);
    if route.names() > 0 {
        check_name("table", &table)?;
    }
    if route.names() > 1 {
        check_row_id(&row_id)?;
    }
    Ok([table, row_id])
}

/// Turns a handler's panic into a failure: one request fails, the node lives on.
fn shielded(
    answer: impl Future<Output = Result<Response, Failure>>,
) -> impl Future<Output = Result<Response, Failure>> {
    AssertUnwindSafe(answer).catch_unwind().map(|answer| {
        answer.unwrap_or_else(|_| {
            tracing::error!("a request handler panicked");
            Err(Failure::internal("the request could not be handled, by a fault of the server's own"))
        })
    })
}

fn no_such_path(path: &str) -> Failure {
    let shown = excerpt(path, 80);
    Failure::new(Code::NotFound, format!("there is nothing at {shown}")).hint("the API is described at /openapi.json")
}

/// Lets a request in, or refuses it.
fn admit(route: &Route, unusual: Unusual) -> Result<(), Failure> {
    let full = |what: &str| Err(Failure::new(Code::Overloaded, format!("this node has all the {what} that it takes")));
    match unusual {
        _ if route.is_vital() => Ok(()),
        Unusual { reserve: true, .. } => full("connections"),
        Unusual { crowded: true, .. } => full("requests in flight"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fate;

    #[tokio::test]
    async fn a_panic_is_a_failure_with_an_unknown_outcome() {
        let failure = shielded(async { panic!("a bug") }).await.map(|_| ()).unwrap_err();
        assert_eq!((failure.code, failure.fate), (Code::Internal, Fate::Unknown));
    }
}
