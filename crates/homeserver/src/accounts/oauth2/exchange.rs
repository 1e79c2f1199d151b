//! Asking another service who somebody is: a code for an access token, and that for the userinfo.

use futures_util::FutureExt;
use oauth2::{
    AuthorizationCode, ClientId, ClientSecret, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, TokenResponse, TokenUrl, basic::BasicClient,
};
use reqwest::Method;
use serde_json::{Map, Value};

use super::{CALLBACK_PATH, Identity, journey};
use crate::{
    Home,
    config::Provider,
    outgoing::{self, Load},
    refusal::{Answer, Refusal},
};

/// Bytes of a code.
const CODE_BYTES_MAX: usize = 4_096;

/// Bytes of what a service calls an account.
const SUBJECT_BYTES_MAX: usize = 255;

/// Who the `code` of `provider` was given to.
///
/// # Errors
/// `M_FORBIDDEN` if the provider does not know the code, `M_UNKNOWN` with 503 if it does not answer as it
/// should.
pub(super) async fn identity(
    home: &Home,
    provider: &Provider,
    code: &str,
    verifier: PkceCodeVerifier,
) -> Answer<Identity> {
    if code.len() > CODE_BYTES_MAX {
        return Err(Refusal::forbidden("No identity provider gives such a code"));
    }
    let access_token = access_token(home, provider, code, verifier).await?;
    let userinfo: Result<Map<String, Value>, _> =
        outgoing::get_json(home, &provider.userinfo_url, Some(&access_token)).await;
    let userinfo = userinfo.map_err(|error| out_of_order(provider, &error))?;
    let subject = match userinfo.get(&provider.subject_claim) {
        Some(Value::String(subject)) => subject.clone(),
        Some(Value::Number(subject)) => subject.to_string(),
        _ => String::new(),
    };
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.contains('\0') {
        return Err(out_of_order(provider, &format!("its userinfo has no {}", provider.subject_claim)));
    }
    let localpart = userinfo.get(&provider.localpart_claim).and_then(Value::as_str);
    let localpart = localpart.map(|name| name.chars().take(SUBJECT_BYTES_MAX).collect());
    Ok(Identity { provider: provider.id.clone(), subject, localpart })
}

async fn access_token(
    home: &Home,
    provider: &Provider,
    code: &str,
    verifier: PkceCodeVerifier,
) -> Answer<String> {
    let redirect = journey::ours(home, CALLBACK_PATH)?.into();
    let mut client = BasicClient::new(ClientId::new(provider.client_id.clone()))
        .set_token_uri(TokenUrl::new(provider.token_url.clone()).map_err(journey::misconfigured)?)
        .set_redirect_uri(RedirectUrl::new(redirect).map_err(journey::misconfigured)?);
    if let Some(secret) = &provider.client_secret {
        client = client.set_client_secret(ClientSecret::new(secret.reveal().to_owned()));
    }
    let http = |request: HttpRequest| send(home.clone(), request).boxed();
    let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned())).set_pkce_verifier(verifier);
    // In a box, for its type is too general for the compiler to see that it can move between threads.
    match exchange.request_async(&http).boxed().await {
        Ok(token) => Ok(token.access_token().secret().clone()),
        Err(RequestTokenError::ServerResponse(why)) => {
            tracing::info!(provider = provider.id, %why, "an identity provider refused a code");
            Err(Refusal::forbidden(format!("{} did not let you in: start again", provider.name)))
        }
        Err(error) => Err(out_of_order(provider, &error)),
    }
}

/// A request of the crate `oauth2`, on the way that all requests of this server take.
async fn send(home: Home, request: HttpRequest) -> Result<HttpResponse, outgoing::Error> {
    let (parts, body) = request.into_parts();
    let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let headers: Vec<_> =
        authorization.map(|value| ("authorization", value.to_owned())).into_iter().collect();
    let load = Load {
        headers: &headers,
        body: Some(("application/x-www-form-urlencoded", body)),
        ..Load::default()
    };
    let reply = outgoing::send(&home, Method::POST, &parts.uri.to_string(), load).await?;
    let mut response = oauth2::http::Response::builder().status(reply.status);
    if let Some(content_type) = reply.content_type {
        response = response.header("content-type", content_type);
    }
    response.body(reply.body).map_err(|error| outgoing::Error::Unexpected(error.to_string()))
}

fn out_of_order(provider: &Provider, why: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(provider = provider.id, %why, "an identity provider is out of order");
    Refusal::unavailable(format!("{} can not be asked at the moment: try again later", provider.name))
}
