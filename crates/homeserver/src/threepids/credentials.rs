//! How clients name a session in which an address was validated, in the spellings of 2015 and of today.

use serde_json::{Map, Value, json};

use crate::refusal::{Answer, Refusal};

/// Bytes of a session id or a client secret.
pub const SECRET_BYTES_MAX: usize = 255;

/// Bytes of the name of an identity server, and of a token for it.
const SERVER_BYTES_MAX: usize = 2_048;

/// Where credentials may stand.
const NAMES: [&str; 5] =
    ["threepid_creds", "threepidCreds", "three_pid_creds", "threePidCreds", "threePidCredentials"];

/// What names a session.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The session.
    pub sid: String,
    /// The secret of the client that began it.
    pub client_secret: String,
    /// The identity server whose session it is, if it is not ours.
    pub id_server: Option<String>,
    /// With what that server lets the client in.
    pub id_access_token: Option<String>,
}

impl Credentials {
    /// The credentials inside `object`, under any of the names that they have had.
    ///
    /// # Errors
    /// `M_MISSING_PARAM`, `M_BAD_JSON`, `M_INVALID_PARAM`
    pub fn inside(object: &Map<String, Value>) -> Answer<Self> {
        let found = NAMES.iter().find_map(|name| object.get(*name));
        let found = found.ok_or_else(|| Refusal::missing_param("threepid_creds is missing"))?;
        // In 2015 it was a list of them.
        let first = found.as_array().map_or(Some(found), |list| list.first());
        let credentials = first.and_then(Value::as_object);
        Self::read(credentials.ok_or_else(|| Refusal::bad_json("threepid_creds must be an object"))?)
    }

    /// What [`read`](Self::read) takes.
    pub(crate) fn to_json(&self) -> Value {
        let Credentials { sid, client_secret, id_server, id_access_token } = self;
        json!({
            "sid": sid, "client_secret": client_secret,
            "id_server": id_server, "id_access_token": id_access_token,
        })
    }

    /// The credentials that `object` is.
    ///
    /// # Errors
    /// `M_MISSING_PARAM`, `M_BAD_JSON`, `M_INVALID_PARAM`
    pub fn read(object: &Map<String, Value>) -> Answer<Self> {
        let sid = text(object, &["sid"])?.ok_or_else(|| Refusal::missing_param("sid is missing"))?;
        must_be_opaque("sid", sid)?;
        Ok(Credentials {
            sid: sid.to_owned(),
            client_secret: client_secret(object)?.to_owned(),
            id_server: id_server(object)?.map(str::to_owned),
            id_access_token: id_access_token(object)?.map(str::to_owned),
        })
    }
}

/// The client's secret in `object`.
///
/// # Errors
/// `M_MISSING_PARAM`, `M_BAD_JSON`, `M_INVALID_PARAM`
pub fn client_secret(object: &Map<String, Value>) -> Answer<&str> {
    let secret = text(object, &["client_secret", "clientSecret"])?;
    let secret = secret.ok_or_else(|| Refusal::missing_param("client_secret is missing"))?;
    must_be_opaque("client_secret", secret)?;
    Ok(secret)
}

/// The identity server that `object` names.
///
/// # Errors
/// `M_BAD_JSON`, `M_INVALID_PARAM`
pub fn id_server(object: &Map<String, Value>) -> Answer<Option<&str>> {
    bounded(object, &["id_server", "idServer"])
}

/// The token for that server in `object`.
///
/// # Errors
/// `M_BAD_JSON`, `M_INVALID_PARAM`
pub fn id_access_token(object: &Map<String, Value>) -> Answer<Option<&str>> {
    bounded(object, &["id_access_token", "idAccessToken"])
}

fn bounded<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Answer<Option<&'a str>> {
    let found = text(object, names)?;
    if found.is_some_and(|found| found.len() > SERVER_BYTES_MAX) {
        return Err(Refusal::invalid_param(format!("{} is too long", names[0])));
    }
    Ok(found)
}

/// The text that has one of these names.
///
/// # Errors
/// `M_BAD_JSON`
pub(super) fn text<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Answer<Option<&'a str>> {
    match names.iter().find_map(|name| object.get(*name)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::bad_json(format!("{} must be text", names[0]))),
    }
}

/// Refuses what is not of the characters of session ids and client secrets.
pub(super) fn must_be_opaque(name: &str, text: &str) -> Answer<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".=_-".contains(&byte);
    if text.is_empty() || text.len() > SECRET_BYTES_MAX || !text.bytes().all(allowed) {
        let message = format!("{name} has 1 to {SECRET_BYTES_MAX} of the characters 0-9 a-z A-Z . = _ -");
        return Err(Refusal::invalid_param(message));
    }
    Ok(())
}
