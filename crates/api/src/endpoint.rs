//! What an endpoint is: a method, the paths it is served under, and a function
//! `verb(home, who, ask) -> Answer<reply>`.
//!
//! The way of a request: who asks ([`Caller`]), the body within its limits, the question as a type
//! ([`Ask`]), the function, the reply as bytes ([`Reply`]). Whatever goes wrong on it is a
//! [`Refusal`].

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Instant};

use axum::{
    extract::{FromRequestParts, RawPathParams, Request},
    handler::Handler,
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};
use futures_util::FutureExt;
use homeserver::{
    Answer, Home, Refusal,
    limits::{self, Class},
};
use http::{HeaderName, Method};
use ruma::{
    OwnedUserId,
    api::{IncomingRequest, path_builder::PathBuilder},
};
use tracing::Instrument;

use crate::{
    answer::{self, Reply},
    body,
    caller::{self, Caller},
    client::legacy,
    pages,
};

/// Under which number the request stands in the log, for who asks about it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One endpoint, ready to be served.
pub struct Endpoint {
    /// The HTTP method.
    pub method: Method,
    /// The paths it is served under, with `{placeholders}`.
    pub paths: Vec<&'static str>,
    /// What it costs whoever asks.
    pub class: Class,
    /// Whether people open it in a browser: its answers are pages.
    pub for_people: bool,
    refuse: Refuse,
    serve: Box<dyn Fn(Class, Refuse) -> MethodRouter<Home>>,
}

/// How an endpoint says no.
type Refuse = fn(&Home, &Refusal) -> Response;

impl Endpoint {
    /// The same endpoint, but each request is taken from the budget of `class`.
    #[must_use]
    pub fn costs(self, class: Class) -> Self {
        Endpoint { class, ..self }
    }

    /// The same endpoint, but people open it in a browser: refusals are pages.
    #[must_use]
    pub fn for_people(self) -> Self {
        Endpoint { for_people: true, refuse: pages::refused::refuse, ..self }
    }

    /// The same endpoint, but it says no as the API of 2015 did.
    #[must_use]
    pub fn as_in_2015(self) -> Self {
        Endpoint { refuse: legacy::refused::refuse, ..self }
    }

    /// What answers.
    pub fn serve(&self) -> MethodRouter<Home> {
        (self.serve)(self.class, self.refuse)
    }
}

/// How a question is read from a request. `How` tells apart ruma's types and our own.
pub trait Ask<How>: Sized + Send + 'static {
    /// Reads it. `path` are the decoded placeholders, in order.
    fn read(request: http::Request<&[u8]>, path: &[&str]) -> Answer<Self>;
}

/// Questions that ruma has a type for.
pub enum Typed {}

impl<T: IncomingRequest + Send + 'static> Ask<Typed> for T {
    fn read(request: http::Request<&[u8]>, path: &[&str]) -> Answer<Self> {
        body::read_typed(request, path)
    }
}

/// An endpoint that ruma knows: method and paths are those of its type.
pub fn endpoint<A, Who, R, How, F, Fut>(verb: F) -> Endpoint
where
    A: IncomingRequest + Send + 'static,
    Who: Caller,
    R: Reply<How>,
    How: 'static,
    F: Fn(Home, Who, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer<R>> + Send,
{
    let paths: Vec<_> = A::PATH_BUILDER.all_paths().collect();
    at::<A, Typed, Who, R, How, F, Fut>(A::METHOD, &paths, verb)
}

/// An endpoint under paths of its own.
pub fn at<A, AskHow, Who, R, How, F, Fut>(method: Method, paths: &[&'static str], verb: F) -> Endpoint
where
    A: Ask<AskHow>,
    Who: Caller,
    R: Reply<How>,
    AskHow: 'static,
    How: 'static,
    F: Fn(Home, Who, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer<R>> + Send,
{
    let name = paths.last().copied().unwrap_or_default();
    let meter = Arc::new(Meter::of(&method, name));
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
    let serve = move |class, refuse: Refuse| {
        on(filter, Desk { name, class, refuse, meter: meter.clone(), verb: verb.clone() })
    };
    let refuse: Refuse = answer::refuse;
    let paths = paths.to_vec();
    Endpoint { method, paths, class: Class::Other, for_people: false, refuse, serve: Box::new(serve) }
}

/// An endpoint at work.
#[derive(Clone)]
struct Desk<F> {
    name: &'static str,
    class: Class,
    refuse: Refuse,
    meter: Arc<Meter>,
    verb: F,
}

/// By hand, for axum's own handlers keep room for a request as long as they work, and many of ours wait.
impl<A, AskHow, Who, R, How, F, Fut> Handler<(A, AskHow, Who, R, How), Home> for Desk<F>
where
    A: Ask<AskHow>,
    Who: Caller,
    R: Reply<How>,
    AskHow: 'static,
    How: 'static,
    F: Fn(Home, Who, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer<R>> + Send,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, home: Home) -> Self::Future {
        let id = home.request_id();
        let span = tracing::info_span!("request", id, endpoint = self.name);
        // In a box of its own: what it takes to read a question is gone while the answer is made.
        let asked = Box::pin(Asked::read(home.clone(), self.class, request));
        let answered = async move {
            let begun = self.meter.begin();
            let served = async {
                let Asked { who, reader, ask } = asked.await?;
                answer::hold(&home, reader, (self.verb)(home.clone(), who, ask).await?.reply()?)
            };
            let served = AssertUnwindSafe(served).catch_unwind().await;
            let mut response = match served.unwrap_or_else(|_| Err(Refusal::broken("the endpoint panicked")))
            {
                Ok(response) => response,
                Err(refusal) => (self.refuse)(&home, &refusal),
            };
            response.headers_mut().insert(REQUEST_ID, id.into());
            self.meter.end(begun, response.status().as_u16());
            response
        };
        Box::pin(answered.instrument(span))
    }
}

/// A question, and who asks it.
struct Asked<Who, A> {
    who: Who,
    /// For whom an answer that waits to be read is held.
    reader: Option<OwnedUserId>,
    ask: A,
}

impl<Who: Caller, A> Asked<Who, A> {
    async fn read<AskHow>(home: Home, class: Class, request: Request) -> Answer<Self>
    where
        A: Ask<AskHow>,
    {
        let (mut parts, stream) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut parts, &()).await;
        let path = path.map_err(|_| Refusal::invalid_param("The path is not percent-encoded UTF-8"))?;
        let path: Vec<&str> = path.iter().map(|(_, value)| value).collect();
        let who: Who = identify(&home, class, &caller::Knock::of(&home, &parts)).await?;
        let reader = who.device().map(|device| device.user_id.clone());
        let body = body::collect(&home, &parts, stream, reader.is_none()).await?;
        let ask = A::read(http::Request::from_parts(parts, &*body), &path)?;
        Ok(Asked { who, reader, ask })
    }
}

/// Who asks, if they may ask so often. Who is not let in pays as well.
async fn identify<Who: Caller>(home: &Home, class: Class, knock: &caller::Knock) -> Answer<Who> {
    let who = Who::identify(home, knock).await;
    let device = who.as_ref().ok().and_then(Caller::device);
    limits::spend(home, class, device, knock.address)?;
    who
}

/// Counts the requests of one endpoint and how long they took.
struct Meter {
    seconds: metrics::Histogram,
    under_way: metrics::Gauge,
    refused: metrics::Counter,
    broken: metrics::Counter,
}

impl Meter {
    fn of(method: &Method, name: &'static str) -> Self {
        let labels = [("method", method.to_string()), ("endpoint", name.to_owned())];
        Meter {
            seconds: metrics::histogram!("hearth_request_seconds", &labels),
            under_way: metrics::gauge!("hearth_requests_under_way", &labels),
            refused: metrics::counter!("hearth_requests_refused_total", &labels),
            broken: metrics::counter!("hearth_requests_broken_total", &labels),
        }
    }

    // How long a request took is measured, not decided upon: the ambient clock is right here.
    #[allow(clippy::disallowed_methods)]
    fn begin(&self) -> Instant {
        self.under_way.increment(1.0);
        Instant::now()
    }

    fn end(&self, begun: Instant, status: u16) {
        self.under_way.decrement(1.0);
        self.seconds.record(begun.elapsed());
        match status {
            500.. => self.broken.increment(1),
            400.. => self.refused.increment(1),
            _ => {}
        }
    }
}
