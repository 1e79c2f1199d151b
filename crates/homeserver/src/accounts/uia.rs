//! User-interactive authentication: has people prove themselves before something that matters.
//! <https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>
//!
//! A session is a ticket: bound to one operation, one user and the body of the first request, good
//! for [`SESSION_LIFE_MS`], on every node and after a restart. Only what its stages found out is
//! written, once a stage is completed and others are left to do.
//!
//! A stage is a function in the table of [`stages`].

pub mod stages;

use ruma::UserId;
use serde_json::{Map, Value, json};
use store::{Batch, uia};

use super::ticket;
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// How long somebody may take from the first request to the last, in milliseconds.
pub const SESSION_LIFE_MS: i64 = 60 * 60 * 1000;

/// Bytes of a session that is looked at; longer ones are none of ours.
const SESSION_BYTES_MAX: usize = 128;

/// What somebody wants to do, and how they can prove that they may.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// The operation: a session for another one does not count.
    pub name: &'static str,
    /// Whose account it is about, if they have one already.
    pub user: Option<&'a UserId>,
    /// The request without `auth`, if it must stay the same from the first stage to the last.
    pub body: Option<&'a Map<String, Value>>,
    /// The ways to prove it, each a list of stages in order.
    pub flows: Vec<Vec<&'static str>>,
}

/// What the stages found out.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The session, by its hash; `None` if the client began none.
    pub session: Option<[u8; 32]>,
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

/// How far a session has come.
struct Progress {
    ticket: String,
    /// Whether the client showed it.
    shown: bool,
    completed: Vec<String>,
    facts: Map<String, Value>,
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
/// `errcode` and `error` as well if a stage failed. `M_BAD_JSON` if `auth` is malformed.
pub async fn prove(
    home: &Home,
    operation: &Operation<'_>,
    auth: Option<&Map<String, Value>>,
) -> Answer<Proof> {
    let Some(auth) = auth.filter(|auth| !auth.is_empty()) else {
        return Err(operation.challenge(home, &Progress::begin(home, operation), None));
    };
    let (stage, shown) = (text(auth, "type")?, text(auth, "session")?);
    let mut progress = match shown {
        None => Progress::begin(home, operation),
        Some(ticket) if operation.issued(home, ticket) => Progress::read(home, ticket).await?,
        Some(_) => {
            let why =
                ("M_UNKNOWN", "This session is unknown, has expired or was for another request: start again");
            return Err(operation.challenge(home, &Progress::begin(home, operation), Some(why)));
        }
    };
    let done = |progress: &Progress, stage: &str| progress.completed.iter().any(|done| done == stage);
    if let Some(stage) = stage.filter(|stage| !done(&progress, stage)) {
        operation.complete(home, &mut progress, stage, auth).await?;
    }
    if operation.flows.iter().any(|flow| flow.iter().all(|stage| done(&progress, stage))) {
        return Ok(progress.proof());
    }
    progress.keep(home).await?;
    Err(operation.challenge(home, &progress, None))
}

/// Adds to `batch` what `proof` led to, so that the last request can be answered once more.
pub fn remember(home: &Home, batch: &mut Batch, proof: &Proof, name: &str, led_to: &str) {
    let Some(session) = &proof.session else { return };
    let mut facts = proof.facts.clone();
    facts.insert(name.to_owned(), led_to.into());
    uia::put(batch, session, &proof.completed, Value::Object(facts).to_string(), home.clock.now_ms());
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
    /// What tickets of this operation are good for, if `body` is the body of the request.
    fn purpose(&self, body: Option<&Map<String, Value>>) -> [u8; 32] {
        let user = self.user.map(UserId::as_bytes).unwrap_or_default();
        let body = body.map(|body| Value::Object(body.clone()).to_string()).unwrap_or_default();
        ticket::purpose(&[b"uia", self.name.as_bytes(), user, body.as_bytes()])
    }

    /// Whether `ticket` is a session of this operation that has not expired. Clients may begin with
    /// an empty body, to learn the flows.
    fn issued(&self, home: &Home, ticket: &str) -> bool {
        let empty = Map::new();
        let good = |body| ticket::is_valid(home, ticket, &self.purpose(body), SESSION_LIFE_MS);
        ticket.len() <= SESSION_BYTES_MAX && (good(self.body) || good(self.body.map(|_| &empty)))
    }

    /// Completes `stage`, if it is one that comes next.
    async fn complete(
        &self,
        home: &Home,
        progress: &mut Progress,
        stage: &str,
        auth: &Map<String, Value>,
    ) -> Answer<()> {
        let next = |flow: &&Vec<&'static str>| {
            let at = progress.completed.len();
            flow.get(at) == Some(&stage) && flow.iter().zip(&progress.completed).all(|(is, was)| is == was)
        };
        let check = self.flows.iter().find(next).and_then(|_| stages::named(stage));
        let Some(check) = check else {
            let why = ("M_UNRECOGNIZED", "That stage is not the next one in any of the flows");
            return Err(self.challenge(home, progress, Some(why)));
        };
        match check(home, self.user, auth).await {
            Ok(fact) => {
                progress.completed.push(stage.to_owned());
                progress.facts.insert(stage.to_owned(), fact);
                Ok(())
            }
            Err(Failed::Again(errcode, error)) => Err(self.challenge(home, progress, Some((errcode, error)))),
            Err(Failed::Refused(refusal)) => Err(refusal),
        }
    }

    /// What is left to do.
    fn challenge(
        &self,
        home: &Home,
        progress: &Progress,
        why: Option<(&'static str, &'static str)>,
    ) -> Refusal {
        let mut stages: Vec<_> = self.flows.iter().flatten().copied().collect();
        stages.dedup();
        let params =
            stages.into_iter().filter_map(|stage| Some((stage.to_owned(), stages::params(home, stage)?)));
        let flows: Vec<_> = self.flows.iter().map(|stages| json!({ "stages": stages })).collect();
        let (errcode, error) = why.unwrap_or_default();
        Refusal::new(401, errcode, error)
            .with("flows", flows.into())
            .with("params", Value::Object(params.collect()))
            .with("session", progress.ticket.clone().into())
            .with("completed", progress.completed.clone().into())
    }
}

impl Progress {
    fn begin(home: &Home, operation: &Operation<'_>) -> Self {
        let ticket = ticket::issue(home, &operation.purpose(operation.body));
        Progress { ticket, shown: false, completed: Vec::new(), facts: Map::new() }
    }

    async fn read(home: &Home, ticket: &str) -> Answer<Self> {
        let stored = uia::get(&home.db, &hash(ticket)).await?;
        let (completed, facts) = stored.unwrap_or_default();
        let facts = serde_json::from_str(&facts).unwrap_or_default();
        let completed = completed.split_ascii_whitespace().map(str::to_owned).collect();
        Ok(Progress { ticket: ticket.to_owned(), shown: true, completed, facts })
    }

    async fn keep(&self, home: &Home) -> Answer<()> {
        if self.completed.is_empty() {
            return Ok(());
        }
        let facts = Value::Object(self.facts.clone()).to_string();
        let mut batch = Batch::new();
        uia::put(&mut batch, &hash(&self.ticket), &self.completed.join(" "), facts, home.clock.now_ms());
        home.db.commit(batch).await?;
        Ok(())
    }

    fn proof(self) -> Proof {
        Proof {
            session: self.shown.then(|| hash(&self.ticket)),
            completed: self.completed.join(" "),
            facts: self.facts,
        }
    }
}

fn hash(ticket: &str) -> [u8; 32] {
    *blake3::hash(ticket.as_bytes()).as_bytes()
}
