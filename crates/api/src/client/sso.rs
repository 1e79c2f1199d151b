//! `/_matrix/client/v3/login/sso/redirect…`, and the way to other services and back
//! (`/_hearth/oauth2/…`)

use askama::Template;
use axum::response::Response;
use homeserver::{
    Answer, Home, Refusal,
    accounts::{
        oauth2::{
            self, ALLOW_PATH, Aim,
            journey::{self, Arrival, Departure},
        },
        uia::fallback,
    },
    who::Anyone,
};
use http::{HeaderValue, StatusCode, header};

use crate::{
    answer::{Json, Reply, Written},
    client::legacy::login::credentials,
    endpoint::Ask,
    pages::{form::Form, page::Page, stage},
    plain::{ByHand, Plain},
};

/// A redirect, or a page for people, or credentials.
pub enum Way {
    /// The browser goes there.
    Onward(String),
    /// The same with a cookie.
    Depart(Departure),
    /// The browser shows a page.
    Page(Box<Page>),
    /// A client of 2015 reads this.
    Json(Json),
}

impl Reply<Written> for Way {
    fn reply(self) -> Answer<Response> {
        let (url, cookie) = match self {
            Way::Page(page) => return page.reply(),
            Way::Json(json) => return json.reply(),
            Way::Onward(url) => (url, None),
            Way::Depart(departure) => (departure.url, Some(departure.cookie)),
        };
        let mut response = Response::default();
        *response.status_mut() = StatusCode::FOUND;
        let value = |text: String| {
            HeaderValue::try_from(text).map_err(|error| Refusal::broken(format!("a redirect: {error}")))
        };
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, value(url)?);
        // Addresses and cookies of this way are for one browser, once.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Some(cookie) = cookie {
            headers.insert(header::SET_COOKIE, value(cookie)?);
        }
        response.reply()
    }
}

#[derive(Template)]
#[template(path = "choose.html")]
struct Choose<'a> {
    wish: String,
    services: Vec<(&'a str, String)>,
}

#[derive(Template)]
#[template(path = "allow.html")]
struct Allow<'a> {
    provider: &'a str,
    name: Option<&'a str>,
    wish: &'a str,
    action: &'static str,
    ticket: &'a str,
}

fn required<'a>(ask: &'a Plain, name: &str) -> Answer<&'a str> {
    ask.query(name).ok_or_else(|| Refusal::missing_param(format!("{name} is missing")))
}

/// `GET /_matrix/client/v3/login/sso/redirect`: to the service at which people log in, or to a choice of
/// several.
pub async fn redirect(home: Home, _: Anyone, ask: Plain) -> Answer<Way> {
    let aim = journey::to_redirect(required(&ask, "redirectUrl")?)?;
    match &home.config.oauth2.providers[..] {
        [] => Err(Refusal::unrecognized("Nobody logs in at another service here")),
        [provider] => Ok(Way::Depart(journey::depart(&home, provider, aim)?)),
        _ => choice(&home, &aim),
    }
}

/// `GET /_matrix/client/v3/login/sso/redirect/{idpId}`: to this service.
pub async fn redirect_to(home: Home, _: Anyone, ask: Plain) -> Answer<Way> {
    let aim = journey::to_redirect(required(&ask, "redirectUrl")?)?;
    let provider = oauth2::provider(&home, &ask.path[0])?;
    Ok(Way::Depart(journey::depart(&home, provider, aim)?))
}

/// `GET /_hearth/oauth2/choose`: one of several services.
pub async fn choose(home: Home, _: Anyone, ask: Plain) -> Answer<Way> {
    let aim = journey::read_aim(&home, required(&ask, "aim")?)?;
    choice(&home, &aim)
}

fn choice(home: &Home, aim: &Aim) -> Answer<Way> {
    let wish = match aim {
        Aim::Stage { session, .. } => {
            let wish = fallback::wish_of(home, session)?;
            format!("An app wants to {wish}. If you did not ask it to, close this page.")
        }
        Aim::Redirect(_) | Aim::Credentials { .. } => format!("Log in to {}.", home.server_name()),
    };
    let services = journey::begin_urls(home, aim)?;
    let services = services.into_iter().map(|(provider, url)| (provider.name.as_str(), url)).collect();
    let page = Page::new(home, "Who are you?", &Choose { wish, services })?;
    Ok(Way::Page(Box::new(page)))
}

/// `GET /_hearth/oauth2/begin`: to this service.
pub async fn begin(home: Home, _: Anyone, ask: Plain) -> Answer<Way> {
    let aim = journey::read_aim(&home, required(&ask, "aim")?)?;
    let provider = oauth2::provider(&home, required(&ask, "provider")?)?;
    Ok(Way::Depart(journey::depart(&home, provider, aim)?))
}

/// A request with the cookies of its browser.
#[derive(Debug)]
pub struct WithCookies {
    plain: Plain,
    cookies: String,
}

impl Ask<ByHand> for WithCookies {
    fn read(request: http::Request<&[u8]>, path: &[&str]) -> Answer<Self> {
        let values = request.headers().get_all(header::COOKIE).iter();
        let cookies: Vec<_> = values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
        Ok(WithCookies { plain: Plain::read(request, path)?, cookies: cookies.join("; ") })
    }
}

/// `GET /_hearth/oauth2/callback`: a browser comes back.
pub async fn callback(home: Home, _: Anyone, ask: WithCookies) -> Answer<Way> {
    let state = required(&ask.plain, "state")?;
    let arrival = journey::arrive(&home, state, ask.plain.query("code"), &ask.cookies).await?;
    shown(&home, arrival)
}

/// `POST /_hearth/oauth2/allow`: somebody allowed what they were asked.
pub async fn allow(home: Home, _: Anyone, ask: Form) -> Answer<Way> {
    let ticket = ask.field("ticket").ok_or_else(|| Refusal::missing_param("ticket is missing"))?;
    let arrival = journey::allow(&home, ticket).await?;
    shown(&home, arrival)
}

fn shown(home: &Home, arrival: Arrival) -> Answer<Way> {
    match arrival {
        Arrival::Completed => Ok(Way::Page(Box::new(stage::done(home)?))),
        Arrival::Onward(url) => Ok(Way::Onward(url)),
        Arrival::Credentials(session) => Ok(Way::Json(Json::of(&credentials(home, &session))?)),
        Arrival::Ask { wish, who, ticket, onward } => {
            let provider = oauth2::provider(home, &who.provider)?;
            let content = Allow {
                provider: &provider.name,
                name: who.localpart.as_deref(),
                wish: &wish,
                action: ALLOW_PATH,
                ticket: &ticket,
            };
            let page = Page::new(home, "Is this you?", &content)?;
            let page = match onward {
                Some(url) => page.leading_to(&url),
                None => page,
            };
            Ok(Way::Page(Box::new(page)))
        }
    }
}
