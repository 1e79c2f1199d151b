//! The pages on which people go through a stage of authentication that their app can not show
//! (<https://spec.matrix.org/v1.19/client-server-api/#fallback>).

use askama::Template;
use homeserver::{
    Answer, Home, Refusal,
    accounts::uia::fallback::{self, Completed, Form},
    threepids::Medium,
    who::Anyone,
};
use http::StatusCode;
use serde_json::{Map, Value};

use super::{form, page::Page};
use crate::plain::Plain;

/// The addresses under every prefix of the client API.
pub const PATHS: [&str; 5] = [
    "/_matrix/client/api/v1/auth/{auth_type}/fallback/web",
    "/_matrix/client/v2_alpha/auth/{auth_type}/fallback/web",
    "/_matrix/client/api/v2_alpha/auth/{auth_type}/fallback/web",
    "/_matrix/client/r0/auth/{auth_type}/fallback/web",
    "/_matrix/client/v3/auth/{auth_type}/fallback/web",
];

const SHOWN: &str = concat!("\n(() => {\n", include_str!("../../templates/captcha.js"), "})();\n");

const DONE: &str = concat!(
    "\n(() => {\n",
    include_str!("../../templates/page.js"),
    include_str!("../../templates/done.js"),
    "})();\n"
);

#[derive(Template)]
#[template(path = "stage.html")]
struct Stage<'a> {
    page: &'a fallback::Page,
    session: &'a str,
    /// Why the last attempt failed.
    wrong: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "done.html")]
struct Done;

impl Stage<'_> {
    fn approves(&self) -> bool {
        matches!(self.page.form, Form::Approve)
    }

    /// Attributes of the field that was wrong.
    fn invalid(&self) -> &'static str {
        if self.wrong.is_some() { " aria-invalid=\"true\" aria-describedby=\"wrong\" autofocus" } else { "" }
    }

    fn title(&self) -> &'static str {
        match self.page.form {
            Form::Button => "One more step",
            Form::Password => "Enter your password",
            Form::Approve => "Confirm with your password",
            Form::RegistrationToken => "Enter your registration token",
            Form::LoginToken => "Enter your login token",
            Form::Terms(_) => "Terms of this server",
            Form::Captcha { .. } => "Show that you are no robot",
            Form::Address(Medium::Email, None) => "Enter your e-mail address",
            Form::Address(Medium::Msisdn, None) => "Enter your phone number",
            Form::Address(_, Some(_)) => "Look at your messages",
            Form::Services(_) => "Show who you are",
            Form::Done => "Done",
        }
    }

    fn page(&self, home: &Home) -> Answer<Page> {
        let page = Page::new(home, self.title(), self)?;
        Ok(match &self.page.form {
            Form::Captcha { script_url, .. } => page.with_script(SHOWN).with_captcha(script_url),
            _ => page,
        })
    }
}

/// The page of a stage that is completed: tells the app so.
///
/// # Errors
/// A broken server.
pub fn done(home: &Home) -> Answer<Page> {
    Ok(Page::new(home, "Done", &Done)?.with_script(DONE))
}

/// `GET /_matrix/client/v3/auth/{authType}/fallback/web`: the page of a stage.
pub async fn get(home: Home, _: Anyone, ask: Plain) -> Answer<Page> {
    let session = ask.query("session").ok_or_else(incomplete)?;
    let page = fallback::look(&home, &ask.path[0], session).await?;
    if let Form::Done = page.form {
        return done(&home);
    }
    Stage { page: &page, session, wrong: None }.page(&home)
}

/// `POST /_matrix/client/v3/auth/{authType}/fallback/web`: what people have entered there.
pub async fn post(home: Home, who: Anyone, ask: form::Form) -> Answer<Page> {
    let session = ask.field("session").ok_or_else(incomplete)?;
    let fields: Map<String, Value> =
        ask.fields.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    match fallback::complete(&home, &ask.plain.path[0], session, &fields, who.address).await? {
        Completed::Done => done(&home),
        Completed::Again(page, wrong) => {
            let page = Stage { page: &page, session, wrong: Some(&wrong) }.page(&home)?;
            Ok(page.with_status(StatusCode::BAD_REQUEST))
        }
        Completed::Begun(page) => Stage { page: &page, session, wrong: None }.page(&home),
    }
}

/// Without a session nobody knows what the page is for.
fn incomplete() -> Refusal {
    Refusal::missing_param("The address of this page is incomplete: it names no session")
}
