//! `m.login.recaptcha`: somebody who is no program. The provider of `[captcha]` is asked.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Failed,
    stages::{Ask, Found},
};
use crate::{outgoing, refusal::Refusal};

/// Characters of an answer to a captcha.
const RESPONSE_CHARACTERS_MAX: usize = 8_192;

#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    success: bool,
}

/// Asks the provider whether the `response` of a request or a form is right. The provider knows it
/// once only.
pub(super) async fn check(ask: Ask<'_>) -> Result<Found, Failed> {
    let wrong = Failed::Again("M_CAPTCHA_INVALID", "The answer to the captcha is not right: solve another");
    let captcha = &ask.home.config.captcha;
    // `g-recaptcha-response` is what the provider's script calls the field of a form.
    let response = ask.auth.get("response").or_else(|| ask.auth.get("g-recaptcha-response"));
    let Some(response) = response.and_then(Value::as_str).filter(|response| !response.is_empty()) else {
        return Err(Failed::Again("M_CAPTCHA_NEEDED", "Solve the captcha: response is missing"));
    };
    if response.len() > RESPONSE_CHARACTERS_MAX {
        return Err(wrong);
    }
    let address = ask.address.map(|address| address.to_string());
    let secret = captcha.secret.as_ref().map(|secret| secret.reveal()).unwrap_or_default();
    let mut form = vec![("secret", secret), ("response", response)];
    form.extend(address.as_deref().map(|address| ("remoteip", address)));
    let verdict: Result<Verdict, _> = outgoing::post_form(ask.home, &captcha.verify_url, &form).await;
    match verdict {
        Ok(verdict) if verdict.success => Ok(Found::Done(Value::Null)),
        Ok(_) => Err(wrong),
        Err(error) => {
            tracing::warn!(%error, "the provider of captchas");
            Err(Refusal::unavailable("The captcha can not be checked at the moment: try again later").into())
        }
    }
}
