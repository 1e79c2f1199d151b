//! User-interactive authentication: has people prove themselves before something that matters.
//! <https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>
//!
//! A [`session`] is a ticket: bound to one operation, one user and the body of the first request, good
//! for [`SESSION_LIFE_MS`], on every node and after a restart. Only what its stages found out is
//! written, once a stage is completed and others are left to do.
//!
//! A stage is an entry in the table of [`stages`]: what it does with a request, and with the form of
//! its page ([`fallback`]). It may need several requests, and it may be completed out of band
//! ([`complete_outside`]): then the client comes back with nothing but the session.

pub(super) mod address;
pub mod captcha;
pub mod fallback;
pub mod session;
pub mod stages;

use std::net::IpAddr;

use ruma::UserId;
use serde_json::{Map, Value, json};
use store::{Batch, uia};

use self::{
    session::{Kept, Progress, Session},
    stages::{Ask, Found},
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// How long somebody may take from the first request to the last, in milliseconds.
pub const SESSION_LIFE_MS: i64 = 60 * 60 * 1000;

/// What somebody wants to do, and how they can prove that they may.
#[derive(Clone, Debug, Default)]
pub struct Operation<'a> {
    /// The operation: a session for another one does not count.
    pub name: &'static str,
    /// Whose account it is about, if they have one already.
    pub user: Option<&'a UserId>,
    /// The request without `auth`, if it must stay the same from the first stage to the last.
    pub body: Option<&'a Map<String, Value>>,
    /// The ways to prove it, each a list of stages in order.
    pub flows: Vec<Vec<&'static str>>,
    /// Where the request comes from, if that is known.
    pub address: Option<IpAddr>,
}

/// What the stages found out.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The session, by its hash; `None` if the client began none.
    pub session: Option<[u8; 32]>,
    /// What was written of it before.
    stored: Option<(String, String)>,
    /// The stages that were completed, separated by spaces.
    completed: String,
    /// What each stage found out, by its name.
    facts: Map<String, Value>,
}

impl Proof {
    /// What the stage `name` found out, if it is an object.
    pub fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.facts.get(name).and_then(Value::as_object)
    }

    /// What the stage `name` found out, if it is text.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.get(name).and_then(Value::as_str)
    }
}

/// Why a stage was not completed.
pub enum Failed {
    /// The client may try again: status 401 with the flows, this errcode and text.
    Again(&'static str, &'static str),
    /// Another answer altogether.
    Refused(Refusal),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Failed::Refused(refusal)
    }
}

impl From<store::Error> for Failed {
    fn from(error: store::Error) -> Self {
        Failed::Refused(error.into())
    }
}

/// Goes one stage further with `auth`, the `auth` of the request. Answers once a whole flow is
/// completed, so that the operation can be done.
///
/// # Errors
/// Status 401 with `flows`, `params`, `session` and `completed` while something is left to do; with
/// `errcode` and `error` as well if a stage failed, and with further keys if the stage needs more
/// requests. `M_BAD_JSON` if `auth` is malformed.
pub async fn prove(
    home: &Home,
    operation: &Operation<'_>,
    auth: Option<&Map<String, Value>>,
) -> Answer<Proof> {
    let (progress, more) = go_on(home, operation, auth).await?;
    if progress.is_through(&operation.flows) {
        return Ok(progress.proof());
    }
    match progress.keep(home).await? {
        Kept::Durably => Err(operation.challenge(home, &progress, None, more)),
        Kept::Overtaken => {
            let progress = Progress::read(home, progress.session).await?;
            Err(operation.challenge(home, &progress, None, more))
        }
    }
}

/// Where a session stands after [`step`].
pub struct Step {
    /// The session.
    pub session: String,
    /// The stage that comes next; `None` if a whole flow is completed.
    pub next: Option<&'static str>,
    /// Further keys of the answer, if the stage needs more requests.
    pub more: Map<String, Value>,
    /// Whether the stage was completed.
    pub completed: bool,
}

/// Goes one stage further, and does nothing else: the operation is done by a later request, which
/// comes with the session alone. This is how the first version of the API proves things.
///
/// # Errors
/// Those of [`prove`], but not while something is left to do.
pub async fn step(home: &Home, operation: &Operation<'_>, auth: &Map<String, Value>) -> Answer<Step> {
    let (progress, more) = go_on(home, operation, Some(auth)).await?;
    if let Kept::Overtaken = progress.keep(home).await? {
        return Err(overtaken());
    }
    let done = progress.completed.len();
    let next = operation
        .flows
        .iter()
        .find(|flow| flow.iter().zip(&progress.completed).all(|(is, was)| is == was) && flow.len() >= done);
    let stage = auth.get("type").and_then(Value::as_str).unwrap_or_default();
    Ok(Step {
        next: next.and_then(|flow| flow.get(done)).copied(),
        completed: progress.has(stage),
        session: progress.session.ticket,
        more,
    })
}

/// The progress after the stage of `auth`, not yet written, and further keys for the answer.
async fn go_on(
    home: &Home,
    operation: &Operation<'_>,
    auth: Option<&Map<String, Value>>,
) -> Answer<(Progress, Map<String, Value>)> {
    let begin = || Progress::begin(home, operation);
    let Some(auth) = auth.filter(|auth| !auth.is_empty()) else {
        return Err(operation.challenge(home, &begin(), None, Map::new()));
    };
    let (stage, shown) = (text(auth, "type")?, text(auth, "session")?);
    let mut progress = match shown.map(|ticket| Session::read(home, ticket)) {
        None => begin(),
        Some(Some(session)) if session.is_of(home, operation) => Progress::read(home, session).await?,
        Some(_) => {
            let why =
                ("M_UNKNOWN", "This session is unknown, has expired or was for another request: start again");
            return Err(operation.challenge(home, &begin(), Some(why), Map::new()));
        }
    };
    let Some(stage) = stage.filter(|stage| !progress.has(stage)) else {
        return Ok((progress, Map::new()));
    };
    let known = stages::named(stage).filter(|stage| progress.may_go_on(&operation.flows, stage.name));
    let Some(known) = known else {
        let why = ("M_UNRECOGNIZED", "That stage is not the next one in any of the flows");
        return Err(operation.challenge(home, &progress, Some(why), Map::new()));
    };
    let ask = Ask {
        home,
        user: operation.user,
        session: &progress.session,
        auth,
        kept: progress.kept(stage),
        address: operation.address,
    };
    match (known.request)(ask).await {
        Ok(Found::Done(fact)) => {
            progress.complete(stage, fact);
            Ok((progress, Map::new()))
        }
        Ok(Found::NotYet { kept, more }) => {
            kept.into_iter().for_each(|kept| progress.keep_for(stage, kept));
            Ok((progress, more))
        }
        Err(Failed::Again(errcode, error)) => {
            Err(operation.challenge(home, &progress, Some((errcode, error)), Map::new()))
        }
        Err(Failed::Refused(refusal)) => Err(refusal),
    }
}

/// Completes `stage` of `session` for somebody who proved it elsewhere: on a page, at another service.
/// The client then comes back with the session alone.
///
/// # Errors
/// `M_UNRECOGNIZED` if `stage` is not the next one, `M_UNKNOWN` if somebody else goes on with the
/// session at the same time.
pub async fn complete_outside(home: &Home, session: Session, stage: &str, fact: Value) -> Answer<()> {
    let mut progress = Progress::read(home, session).await?;
    if progress.has(stage) {
        return Ok(());
    }
    if !progress.may_go_on(&progress.session.flows, stage) {
        return Err(not_next());
    }
    progress.complete(stage, fact);
    match progress.keep(home).await? {
        Kept::Durably => Ok(()),
        Kept::Overtaken => Err(overtaken()),
    }
}

/// The session that `ticket` is, if it is one of `operation`; a new one without a ticket.
///
/// # Errors
/// `M_UNKNOWN`
pub fn session(home: &Home, operation: &Operation<'_>, ticket: Option<&str>) -> Answer<Session> {
    let Some(ticket) = ticket else { return Ok(Session::begin(home, operation)) };
    let session = Session::read(home, ticket).filter(|session| session.is_of(home, operation));
    session.ok_or_else(|| Refusal::unknown("This session is unknown or has expired: start again"))
}

/// Keeps `value` for `stage` of `session`, which is to be completed by [`complete_outside`].
///
/// # Errors
/// `M_UNRECOGNIZED` if `stage` is not the next one, `M_UNKNOWN` if somebody else goes on with the
/// session at the same time.
pub async fn keep_outside(home: &Home, session: Session, stage: &str, value: Value) -> Answer<()> {
    let mut progress = Progress::read(home, session).await?;
    if !progress.may_go_on(&progress.session.flows, stage) {
        return Err(not_next());
    }
    progress.keep_for(stage, value);
    match progress.keep(home).await? {
        Kept::Durably => Ok(()),
        Kept::Overtaken => Err(overtaken()),
    }
}

/// What was kept for `stage` of `session`.
///
/// # Errors
/// If the database does not answer.
pub async fn kept_outside(home: &Home, session: Session, stage: &str) -> Answer<Option<Value>> {
    Ok(Progress::read(home, session).await?.kept(stage).cloned())
}

fn not_next() -> Refusal {
    Refusal::new(400, "M_UNRECOGNIZED", "That stage is not the next one in any of the flows")
}

fn overtaken() -> Refusal {
    Refusal::unavailable("Somebody else goes on with this session: try again")
}

/// Adds to `batch` what `proof` led to, so that the last request can be answered once more. Refuses the
/// batch if the session led to something else in the meantime.
pub fn remember(home: &Home, batch: &mut Batch, proof: &Proof, name: &str, led_to: &str) {
    let Some(session) = &proof.session else { return };
    let mut facts = proof.facts.clone();
    facts.insert(name.to_owned(), led_to.into());
    let facts = Value::Object(facts).to_string();
    match &proof.stored {
        None => uia::begin(batch, session, &proof.completed, facts, home.clock.now_ms()),
        Some(stored) => uia::go_on(batch, session, stored, &proof.completed, facts),
    }
}

/// Adds to `batch` that `proof` has been used: the same session proves nothing any more.
pub fn use_up(batch: &mut Batch, proof: &Proof) {
    if let Some(session) = &proof.session {
        uia::remove(batch, session);
    }
}

fn text<'a>(auth: &'a Map<String, Value>, key: &str) -> Answer<Option<&'a str>> {
    match auth.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::bad_json(format!("auth.{key} must be text"))),
    }
}

impl Operation<'_> {
    /// What is left to do.
    fn challenge(
        &self,
        home: &Home,
        progress: &Progress,
        why: Option<(&'static str, &'static str)>,
        more: Map<String, Value>,
    ) -> Refusal {
        let stages = self.flows.iter().flatten().copied();
        let params = stages
            .filter_map(|stage| Some((stage.to_owned(), stages::params(home, stage, &progress.session)?)));
        let flows: Vec<_> = self.flows.iter().map(|stages| json!({ "stages": stages })).collect();
        let (errcode, error) = why.unwrap_or_default();
        let mut refusal = Refusal::new(401, errcode, error);
        for (key, value) in more {
            refusal = refusal.with(&key, value);
        }
        refusal
            .with("flows", flows.into())
            .with("params", Value::Object(params.collect()))
            .with("session", progress.session.ticket.clone().into())
            .with("completed", progress.completed.clone().into())
    }
}
