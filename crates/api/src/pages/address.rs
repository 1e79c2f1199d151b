//! The page that the link in a mail leads to. Looking at it changes nothing, for programs that look for
//! harm in mails follow their links; it takes a press of the button.

use askama::Template;
use homeserver::{
    Answer, Home, Refusal,
    threepids::{
        self, Purpose,
        sessions::{About, Next},
    },
    who::Anyone,
};

use super::{form::Form, page::Page};
use crate::plain::Plain;

/// What the link says.
struct Link {
    sid: String,
    client_secret: String,
    token: String,
}

#[derive(Template)]
#[template(path = "confirm_address.html")]
struct Confirm<'a> {
    server_name: &'a str,
    about: &'a About,
    link: &'a Link,
}

#[derive(Template)]
#[template(path = "confirmed_address.html")]
struct Confirmed<'a> {
    next: &'a Next,
}

impl Link {
    fn read<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = |name| value(name).unwrap_or_default().to_owned();
        Link { sid: text("sid"), client_secret: text("client_secret"), token: text("token") }
    }

    async fn about(&self, home: &Home) -> Answer<About> {
        let gone = || Refusal::session_expired("This link is not good any more: ask for another one");
        threepids::sessions::about(home, &self.sid, &self.client_secret).await?.ok_or_else(gone)
    }
}

impl Confirm<'_> {
    /// What whoever asked can do then.
    fn warning(&self) -> &'static str {
        match self.about.purpose {
            Purpose::Password => ": who asked can set the password then",
            Purpose::Login => ": who asked gets into the account then",
            Purpose::Register | Purpose::Add => "",
        }
    }
}

/// `GET /_hearth/client/email/confirm`: asks whether the address is to be confirmed.
pub async fn get(home: Home, _: Anyone, ask: Plain) -> Answer<Page> {
    let link = Link::read(|name| ask.query(name));
    let about = link.about(&home).await?;
    let server_name = home.server_name().as_str();
    let content = Confirm { server_name, about: &about, link: &link };
    let page = Page::new(&home, "Was that you?", &content)?;
    Ok(match &about.next {
        Next::Page(url) => page.leading_to(url),
        Next::Back | Next::Stranger(_) => page,
    })
}

/// `POST /_hearth/client/email/confirm`: confirms it.
pub async fn post(home: Home, _: Anyone, ask: Form) -> Answer<Page> {
    let link = Link::read(|name| ask.field(name));
    let next = threepids::validate(&home, &link.sid, &link.client_secret, &link.token).await?;
    let page = Page::new(&home, "Your address is confirmed", &Confirmed { next: &next })?;
    match &next {
        Next::Page(url) => page.going_on_to(url),
        Next::Back | Next::Stranger(_) => Ok(page),
    }
}
