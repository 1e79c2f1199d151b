//! Identity servers: they check addresses where this server does not, and tell others whose they are.
//! <https://spec.matrix.org/v1.19/identity-service-api/>
//!
//! Only those are asked that the operator names: the word of one is enough to get into an account.
//! Clients without a token for one speak the identity API of 2015 (`/_matrix/identity/api/v1`).

use reqwest::Method;
use ruma::UserId;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use store::threepids::BindingRow;

use super::{
    Medium, Validated,
    credentials::{Credentials, must_be_opaque},
    request::{Requested, Wish},
};
use crate::{
    Home,
    outgoing::{self, Error, Load},
    refusal::{Answer, Refusal},
};

/// Characters of what an identity server says about an error that are passed on.
const ERROR_CHARACTERS_MAX: usize = 300;

/// What identity servers refuse with, and clients may know of. Anything else is `M_UNKNOWN`.
const ERRCODES: [&str; 13] = [
    "M_DESTINATION_REJECTED",
    "M_EMAIL_SEND_ERROR",
    "M_FORBIDDEN",
    "M_INVALID_ADDRESS",
    "M_INVALID_EMAIL",
    "M_INVALID_PARAM",
    "M_LIMIT_EXCEEDED",
    "M_NO_VALID_SESSION",
    "M_SEND_ERROR",
    "M_SESSION_EXPIRED",
    "M_SESSION_NOT_VALIDATED",
    "M_TERMS_NOT_SIGNED",
    "M_UNAUTHORIZED",
];

/// Whether the operator trusts any identity server.
pub fn is_configured(home: &Home) -> bool {
    !home.config.identity.trusted_servers.is_empty()
}

/// An identity server that the operator trusts.
pub(super) struct Trusted {
    /// Its name: a host, with a port unless it is the usual one.
    name: String,
    /// What paths are appended to.
    base: String,
}

/// The server that a client calls `name`.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED`
pub(super) fn trusted(home: &Home, name: &str) -> Answer<Trusted> {
    let wanted = plain(name);
    let found = home.config.identity.trusted_servers.iter().find(|server| plain(server) == wanted);
    let found =
        found.ok_or_else(|| Refusal::server_not_trusted("This identity server is not trusted here"))?;
    let scheme = if found.starts_with("http://") { "http" } else { "https" };
    Ok(Trusted { base: format!("{scheme}://{wanted}"), name: wanted })
}

/// The name without what makes a URL of it.
fn plain(name: &str) -> String {
    let name = name.trim();
    let name = name.strip_prefix("https://").or(name.strip_prefix("http://")).unwrap_or(name);
    name.trim_end_matches('/').to_ascii_lowercase()
}

impl Trusted {
    /// The URL of an endpoint: of the API of today for clients that have a token for it.
    pub(super) fn url(&self, token: Option<&str>, endpoint: &str) -> String {
        let version = if token.is_some() { "v2" } else { "api/v1" };
        format!("{}/_matrix/identity/{version}/{endpoint}", self.base)
    }
}

/// Has an identity server send the token that `wish` asks for.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED`, what the server refuses with, 503 if it does not answer.
pub(super) async fn request_token(home: &Home, id_server: &str, wish: &Wish) -> Answer<Requested> {
    #[derive(Deserialize)]
    struct Reply {
        sid: String,
        submit_url: Option<String>,
    }
    let server = trusted(home, id_server)?;
    let token = wish.id_access_token.as_deref();
    let url = server.url(token, &format!("validate/{}/requestToken", wish.medium.as_str()));
    let mut body = json!({ "client_secret": wish.client_secret, "send_attempt": wish.send_attempt });
    match &wish.country {
        Some(country) => {
            body["country"] = country.as_str().into();
            // With the code of its country a number is the same in all of them.
            body["phone_number"] = format!("+{}", wish.address).into();
        }
        None => body["email"] = wish.address.as_str().into(),
    }
    if let Some(next_link) = &wish.next_link {
        body["next_link"] = next_link.as_str().into();
    }
    let reply: Reply = post(home, &url, token, &body).await?;
    must_be_opaque("sid", &reply.sid).map_err(|_| unexpected("a session id that is none"))?;
    Ok(Requested { sid: reply.sid, submit_url: reply.submit_url })
}

/// The address that was validated in a session of an identity server; none if it was not, or not yet.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED`, 503 if the server does not answer.
pub(super) async fn validated(home: &Home, credentials: &Credentials) -> Answer<Option<Validated>> {
    #[derive(Deserialize)]
    struct Reply {
        medium: String,
        address: String,
        validated_at: i64,
    }
    let server = trusted(home, credentials.id_server.as_deref().unwrap_or_default())?;
    let token = credentials.id_access_token.as_deref();
    // Nothing in it needs to be escaped: session ids and secrets have letters, digits and . = _ - only.
    let Credentials { sid, client_secret, .. } = credentials;
    let query = format!("3pid/getValidated3pid?sid={sid}&client_secret={client_secret}");
    let reply: Value = match outgoing::get_json(home, &server.url(token, &query), token).await {
        Ok(reply) => reply,
        Err(Error::Status { status: 400..=499, .. }) => return Ok(None),
        Err(error) => return Err(refusal(error)),
    };
    // In 2015 a session that was not validated was a 200 with an errcode.
    let Ok(Reply { medium, address, validated_at }) = serde_json::from_value(reply) else { return Ok(None) };
    let medium = Medium::named(&medium);
    let known = medium.and_then(|medium| Some((medium, medium.canonical(&address)?)));
    Ok(known.map(|(medium, address)| Validated { medium, address, validated_ts: validated_at, sid: None }))
}

/// Has an identity server tell others that the address of a session belongs to `user_id`. Answers what is
/// bound now.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED`, `M_MISSING_PARAM`, what the server refuses with, 503 if it does not answer.
pub(super) async fn bind(home: &Home, user_id: &UserId, credentials: &Credentials) -> Answer<BindingRow> {
    #[derive(Deserialize)]
    struct Reply {
        medium: String,
        address: String,
    }
    let id_server = credentials.id_server.as_deref();
    let server = trusted(home, id_server.ok_or_else(|| Refusal::missing_param("id_server is missing"))?)?;
    let token = credentials.id_access_token.as_deref();
    let Credentials { sid, client_secret, .. } = credentials;
    let body = json!({ "sid": sid, "client_secret": client_secret, "mxid": user_id });
    let reply: Reply = post(home, &server.url(token, "3pid/bind"), token, &body).await?;
    let medium = Medium::named(&reply.medium);
    let known = medium.and_then(|medium| Some((medium, medium.canonical(&reply.address)?)));
    let (medium, address) = known.ok_or_else(|| unexpected("an address that is none"))?;
    Ok(BindingRow { medium: medium.as_str().to_owned(), address, id_server: server.name })
}

/// Has an identity server tell others no more that an address belongs to `user_id`. Answers whether it does
/// so.
pub(super) async fn unbind(home: &Home, user_id: &UserId, binding: &BindingRow) -> bool {
    const PATH: &str = "/_matrix/identity/v2/3pid/unbind";
    let Ok(server) = trusted(home, &binding.id_server) else { return false };
    let threepid = json!({ "medium": binding.medium, "address": binding.address });
    let content = json!({ "mxid": user_id, "threepid": threepid });
    let Some(authorization) = signed(home, &server.name, PATH, &content) else { return false };
    let load = Load {
        headers: &[("authorization", authorization)],
        body: Some(("application/json", content.to_string().into_bytes())),
        ..Load::default()
    };
    match outgoing::send(home, Method::POST, &format!("{}{PATH}", server.base), load).await {
        Ok(reply) if (200..300).contains(&reply.status) => true,
        Ok(reply) => {
            tracing::info!(server = server.name, status = reply.status, "identity server did not unbind");
            false
        }
        Err(error) => {
            tracing::warn!(server = server.name, %error, "identity server did not unbind");
            false
        }
    }
}

/// `Authorization` by which another server knows that a `POST` comes from this one.
/// <https://spec.matrix.org/v1.19/server-server-api/#request-authentication>
fn signed(home: &Home, destination: &str, path: &str, content: &Value) -> Option<String> {
    let origin = home.server_name();
    let request = json!({
        "method": "POST", "uri": path, "origin": origin, "destination": destination, "content": content,
    });
    let mut request = rules::canonical::canonical_object(request.to_string().as_bytes()).ok()?;
    home.signing_key.sign_json(origin, &mut request).ok()?;
    let key = home.signing_key.key_id().as_str();
    let signature = request.get("signatures")?.as_object()?.get(origin.as_str())?.as_object()?.get(key)?;
    let signature = signature.as_str()?;
    Some(format!(
        "X-Matrix origin=\"{origin}\",destination=\"{destination}\",key=\"{key}\",sig=\"{signature}\""
    ))
}

/// `POST` of JSON to an identity server.
///
/// # Errors
/// As [`refusal`].
pub(super) async fn post<T: DeserializeOwned>(
    home: &Home,
    url: &str,
    token: Option<&str>,
    body: &Value,
) -> Answer<T> {
    outgoing::post_json(home, url, token, body).await.map_err(refusal)
}

/// What clients are told: what the identity server says, if it says it as the specification wants.
pub(super) fn refusal(error: Error) -> Refusal {
    let failed = |cause: String| {
        let mut refusal = Refusal::unavailable("The identity server can not be asked at the moment");
        refusal.cause = Some(format!("identity server {cause}").into());
        refusal
    };
    let Error::Status { status: status @ 400..=499, body } = &error else { return failed(error.to_string()) };
    #[derive(Deserialize)]
    struct Said {
        errcode: String,
        #[serde(default)]
        error: String,
    }
    let Ok(said) = serde_json::from_slice::<Said>(body) else { return failed(error.to_string()) };
    let errcode = ERRCODES.iter().find(|known| **known == said.errcode).copied().unwrap_or("M_UNKNOWN");
    let message: String = said.error.chars().take(ERROR_CHARACTERS_MAX).collect();
    let message = if message.is_empty() { "The identity server refuses".to_owned() } else { message };
    match errcode {
        "M_LIMIT_EXCEEDED" => Refusal::limit_exceeded(std::time::Duration::from_secs(10)),
        // A 401 would be about the session here.
        _ => Refusal::new(if *status == 401 { 403 } else { *status }, errcode, message),
    }
}

/// The identity server does not answer as the specification wants.
pub(super) fn unexpected(what: &str) -> Refusal {
    let mut refusal = Refusal::unavailable("The identity server can not be asked at the moment");
    refusal.cause = Some(format!("identity server answered {what}").into());
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_name() {
        for name in
            ["ID.example.org", "https://id.example.org", "https://id.example.org/", " id.example.org "]
        {
            assert_eq!(plain(name), "id.example.org");
        }
        assert_ne!(plain("id.example.org:8090"), plain("id.example.org"));
        assert_ne!(plain("id.example.org@evil.example"), plain("id.example.org"));
    }
}
