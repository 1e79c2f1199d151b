//! Pages that complete a stage in a browser, for clients that do not know it.
//! <https://spec.matrix.org/v1.19/client-server-api/#fallback>
//!
//! [`look`] tells what the page shows, [`complete`] takes what was entered. A page knows nothing but
//! the session: what it may do with it stands in the session's ticket, and what it proved is kept for
//! the client's next request. It completes the stage that was proved and no other, and only if that
//! stage comes next.

use std::{borrow::Cow, net::IpAddr};

use ruma::OwnedUserId;
use serde_json::{Map, Value};

pub use super::address::Sent;
use super::{
    Failed,
    address::{self, Entered},
    complete_outside,
    session::{Progress, Session},
    stages::{self, Ask, Found},
};
use crate::{
    Home,
    accounts::oauth2::{self, Aim},
    config::{Provider, Terms},
    refusal::{Answer, Refusal},
    threepids::Medium,
};

/// What a page shows.
#[derive(Clone, Debug)]
pub struct Page {
    /// What a client is about to do, for people: "remove devices from your account".
    pub wish: &'static str,
    /// Whose account it is about, if they have one already.
    pub user: Option<OwnedUserId>,
    /// How the stage is completed.
    pub form: Form,
}

/// How a stage is completed on its page. Forms are posted back to [`complete`], as an object of texts.
#[derive(Clone, Debug)]
pub enum Form {
    /// `m.login.dummy`: a button.
    Button,
    /// `m.login.password`: the field `password`.
    Password,
    /// `m.oauth`: the field `password`, and a button that approves what the client is about to do.
    Approve,
    /// `m.login.registration_token`: the field `token`.
    RegistrationToken,
    /// `m.login.token`: the field `token`.
    LoginToken,
    /// `m.login.terms`: links to these documents, and a button that agrees to all of them.
    Terms(Vec<Terms>),
    /// `m.login.recaptcha`: the provider's script, which fills the field `g-recaptcha-response`.
    Captcha {
        /// The key of this site.
        site_key: String,
        /// The script.
        script_url: String,
    },
    /// `m.login.email.identity` and `m.login.msisdn`: the field `address`; and once a message was sent there,
    /// its `address`, `sid` and `client_secret`, and to a phone the field `token`.
    Address(Medium, Option<Sent>),
    /// Another service must be gone to: one link for each, no form.
    Services(Vec<Service>),
    /// It is completed: `window.onAuthDone()`.
    Done,
}

/// Another service at which people prove who they are.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name, for people.
    pub name: String,
    /// Where the link leads.
    pub url: String,
}

/// What became of a form.
#[derive(Clone, Debug)]
pub enum Completed {
    /// The stage is completed: `window.onAuthDone()`.
    Done,
    /// It is not: show the page again, with this text.
    Again(Page, Cow<'static, str>),
    /// It is begun: show this page.
    Begun(Page),
}

/// What the page of `stage` shows for `session`.
///
/// # Errors
/// `M_UNKNOWN` if the session is none of ours or has expired, `M_UNRECOGNIZED` if the stage is not the
/// next one or no page completes it.
pub async fn look(home: &Home, stage: &str, session: &str) -> Answer<Page> {
    let session = Session::read(home, session).ok_or_else(unknown)?;
    let page =
        |session: &Session, form| Page { wish: wish(&session.operation), user: session.user.clone(), form };
    let progress = Progress::read(home, session).await?;
    if progress.has(stage) {
        return Ok(page(&progress.session, Form::Done));
    }
    if !progress.may_go_on(&progress.session.flows, stage) {
        return Err(unrecognized());
    }
    let form = form(home, stage, &progress.session).ok_or_else(unrecognized)?;
    Ok(page(&progress.session, form))
}

/// Completes `stage` of `session` with the fields of its form, sent from `address`.
///
/// # Errors
/// Those of [`look`], `M_BAD_JSON` if a field is missing, and those of the stage that nobody can do
/// anything about by trying again at once (`M_LIMIT_EXCEEDED`).
pub async fn complete(
    home: &Home,
    stage: &str,
    session: &str,
    form: &Map<String, Value>,
    address: Option<IpAddr>,
) -> Answer<Completed> {
    let page = look(home, stage, session).await?;
    if let Form::Done = page.form {
        return Ok(Completed::Done);
    }
    let session = Session::read(home, session).ok_or_else(unknown)?;
    let known = stages::named(stage).ok_or_else(unrecognized)?;
    if let Form::Address(medium, _) = page.form {
        let purpose = address::purpose(&session.operation).ok_or_else(unrecognized)?;
        let again = |sent| Page { form: Form::Address(medium, sent), ..page };
        return Ok(match address::enter(home, purpose, medium, form, address).await? {
            Entered::Page(sent, None) => Completed::Begun(again(sent)),
            Entered::Page(sent, Some(why)) => Completed::Again(again(sent), why),
            Entered::Proved(fact) => {
                complete_outside(home, session, known.name, fact).await?;
                Completed::Done
            }
        });
    }
    let check = known.form.ok_or_else(unrecognized)?;
    let progress = Progress::read(home, session.clone()).await?;
    let ask = Ask {
        home,
        user: session.user.as_deref(),
        session: &session,
        auth: form,
        kept: progress.kept(known.name),
        address,
    };
    match check(ask).await {
        Ok(Found::Done(fact)) => {
            complete_outside(home, session, known.name, fact).await?;
            Ok(Completed::Done)
        }
        Ok(Found::NotYet { .. }) => {
            Ok(Completed::Again(page, "Not yet: do what the page asks for first".into()))
        }
        Err(Failed::Again(_, why)) => Ok(Completed::Again(page, why.into())),
        Err(Failed::Refused(refusal)) => Err(refusal),
    }
}

/// The form of a stage; `None` if it has no page.
fn form(home: &Home, stage: &str, session: &Session) -> Option<Form> {
    let by_address = |medium: Medium| {
        let can = address::purpose(&session.operation).is_some() && medium.is_served(home);
        can.then_some(Form::Address(medium, None))
    };
    match stage {
        stages::EMAIL => by_address(Medium::Email),
        stages::MSISDN => by_address(Medium::Msisdn),
        stages::DUMMY => Some(Form::Button),
        stages::PASSWORD => Some(Form::Password),
        stages::OAUTH => Some(Form::Approve),
        stages::REGISTRATION_TOKEN => Some(Form::RegistrationToken),
        stages::TOKEN => Some(Form::LoginToken),
        stages::TERMS => Some(Form::Terms(home.config.registration.terms.clone())),
        stages::RECAPTCHA => Some(Form::Captcha {
            site_key: home.config.captcha.site_key.clone().unwrap_or_default(),
            script_url: home.config.captcha.script_url.clone(),
        }),
        stages::SSO | stages::OAUTH2 => {
            let aim = Aim::Stage { session: session.ticket.clone(), stage: stage.to_owned() };
            let services = oauth2::journey::begin_urls(home, &aim).ok()?.into_iter();
            let service = |(provider, url): (&Provider, String)| Service { name: provider.name.clone(), url };
            Some(Form::Services(services.map(service).collect()))
        }
        _ => None,
    }
}

/// What a client is about to do in this session, for people.
///
/// # Errors
/// `M_UNKNOWN` if the session is none of ours or has expired.
pub fn wish_of(home: &Home, session: &str) -> Answer<&'static str> {
    let session = Session::read(home, session).ok_or_else(unknown)?;
    Ok(wish(&session.operation))
}

/// What an operation does, for people.
fn wish(operation: &str) -> &'static str {
    match operation {
        "register" => "make an account",
        "account/password" => "change the password of your account",
        "account/deactivate" => "close your account for good",
        "delete_device" | "delete_devices" => "remove devices from your account",
        "login/get_token" => "let another device log in to your account",
        "keys/device_signing/upload" => "reset the keys by which others know you",
        "account/3pid/add" => "add an address to your account",
        _ => "change your account",
    }
}

fn unknown() -> Refusal {
    Refusal::unknown("This session is unknown or has expired: start again in your client")
}

fn unrecognized() -> Refusal {
    Refusal::new(400, "M_UNRECOGNIZED", "This is not the step that comes next in your app")
}
