//! Text messages: handed to a service of the operator's choice, over HTTP.
//!
//! `sms.url` gets a `POST` of `{"to": "+447700900001", "text": "…"}` for each message, with `sms.token` as
//! bearer token, and answers with a status of 2xx once it has it.

use reqwest::Method;
use serde_json::json;

use crate::{
    Home,
    config::Secret,
    outgoing::{self, Load},
    refusal::{Answer, Refusal},
};

/// Whether this server can send text messages.
pub fn is_configured(home: &Home) -> bool {
    home.config.sms.url.is_some()
}

/// Sends `text` to the phone `number`, which must be canonical. Answers once the service has it.
///
/// # Errors
/// 503 if the service can not be reached or does not take the message.
pub async fn send(home: &Home, number: &str, text: &str) -> Answer<()> {
    let config = &home.config.sms;
    let url = config.url.as_deref().ok_or_else(|| Refusal::broken("sms.url is not set"))?;
    let body = json!({ "to": format!("+{number}"), "text": text });
    let load = Load {
        bearer: config.token.as_ref().map(Secret::reveal),
        body: Some(("application/json", body.to_string().into_bytes())),
        ..Load::default()
    };
    match outgoing::send(home, Method::POST, url, load).await {
        Ok(reply) if (200..300).contains(&reply.status) => Ok(()),
        Ok(reply) => Err(failed(&format!("answered with status {}", reply.status))),
        Err(error) => Err(failed(&error.to_string())),
    }
}

fn failed(cause: &str) -> Refusal {
    let mut refusal = Refusal::unavailable("The text message could not be sent; try again in a moment");
    refusal.cause = Some(format!("sms.url {cause}").into());
    refusal
}
