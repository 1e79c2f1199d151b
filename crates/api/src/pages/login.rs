//! The page that logs in for apps that can not
//! (<https://spec.matrix.org/v1.19/client-server-api/#login-fallback>).

use askama::Template;
use homeserver::{Answer, Home, who::Anyone};

use super::page::Page;
use crate::plain::Plain;

/// Today's address, with and without its last slash, and that of 2015.
pub const PATHS: [&str; 3] = [
    "/_matrix/static/client/login/",
    "/_matrix/static/client/login",
    "/_matrix/client/api/v1/login/fallback",
];

const SCRIPT: &str = concat!(
    "\n(() => {\n",
    include_str!("../../templates/page.js"),
    include_str!("../../templates/login.js"),
    "})();\n"
);

#[derive(Template)]
#[template(path = "login.html")]
struct Login;

/// `GET /_matrix/static/client/login/`: the whole login, and then `window.matrixLogin.onLogin` of the
/// app. `device_id`, `initial_device_display_name` and `refresh_token` of the query go on to `/login`.
pub async fn get(home: Home, _: Anyone, _: Plain) -> Answer<Page> {
    Ok(Page::new(&home, "Log in", &Login)?.with_script(SCRIPT))
}
