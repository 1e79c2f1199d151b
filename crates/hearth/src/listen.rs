//! The door for HTTP: accepts connections, bounds them, and closes them in an orderly way.
//!
//! What one connection may cost is decided here, what one request may cost in `api`. A connection
//! whose peer takes nothing of what it is sent is gone after [`Patience::stalled`]; one
//! that sends nothing, or its first request byte by byte, is gone after [`Patience::first_request`];
//! one that is kept open between requests after [`Patience::idle`]. Until then it costs a parked task and a
//! socket, and there are never more than [`CONNECTIONS_MAX`] of them (less if the operating system
//! gives fewer file descriptors).

mod at_once;

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use api::caller::PeerAddress;
use at_once::AtOnce;
use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tower::Service;
use tracing::{debug, warn};

use crate::steady::Steady;

/// Connections that are open at once, over all listeners of one kind.
pub const CONNECTIONS_MAX: u32 = 20_000;
/// Connections that the operating system holds until they are accepted. With the 128 of the standard
/// library a crowd waits a second for its second try.
const BACKLOG_MAX: u32 = 4096;
/// File descriptors that are left for everything that is no connection of a client.
const DESCRIPTORS_RESERVED: u64 = 512;
/// How long the last answers on a closing connection may take to be sent.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(600);
/// How long the rest of a first word is waited for before it is looked at again.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How long a listener rests when it can not accept (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most headers of one request, and most bytes of them.
const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Requests that an HTTP/2 peer may begin and take back before they were looked at, and mistakes that it
/// may make; past it the connection ends.
const RESETS_MAX: usize = 20;
const MISTAKES_MAX: usize = 100;
/// What may arrive on an HTTP/2 stream and on all of a connection before it is asked for, and what of an
/// answer waits beside the connection, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How often an HTTP/2 peer is asked whether it is still there, and how long it may think.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a peer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a new connection may take until its first request has been read.
    pub first_request: Duration,
    /// How long a connection may stay open without a request. Longer than the 60 s that reverse
    /// proxies keep theirs, so that it is they who close it and no request is lost in between.
    pub idle: Duration,
    /// How long a peer may take nothing of what it is sent.
    pub stalled: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (first_request, idle) = (Duration::from_secs(10), Duration::from_secs(75));
        Self { first_request, idle, stalled: Duration::from_secs(30) }
    }
}

/// A bound socket that serves `router` once [`Door::serve`] runs.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    places: Arc<Semaphore>,
    places_max: u32,
    patience: Patience,
}

impl Door {
    /// Takes `address`; port 0 takes a free one. At most `connections_max` are open at once.
    pub fn open(address: SocketAddr, router: Router, connections_max: u32) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait until the last connections of the old process are forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG_MAX)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            router,
            places: Arc::new(Semaphore::new(connections_max as usize)),
            places_max: connections_max,
            patience: Patience::default(),
        })
    }

    /// The same door with another patience.
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop` turns true, then returns when all answers under way have been sent,
    /// or after `drain_max`.
    pub async fn serve(self, mut stop: watch::Receiver<bool>, drain_max: Duration) {
        let builders = Arc::new(Builders::new(self.patience));
        let patience = self.patience;
        let open = metrics::gauge!("hearth_connections_open");
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = self.accept() => accepted,
            };
            let Some((stream, peer, place)) = accepted else {
                continue;
            };
            let (builders, router, stop) = (builders.clone(), self.router.clone(), stop.clone());
            let open = open.clone();
            tokio::spawn(async move {
                open.increment(1);
                converse(&builders, stream, peer, router, (patience, stop)).await;
                open.decrement(1);
                drop(place);
            });
        }
        drop(self.listener);
        let all_closed = self.places.acquire_many(self.places_max);
        if timeout(drain_max, all_closed).await.is_err() {
            let open = self.places_max as usize - self.places.available_permits();
            warn!(open, "closing connections that did not finish");
        }
    }

    /// The next connection, as soon as there is place for one.
    async fn accept(&self) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, peer)) => Some((stream, peer, place)),
            // The peer has gone already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => None,
            Err(error) => {
                warn!(%error, "no connection can be accepted");
                sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// How many connections of clients this process can hold: asks the operating system for as many
/// file descriptors as it may give.
pub fn connections_max() -> u32 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None means: no limit.
    let descriptors = descriptors.unwrap_or(u64::MAX);
    let places = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(64);
    u32::try_from(places).map_or(CONNECTIONS_MAX, |places| places.min(CONNECTIONS_MAX))
}

/// How connections are served, by the version of HTTP that they begin with.
struct Builders {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Builders {
    fn new(patience: Patience) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // Runs while the connection waits for a request, too.
            .header_read_timeout(patience.idle)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEADER_BYTES_MAX);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(HEADER_BYTES_MAX as u32)
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(MISTAKES_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Builders { http1, http2 }
    }
}

/// Whether a peer begins with the preface of HTTP/2. Looks without taking: hyper, left to find out by
/// itself, takes the beginning of a request for an answer, and its buffer, which lives as long as
/// the connection, doubles.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    // No method of HTTP/1 begins like it.
    const PREFACE: &[u8; 4] = b"PRI ";
    let mut beginning = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut beginning).await?;
        if count == PREFACE.len() || !PREFACE.starts_with(&beginning[..count]) || count == 0 {
            return Ok(beginning == *PREFACE);
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// Serves one connection until its end.
async fn converse(
    builders: &Builders,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    (patience, mut stop): (Patience, watch::Receiver<bool>),
) {
    // Answers are written whole: waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "connection lost");
        return;
    }
    let http2 = tokio::select! {
        first = timeout(patience.first_request, speaks_http2(&stream)) => first,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let requests = Arc::new(Requests::default());
    let counted = requests.clone();
    let service = service_fn(move |request| answer(&router, request, peer, &counted));
    let stream = TokioIo::new(Steady::new(stream, patience.stalled));
    match http2 {
        Ok(Ok(false)) => {
            let connection = builders.http1.serve_connection(stream, service);
            attend(connection, requests, (patience, stop)).await;
        }
        // In a box: most speak HTTP/1 here, the newer one to the proxy in front.
        Ok(Ok(true)) => {
            let connection = builders.http2.serve_connection(stream, service);
            Box::pin(attend(connection, requests, (patience, stop))).await;
        }
        Ok(Err(_)) | Err(_) => {}
    }
}

/// Sees a connection to its end: that of its own, or because the server stops or its peer asks nothing.
async fn attend(
    connection: impl GracefulConnection<Error = hyper::Error>,
    requests: Arc<Requests>,
    (patience, mut stop): (Patience, watch::Receiver<bool>),
) {
    let mut connection = pin!(connection);
    tokio::select! {
        // What has arrived is read first: who was not heard for a while, because this machine stood still,
        // was not silent.
        biased;
        ended = AtOnce::new(connection.as_mut()) => return log_end(ended),
        _ = stop.wait_for(|stop| *stop) => {}
        neglected = neglect(&requests, patience) => if neglected { return },
    }
    connection.as_mut().graceful_shutdown();
    match timeout(LAST_ANSWERS_MAX, connection).await {
        Ok(ended) => log_end(ended),
        Err(_) => debug!("connection closed: its peer does not read"),
    }
}

/// Returns when the peer has not asked anything for too long: true if it never has.
async fn neglect(requests: &Requests, patience: Patience) -> bool {
    sleep(patience.first_request).await;
    let mut last = requests.seen.load(Relaxed);
    if last == 0 {
        return true;
    }
    loop {
        sleep(patience.idle).await;
        let seen = requests.seen.load(Relaxed);
        if seen == last && requests.under_way.load(Relaxed) == 0 {
            return false;
        }
        last = seen;
    }
}

fn answer(
    router: &Router,
    mut request: Request<Incoming>,
    peer: SocketAddr,
    requests: &Arc<Requests>,
) -> impl Future<Output = Result<axum::response::Response, std::convert::Infallible>> + use<> {
    let under_way = UnderWay::begin(requests.clone());
    request.extensions_mut().insert(PeerAddress(peer.ip()));
    let answered = router.clone().call(request);
    async move {
        let _under_way = under_way;
        answered.await
    }
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

/// What a connection has been asked.
#[derive(Default)]
struct Requests {
    seen: AtomicU32,
    under_way: AtomicU32,
}

/// Counts a request as under way until it is dropped, answered or not.
struct UnderWay(Arc<Requests>);

impl UnderWay {
    fn begin(requests: Arc<Requests>) -> Self {
        requests.seen.fetch_add(1, Relaxed);
        requests.under_way.fetch_add(1, Relaxed);
        Self(requests)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
