//! The page that the link in a mail leads to. Looking at it changes nothing, for programs that look for
//! harm in mails follow their links; it takes a press of the button.

use axum::{body::Body, response::Response};
use homeserver::{
    Answer, Home, Refusal,
    threepids::{self, Next},
    who::Anyone,
};
use http::{StatusCode, header};
use serde::Deserialize;

use crate::plain::Plain;

/// What the link says.
#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    sid: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    token: String,
}

/// `GET /_hearth/client/email/confirm`: asks whether the address is to be confirmed.
pub async fn ask(home: Home, _: Anyone, ask: Plain) -> Answer<Response> {
    let value = |name: &str| ask.query(name).unwrap_or_default().to_owned();
    let link = Link { sid: value("sid"), client_secret: value("client_secret"), token: value("token") };
    let about = threepids::sessions::about(&home, &link.sid, &link.client_secret).await?;
    let Some((_, address)) = about else {
        return page("This link is not good any more", "<p>Ask for another one where you asked for it.</p>");
    };
    let field = |name: &str, value: &str| {
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value))
    };
    let fields =
        [field("sid", &link.sid), field("client_secret", &link.client_secret), field("token", &link.token)];
    let content = format!(
        "<p>Is {} your address?</p><form method=\"post\">{}<button>Yes, confirm it</button></form>",
        escape(&address),
        fields.concat()
    );
    page("Confirm your address", &content)
}

/// `POST /_hearth/client/email/confirm`: confirms it.
pub async fn confirm(home: Home, _: Anyone, ask: Plain) -> Answer<Response> {
    let link: Link = ask.form()?;
    match threepids::validate(&home, &link.sid, &link.client_secret, &link.token).await? {
        Next::Page(url) => {
            let response = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, url);
            response.body(Body::empty()).map_err(|error| Refusal::broken(format!("a redirect: {error}")))
        }
        Next::Stranger(url) => {
            let url = escape(&url);
            let link =
                format!("<p>Go on to <a href=\"{url}\">{url}</a>, or back to where you came from.</p>");
            page("Your address is confirmed", &link)
        }
        Next::Back => page("Your address is confirmed", "<p>Go back to where you came from.</p>"),
    }
}

fn page(title: &str, content: &str) -> Answer<Response> {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\n\
         <body><main><h1>{title}</h1>{content}</main></body>\n</html>\n"
    );
    Response::builder()
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
        )
        // The address of the page has the token in it.
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::CACHE_CONTROL, "no-store")
        .body(Body::from(html))
        .map_err(|error| Refusal::broken(format!("a page: {error}")))
}

fn escape(text: &str) -> String {
    let entity = |character: char| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        character => character.to_string(),
    };
    text.chars().map(entity).collect()
}
