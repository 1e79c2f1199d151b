//! The page that registers for apps that can not.
//!
//! No specification describes it; apps have opened it in web views since 2015, and expect it to call
//! `window.matrixRegistration.onRegistered(home_server, user_id, access_token)`.

use askama::Template;
use homeserver::{Answer, Home, config::Requirement, who::Anyone};

use super::page::Page;
use crate::plain::Plain;

/// Its address, with and without the last slash.
pub const PATHS: [&str; 2] = ["/_matrix/static/client/register/", "/_matrix/static/client/register"];

const SCRIPT: &str = concat!(
    "\n(() => {\n",
    include_str!("../../templates/page.js"),
    include_str!("../../templates/captcha.js"),
    include_str!("../../templates/stages.js"),
    include_str!("../../templates/register.js"),
    "})();\n"
);

#[derive(Template)]
#[template(path = "register.html")]
struct Register<'a> {
    server_name: &'a str,
    captcha: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "register_closed.html")]
struct Closed {
    has_help: bool,
}

/// `GET /_matrix/static/client/register/`: the whole registration with every stage that it takes.
pub async fn get(home: Home, _: Anyone, _: Plain) -> Answer<Page> {
    if !home.config.registration.enabled {
        let well_known = &home.config.well_known;
        let has_help = !well_known.contacts.is_empty() || well_known.support_page.is_some();
        return Page::new(&home, "Registration is closed", &Closed { has_help });
    }
    let asks = home.config.registration.require.contains(&Requirement::Recaptcha);
    let captcha = asks.then_some(home.config.captcha.script_url.as_str());
    let content = Register { server_name: home.server_name().as_str(), captcha };
    let page = Page::new(&home, "Make an account", &content)?.with_script(SCRIPT);
    Ok(match captcha {
        Some(script_url) => page.with_captcha(script_url),
        None => page,
    })
}
