//! Addresses of people: `/_matrix/client/v3/account/3pid…`, `/_matrix/client/v3/…/requestToken`, and where
//! people show what was sent to an address.

use homeserver::{
    Answer, Home, Refusal,
    threepids::{
        self, Medium, Purpose,
        credentials::Credentials,
        own::{self, Named},
        request::{self, Wish},
        sessions::Next,
    },
    who::{Anyone, Device},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{answer::Json, interactive::Interactive, plain::Plain};

/// `POST /_matrix/client/v3/register/email/requestToken`
pub async fn register_email(home: Home, who: Anyone, ask: Plain) -> Answer<Json> {
    request_token(&home, Purpose::Register, Medium::Email, &who, &ask).await
}

/// `POST /_matrix/client/v3/register/msisdn/requestToken`
pub async fn register_msisdn(home: Home, who: Anyone, ask: Plain) -> Answer<Json> {
    request_token(&home, Purpose::Register, Medium::Msisdn, &who, &ask).await
}

/// `POST /_matrix/client/v3/account/password/email/requestToken`
pub async fn password_email(home: Home, who: Anyone, ask: Plain) -> Answer<Json> {
    request_token(&home, Purpose::Password, Medium::Email, &who, &ask).await
}

/// `POST /_matrix/client/v3/account/password/msisdn/requestToken`
pub async fn password_msisdn(home: Home, who: Anyone, ask: Plain) -> Answer<Json> {
    request_token(&home, Purpose::Password, Medium::Msisdn, &who, &ask).await
}

/// `POST /_matrix/client/v3/account/3pid/email/requestToken`
pub async fn add_email(home: Home, who: Anyone, ask: Plain) -> Answer<Json> {
    request_token(&home, Purpose::Add, Medium::Email, &who, &ask).await
}

/// `POST /_matrix/client/v3/account/3pid/msisdn/requestToken`
pub async fn add_msisdn(home: Home, who: Anyone, ask: Plain) -> Answer<Json> {
    request_token(&home, Purpose::Add, Medium::Msisdn, &who, &ask).await
}

async fn request_token(
    home: &Home,
    purpose: Purpose,
    medium: Medium,
    who: &Anyone,
    ask: &Plain,
) -> Answer<Json> {
    let wish = Wish::read(home, medium, &ask.json::<Map<String, Value>>()?)?;
    Json::of(&request::request_token(home, purpose, &wish, who.address).await?)
}

/// `GET /_matrix/client/v3/account/3pid`: the addresses of the account.
pub async fn list(home: Home, who: Device, _: Plain) -> Answer<Json> {
    let addresses = own::list(&home, &who).await?.into_iter().map(|address| {
        json!({
            "medium": address.medium,
            "address": address.address,
            "validated_at": address.validated_ts,
            "added_at": address.added_ts,
        })
    });
    Json::of(&json!({ "threepids": addresses.collect::<Vec<_>>() }))
}

/// `POST /_matrix/client/v3/account/3pid`: one address more, as in 2015.
pub async fn add_unproved(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    own::add_unproved(&home, &who, &ask.json()?).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/account/3pid/add`: one address more.
pub async fn add(home: Home, who: Device, ask: Interactive) -> Answer<Json> {
    own::add(&home, &who, ask.ask()).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/account/3pid/bind`: has an identity server tell others of an address.
pub async fn bind(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    own::bind(&home, who.user(), &Credentials::read(&ask.json()?)?).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/account/3pid/unbind`: has it do so no more.
pub async fn unbind(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let unbound = own::unbind(&home, &who, &Named::read(&ask.json()?)?).await?;
    Json::of(&json!({ "id_server_unbind_result": unbind_result(unbound) }))
}

/// `POST /_matrix/client/v3/account/3pid/delete`: one address less.
pub async fn delete(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let unbound = own::remove(&home, &who, &Named::read(&ask.json()?)?).await?;
    Json::of(&json!({ "id_server_unbind_result": unbind_result(unbound) }))
}

/// `id_server_unbind_result`
pub(super) fn unbind_result(unbound: bool) -> &'static str {
    if unbound { "success" } else { "no-support" }
}

/// What was sent to an address, and the session that it was sent for.
#[derive(Deserialize)]
struct Shown {
    sid: Option<String>,
    client_secret: Option<String>,
    token: Option<String>,
}

impl Shown {
    async fn validate(&self, home: &Home) -> Answer<Next> {
        let missing = |name: &str| Refusal::missing_param(format!("{name} is missing"));
        let sid = self.sid.as_deref().ok_or_else(|| missing("sid"))?;
        let client_secret = self.client_secret.as_deref().ok_or_else(|| missing("client_secret"))?;
        let token = self.token.as_deref().ok_or_else(|| missing("token"))?;
        threepids::validate(home, sid, client_secret, token).await
    }
}

/// `POST /_hearth/client/msisdn/submit_token`: what somebody typed, as
/// `/_matrix/identity/v2/validate/msisdn/submitToken`.
pub async fn submit_token(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let shown: Shown = match ask.body.first() {
        // Before it was JSON it was a form.
        Some(first) if first.is_ascii_alphanumeric() => ask.form()?,
        _ => ask.json()?,
    };
    shown.validate(&home).await?;
    Json::of(&json!({ "success": true }))
}
