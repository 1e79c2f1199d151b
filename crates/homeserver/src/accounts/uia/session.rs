//! Sessions of user-interactive authentication: what they are for, and how far they have come.
//!
//! A session is a sealed ticket ([`ticket`](super::super::ticket)) that says which operation it began
//! with, of which user, by which flows it can be proved, and a fingerprint of the request's body. So a
//! page that knows nothing but the session can find out what it may do for it, before anything was
//! written, on every node and after a restart; and the operation knows its own sessions again. The
//! fingerprint can be made only by this server, since a body may hold a new password.
//!
//! Written is only what was completed, under the hash of the ticket. A page may write there what it
//! proved; that this is for the right operation, user and body is looked at once more when the client
//! comes with its request.

use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value};
use store::{Batch, uia};

use super::{Operation, Proof, SESSION_LIFE_MS, stages};
use crate::{
    Home,
    accounts::ticket,
    refusal::{Answer, Refusal},
};

const BODY_BYTES: usize = 16;

/// Before the name of a stage: what it kept although it is not completed.
const KEPT: &str = "kept ";

/// What a session is for, as its ticket says.
#[derive(Clone, Debug)]
pub struct Session {
    /// The session as clients know it.
    pub ticket: String,
    /// The operation that it began with.
    pub operation: String,
    /// Whose account it is about, if they have one already.
    pub user: Option<OwnedUserId>,
    /// The ways to prove it, each a list of stages in order.
    pub flows: Vec<Vec<&'static str>>,
    body: [u8; BODY_BYTES],
}

impl Session {
    /// A new session of `operation`.
    pub(super) fn begin(home: &Home, operation: &Operation<'_>) -> Self {
        let body = fingerprint(home, operation.body);
        let mut said = body.to_vec();
        let user = operation.user.map(UserId::as_str).unwrap_or_default();
        let flows = operation.flows.iter().map(|stages| format!("\n{}", stages.join(" ")));
        said.extend_from_slice(format!("{}\n{user}{}", operation.name, flows.collect::<String>()).as_bytes());
        Session {
            ticket: ticket::seal(home, &purpose(), &said),
            operation: operation.name.to_owned(),
            user: operation.user.map(ToOwned::to_owned),
            flows: operation.flows.clone(),
            body,
        }
    }

    /// The session that `ticket` stands for; `None` if it is none of ours or has expired.
    pub fn read(home: &Home, ticket: &str) -> Option<Self> {
        let said = ticket::unseal(home, ticket, &purpose(), SESSION_LIFE_MS)?;
        let (body, text) = said.split_at_checked(BODY_BYTES)?;
        let mut lines = std::str::from_utf8(text).ok()?.split('\n');
        let (operation, user) = (lines.next()?.to_owned(), lines.next()?);
        let user = if user.is_empty() { None } else { Some(UserId::parse(user).ok()?) };
        let named = |stage| stages::named(stage).map(|stage| stage.name);
        let flows: Option<Vec<Vec<_>>> = lines.map(|flow| flow.split(' ').map(named).collect()).collect();
        let ticket = ticket.to_owned();
        Some(Session { ticket, operation, user, flows: flows?, body: body.try_into().ok()? })
    }

    /// Whether this is a session of `operation`. Clients may begin with an empty body, to learn the
    /// flows.
    pub(super) fn is_of(&self, home: &Home, operation: &Operation<'_>) -> bool {
        let empty = Map::new();
        let same = |body| self.body == fingerprint(home, body);
        self.operation == operation.name
            && self.user.as_deref() == operation.user
            && (same(operation.body) || same(operation.body.map(|_| &empty)))
    }

    /// What is known of this session under this name.
    pub(super) fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.ticket.as_bytes()).as_bytes()
    }
}

fn purpose() -> [u8; 32] {
    ticket::purpose(&[b"user-interactive authentication"])
}

fn fingerprint(home: &Home, body: Option<&Map<String, Value>>) -> [u8; BODY_BYTES] {
    let text = body.map(|body| Value::Object(body.clone()).to_string()).unwrap_or_default();
    let whole = ticket::fingerprint(home, &[b"body", text.as_bytes()]);
    let mut body = [0; BODY_BYTES];
    body.copy_from_slice(&whole[..BODY_BYTES]);
    body
}

/// How far a session has come.
pub(super) struct Progress {
    /// The session.
    pub(super) session: Session,
    /// Whether the client showed it.
    pub(super) shown: bool,
    /// The stages that are completed, in order.
    pub(super) completed: Vec<String>,
    facts: Map<String, Value>,
    /// What stands in the database: completed stages and facts.
    stored: Option<(String, String)>,
}

impl Progress {
    pub(super) fn begin(home: &Home, operation: &Operation<'_>) -> Self {
        let session = Session::begin(home, operation);
        Progress { session, shown: false, completed: Vec::new(), facts: Map::new(), stored: None }
    }

    pub(super) async fn read(home: &Home, session: Session) -> Answer<Self> {
        let stored = uia::get(&home.db, &session.hash()).await?;
        let (completed, facts) = stored.clone().unwrap_or_default();
        let facts = serde_json::from_str(&facts).unwrap_or_default();
        let completed = completed.split_ascii_whitespace().map(str::to_owned).collect();
        Ok(Progress { session, shown: true, completed, facts, stored })
    }

    pub(super) fn has(&self, stage: &str) -> bool {
        self.completed.iter().any(|done| done == stage)
    }

    /// Whether a whole flow of `flows` is completed.
    pub(super) fn is_through(&self, flows: &[Vec<&'static str>]) -> bool {
        flows.iter().any(|flow| flow.iter().all(|stage| self.has(stage)))
    }

    /// Whether `stage` is the next one of a flow of `flows`.
    pub(super) fn may_go_on(&self, flows: &[Vec<&'static str>], stage: &str) -> bool {
        let at = self.completed.len();
        let next = |flow: &Vec<&'static str>| {
            flow.get(at) == Some(&stage) && flow.iter().zip(&self.completed).all(|(is, was)| is == was)
        };
        flows.iter().any(next)
    }

    /// What `stage` kept when it was not completed.
    pub(super) fn kept(&self, stage: &str) -> Option<&Value> {
        self.facts.get(&format!("{KEPT}{stage}"))
    }

    pub(super) fn keep_for(&mut self, stage: &str, value: Value) {
        self.facts.insert(format!("{KEPT}{stage}"), value);
    }

    pub(super) fn complete(&mut self, stage: &str, fact: Value) {
        self.facts.remove(&format!("{KEPT}{stage}"));
        self.facts.insert(stage.to_owned(), fact);
        self.completed.push(stage.to_owned());
    }

    /// Writes what is new.
    ///
    /// # Errors
    /// [`Kept::Overtaken`] if somebody else went on with the session in the meantime.
    pub(super) async fn keep(&self, home: &Home) -> Answer<Kept> {
        let (completed, facts) = (self.completed.join(" "), Value::Object(self.facts.clone()).to_string());
        let (mut batch, hash) = (Batch::new(), self.session.hash());
        match &self.stored {
            None if self.facts.is_empty() => return Ok(Kept::Durably),
            Some(stored) if (&stored.0, &stored.1) == (&completed, &facts) => return Ok(Kept::Durably),
            None => uia::begin(&mut batch, &hash, &completed, facts, home.clock.now_ms()),
            Some(stored) => uia::go_on(&mut batch, &hash, stored, &completed, facts),
        }
        match home.db.commit(batch).await {
            Ok(_) => Ok(Kept::Durably),
            Err(store::Error::Refused { .. }) => Ok(Kept::Overtaken),
            Err(error) => Err(Refusal::from(error)),
        }
    }

    pub(super) fn proof(mut self) -> Proof {
        self.facts.retain(|name, _| !name.starts_with(KEPT));
        Proof {
            session: self.shown.then(|| self.session.hash()),
            stored: self.stored,
            completed: self.completed.join(" "),
            facts: self.facts,
        }
    }
}

/// Whether progress was written.
pub(super) enum Kept {
    /// It was, or there was nothing new.
    Durably,
    /// It was not: somebody else went on with the session.
    Overtaken,
}
