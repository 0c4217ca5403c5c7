//! Owns the one warp filter, and the running of a server.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future;
use hyper::Uri;
use hyper::service::{Service as _, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use warp::Filter;
use warp::reply::Response;

use super::dispatch::{App, Request};
use super::listen::{self, Unusual};
use super::{Limits, meter};
use crate::replication::Group;
use crate::world::Listener;

/// How long the peers' connections may take to close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves `group` on `listener` until `shutdown` resolves, then lets what is in flight finish, for five seconds
/// at most, and closes the peers' connections, which takes two more at most.
pub async fn run(listener: impl Listener, group: Group, limits: Limits, shutdown: impl Future<Output = ()>) {
    let (end, ending) = watch::channel(false);
    let app = Arc::new(App::new(group, limits, ending));
    let inner = TowerToHyperService::new(warp::service(filter(app)));
    let service = service_fn(move |request| inner.call(with_path(request)));
    tokio::select! {
        biased;
        () = listen::serve(listener, limits, service, shutdown) => {}
        () = meter::upkeep() => {}
    }
    end.send_replace(true);
    // Each of them has a receiver until it is closed; the rest went with the service.
    if tokio::time::timeout(FAREWELL, end.closed()).await.is_err() {
        tracing::debug!("a peer's connection did not close in time");
    }
}

/// The request with a path: a CONNECT names none, and warp panics without.
fn with_path<B>(mut request: hyper::Request<B>) -> hyper::Request<B> {
    if request.uri().path_and_query().is_none() {
        *request.uri_mut() = Uri::from_static("/");
    }
    request
}

/// One filter for all routes: a chain of alternatives would try and reject its way to each, and
/// could not tell a wrong method from a wrong path.
fn filter(app: Arc<App>) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync {
    warp::method()
        .and(warp::path::full())
        .and(query())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Unusual>())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::body::stream())
        .then(move |method, path, query, headers, unusual: Option<Unusual>, upgrade, body| {
            let unusual = unusual.unwrap_or_default();
            // In a box, as it is moved several times on its way.
            Box::pin(app.clone().answer(Request {
                method,
                path,
                query,
                headers,
                unusual,
                upgrade,
                body: Box::pin(body),
            }))
        })
}

/// The query, empty where there is none.
fn query() -> impl Filter<Extract = (String,), Error = Infallible> + Clone {
    warp::query::raw().or_else(|_| future::ok::<_, Infallible>((String::new(),)))
}
