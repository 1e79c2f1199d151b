//! How the server says no: the error object of the specification, one constructor for each errcode.
//!
//! Verbs of this crate answer `Result<T, Refusal>`. Whoever asked gets the status, the errcode and
//! a sentence that tells what to do about it; what broke inside is logged, never sent.

use std::{borrow::Cow, fmt, time::Duration};

use serde_json::{Map, Value, json};

/// An answer that is not the one asked for
/// (<https://spec.matrix.org/v1.19/client-server-api/#standard-error-response>).
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `errcode`; empty only in an answer of user-interactive authentication that has none.
    pub errcode: &'static str,
    /// `error`, for people.
    pub message: Cow<'static, str>,
    /// Further keys of the error object.
    pub extra: Option<Box<Map<String, Value>>>,
    /// What went wrong inside, for the log of the operator.
    pub cause: Option<Cow<'static, str>>,
    /// Whether it is for want of the database, as everybody is refused meanwhile.
    pub is_outage: bool,
}

/// What verbs answer.
pub type Answer<T> = Result<T, Refusal>;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident => $status:literal $errcode:literal;)*) => { $(
        $(#[$doc])*
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Self::new($status, $errcode, message)
        }
    )* };
}

impl Refusal {
    /// Any error object.
    pub fn new(status: u16, errcode: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Refusal { status, errcode, message: message.into(), extra: None, cause: None, is_outage: false }
    }

    refusals! {
        /// Who asks may not do that, and why.
        forbidden => 403 "M_FORBIDDEN";
        /// There is no such thing, or none that who asks may know of.
        not_found => 404 "M_NOT_FOUND";
        /// There is no such endpoint.
        unrecognized => 404 "M_UNRECOGNIZED";
        /// There is such an endpoint, but not with this method.
        method_unrecognized => 405 "M_UNRECOGNIZED";
        /// The body is not JSON.
        not_json => 400 "M_NOT_JSON";
        /// The body is JSON, but not what the endpoint takes.
        bad_json => 400 "M_BAD_JSON";
        /// A parameter of the path or the query is missing.
        missing_param => 400 "M_MISSING_PARAM";
        /// A parameter of the path or the query is wrong.
        invalid_param => 400 "M_INVALID_PARAM";
        /// The request or the event is larger than allowed.
        too_large => 413 "M_TOO_LARGE";
        /// Something else about the request is wrong.
        unknown => 400 "M_UNKNOWN";
        /// No access token was given.
        missing_token => 401 "M_MISSING_TOKEN";
        /// The user id or the room alias is taken.
        user_in_use => 400 "M_USER_IN_USE";
        /// The localpart is not one that an account can have.
        invalid_username => 400 "M_INVALID_USERNAME";
        /// The alias belongs to another room already.
        room_in_use => 400 "M_ROOM_IN_USE";
        /// The initial state of a room does not hold together.
        invalid_room_state => 400 "M_INVALID_ROOM_STATE";
        /// Rooms of that version can not be made here.
        unsupported_room_version => 400 "M_UNSUPPORTED_ROOM_VERSION";
        /// Guests may not do that.
        guest_access_forbidden => 403 "M_GUEST_ACCESS_FORBIDDEN";
        /// The user wants no invites.
        invite_blocked => 403 "M_INVITE_BLOCKED";
        /// The account was closed for good.
        user_deactivated => 403 "M_USER_DEACTIVATED";
        /// The account may look but not speak.
        user_suspended => 403 "M_USER_SUSPENDED";
        /// The application service may not do that here.
        exclusive => 400 "M_EXCLUSIVE";
        /// The password does not meet the server's rules.
        weak_password => 400 "M_WEAK_PASSWORD";
        /// The state event names an alias that does not lead to the room.
        bad_alias => 400 "M_BAD_ALIAS";
        /// The address belongs to an account already.
        threepid_in_use => 400 "M_THREEPID_IN_USE";
        /// No account has the address.
        threepid_not_found => 400 "M_THREEPID_NOT_FOUND";
        /// Nobody has shown that the address is theirs.
        threepid_auth_failed => 403 "M_THREEPID_AUTH_FAILED";
        /// The operator does not want the address.
        threepid_denied => 403 "M_THREEPID_DENIED";
        /// Nobody can show here that such an address is theirs.
        threepid_medium_not_supported => 400 "M_THREEPID_MEDIUM_NOT_SUPPORTED";
        /// The operator does not trust the identity server.
        server_not_trusted => 400 "M_SERVER_NOT_TRUSTED";
        /// What was sent to the address is something else.
        token_incorrect => 400 "M_TOKEN_INCORRECT";
        /// What was sent to the address is good no more.
        session_expired => 400 "M_SESSION_EXPIRED";
        /// The server can not do that at the moment; ask again.
        unavailable => 503 "M_UNKNOWN";
    }

    /// The access token is none of ours, or no longer: log in again (`soft_logout` keeps the
    /// client's keys).
    pub fn unknown_token(message: impl Into<Cow<'static, str>>, soft_logout: bool) -> Self {
        Self::new(401, "M_UNKNOWN_TOKEN", message).with("soft_logout", soft_logout.into())
    }

    /// The account is locked: nothing goes but logging out.
    pub fn user_locked() -> Self {
        Self::new(401, "M_USER_LOCKED", "This account is locked; ask the administrator of the server")
            .with("soft_logout", true.into())
    }

    /// Too many requests; ask again after `wait`.
    pub fn limit_exceeded(wait: Duration) -> Self {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        Self::new(429, "M_LIMIT_EXCEEDED", "Too many requests, wait a moment")
            .with("retry_after_ms", wait_ms.into())
    }

    /// The room exists in a version that this server or client does not speak.
    pub fn incompatible_room_version(version: &str) -> Self {
        let message = format!("The room has version {version}");
        Self::new(400, "M_INCOMPATIBLE_ROOM_VERSION", message).with("room_version", version.into())
    }

    /// Something broke inside. Who asks learns only that; `cause` is for the log.
    pub fn broken(cause: impl Into<Cow<'static, str>>) -> Self {
        let mut refusal = Self::new(500, "M_UNKNOWN", "Something broke in the server; it has been logged");
        refusal.cause = Some(cause.into());
        refusal
    }

    /// Adds a key to the error object.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.extra.get_or_insert_default().insert(key.to_owned(), value);
        self
    }

    /// The error object.
    pub fn body(&self) -> Value {
        let mut body = json!({});
        if let Some(extra) = &self.extra {
            body = Value::Object((**extra).clone());
        }
        if !self.errcode.is_empty() {
            body["errcode"] = self.errcode.into();
            body["error"] = self.message.clone().into();
        }
        body
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.status, self.errcode, self.message)?;
        self.cause.iter().try_for_each(|cause| write!(out, " ({cause})"))
    }
}

impl std::error::Error for Refusal {}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        use store::Error::{Broken, Full, Nul, ReadOnly, Refused, Unavailable, Unfit};
        let later = |message: &'static str| {
            let mut refusal = Refusal::unavailable(message);
            refusal.cause = Some(error.to_string().into());
            refusal.is_outage = true;
            refusal.with("retry_after_ms", RETRY_AFTER_MS.into())
        };
        match error {
            Nul => Refusal::bad_json("Text must not contain the character U+0000"),
            Full => later("The server's disk is full; its administrator must make room"),
            ReadOnly => later("The server's database can only be read at the moment"),
            Unavailable(_) => later("The server's database does not answer; try again in a moment"),
            Refused { .. } | Broken(_) | Unfit(_) => Refusal::broken(error.to_string()),
        }
    }
}

/// When a client should ask again if the database is out of order.
pub(crate) const RETRY_AFTER_MS: u64 = 2_000;

impl From<rules::Refused> for Refusal {
    fn from(refused: rules::Refused) -> Self {
        use rules::Refused::{BadJson, NotJson, Resolution, Signature, TooLarge, UnsupportedRoomVersion};
        match refused {
            UnsupportedRoomVersion(_) => Refusal::unsupported_room_version(refused.to_string()),
            NotJson(_) => Refusal::not_json(refused.to_string()),
            BadJson(_) => Refusal::bad_json(refused.to_string()),
            TooLarge { .. } => Refusal::too_large(refused.to_string()),
            Resolution(_) | Signature(_) => Refusal::broken(refused.to_string()),
            _ => Refusal::forbidden(refused.to_string()),
        }
    }
}
