//! Owns the way of one request: admit it, find its route, read it, handle it, count it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Buf;
use futures::{FutureExt as _, Stream};
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
    /// Closed when the server has ended; peer connections end with it.
    pub(super) ended: watch::Receiver<()>,
    meter: Meter,
    node_header: HeaderValue,
    in_flight: AtomicUsize,
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
    pub(super) fn new(group: Group, limits: Limits, ended: watch::Receiver<()>) -> App {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        App {
            node_header: HeaderValue::from(group.id()),
            group,
            limits,
            scans: Arc::new(Semaphore::new(cores.max(2))),
            sorts: Semaphore::new(SORTS),
            queries: Arc::new(Semaphore::new(QUERIES)),
            ended,
            meter: Meter::new(),
            in_flight: AtomicUsize::new(0),
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
                let answer = shielded(self.handle(route, names, &mut request, &mut consumed)).await;
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
        consumed: &mut bool,
    ) -> Result<Response, Failure>
    where
        S: Stream<Item = Result<B, E>> + Unpin,
        B: Buf,
    {
        check_host(&request.headers, request.unusual.http10)?;
        let _place = self.admit(route, request.unusual)?;
        let [table, row_id] = names?;
        let params = Params::parse(&request.query, route.params)?;
        check_headers(route, &request.headers)?;
        let received = match route.body {
            BodyKind::Nothing | BodyKind::Lines => Received::default(),
            BodyKind::Json | BodyKind::JsonOrForm => {
                let limits = Limits { body: route.body_limit().unwrap_or(self.limits.body), ..self.limits };
                let received = body::receive(&mut request.body, &request.headers, &limits, &self.large).await?;
                *consumed = true;
                received
            }
        };
        // A body has its own deadlines; the request's begins once there is something to do.
        let deadline = Instant::now() + params.timeout;
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

    /// Counts a request in, or refuses it.
    fn admit(&self, route: &Route, unusual: Unusual) -> Result<Admitted<'_>, Failure> {
        let place = Admitted::new(&self.in_flight);
        if route.is_vital() {
            return Ok(place);
        }
        if unusual.reserve {
            return Err(Failure::new(Code::Overloaded, "this node has all the connections it takes"));
        }
        if place.count > self.limits.requests {
            return Err(Failure::new(Code::Overloaded, "this node has all the requests in flight that it takes"));
        }
        Ok(place)
    }

    /// The busiest routes; the others are kept apart, since a future is as large as its largest part, and moved whole.
    async fn route(&self, endpoint: Endpoint, ask: Ask) -> Result<Response, Failure> {
        match endpoint {
            Endpoint::GetRow => read::row(self, ask).await,
            Endpoint::PutRow => write::put(self, ask, PutMode::Replace).await,
            Endpoint::PatchRow => write::put(self, ask, PutMode::Update).await,
            Endpoint::DeleteRow => write::delete(self, ask).await,
            Endpoint::InsertV0 => write::row_v0(self, ask, parse_insert, 201).await,
            Endpoint::UpdateV0 => write::row_v0(self, ask, parse_update, 200).await,
            Endpoint::DeleteV0 => write::row_v0(self, ask, parse_delete, 200).await,
            other => Box::pin(self.route_rare(other, ask)).await,
        }
    }

    async fn route_rare(&self, endpoint: Endpoint, ask: Ask) -> Result<Response, Failure> {
        match endpoint {
            Endpoint::SearchV0 => search::search_v0(self, ask).await,
            Endpoint::CreateTableV0 => write::create_table(self, ask, parse_create_table_v0).await,
            Endpoint::Rows => search::rows(self, ask).await,
            Endpoint::UpdateRows => change::update(self, ask).await,
            Endpoint::DeleteRows => change::delete(self, ask).await,
            Endpoint::Transaction => write::transaction(self, ask).await,
            // `route` has the first ones, and an import reads its own body: `handle`.
            Endpoint::GetRow
            | Endpoint::PutRow
            | Endpoint::PatchRow
            | Endpoint::DeleteRow
            | Endpoint::InsertV0
            | Endpoint::UpdateV0
            | Endpoint::DeleteV0
            | Endpoint::Import => Err(Failure::internal("a request came the wrong way")),
            Endpoint::Export => export::export(self, ask).await,
            Endpoint::Sql => sql::sql(self, ask).await,
            Endpoint::ListTables => read::tables(self, ask).await,
            Endpoint::CreateTable => write::create_table(self, ask, parse_create_table).await,
            Endpoint::DescribeTable => read::table(self, ask).await,
            Endpoint::DropTable => write::drop_table(self, ask).await,
            Endpoint::AlterTable => write::alter_table(self, ask).await,
            Endpoint::CreateIndex => write::create_index(self, ask).await,
            Endpoint::DropIndex => write::drop_index(self, ask).await,
            Endpoint::Status => cluster::status(self).await,
            Endpoint::Nodes => cluster::nodes(self).await,
            Endpoint::Verify => cluster::verify(self, ask).await,
            Endpoint::Livez => cluster::livez(self, ask),
            Endpoint::Readyz => cluster::readyz(self, ask),
            Endpoint::Version => cluster::version(self),
            Endpoint::Metrics => cluster::metrics(),
            Endpoint::OpenApi => openapi::answer(),
            Endpoint::Root => cluster::root(self),
            Endpoint::Peer => peer::connect(self, ask),
        }
    }
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
async fn shielded(answer: impl Future<Output = Result<Response, Failure>>) -> Result<Response, Failure> {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => {
            tracing::error!("a request handler panicked");
            Err(Failure::internal("the request could not be handled, by a fault of the server's own"))
        }
    }
}

fn no_such_path(path: &str) -> Failure {
    let shown = excerpt(path, 80);
    Failure::new(Code::NotFound, format!("there is nothing at {shown}")).hint("the API is described at /openapi.json")
}

/// One request that was let in.
struct Admitted<'a> {
    in_flight: &'a AtomicUsize,
    count: usize,
}

impl Admitted<'_> {
    fn new(in_flight: &AtomicUsize) -> Admitted<'_> {
        Admitted { in_flight, count: in_flight.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
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
