//! `GET /`: what this server is, and how to use it.

use askama::Template;
use homeserver::{Answer, Home, config::Contact, who::Anyone};

use super::page::Page;
use crate::plain::Plain;

#[derive(Template)]
#[template(path = "front.html")]
struct Front<'a> {
    server_name: &'a str,
    base_url: Option<&'a str>,
    registration_is_open: bool,
    contacts: &'a [Contact],
    support_page: Option<&'a str>,
}

impl Front<'_> {
    fn has_help(&self) -> bool {
        !self.contacts.is_empty() || self.support_page.is_some()
    }
}

/// What somebody is there for.
fn role(contact: &Contact) -> &str {
    match contact.role.as_str() {
        "m.role.admin" => "Administration",
        "m.role.moderator" => "Moderation",
        "m.role.dpo" => "Data protection",
        "m.role.security" => "Security",
        other => other,
    }
}

/// `GET /`: tells whoever opens the address of the server in a browser where they are.
pub async fn get(home: Home, _: Anyone, _: Plain) -> Answer<Page> {
    let config = &home.config;
    let front = Front {
        server_name: home.server_name().as_str(),
        base_url: config.well_known.client.as_deref(),
        registration_is_open: config.registration.enabled,
        contacts: &config.well_known.contacts,
        support_page: config.well_known.support_page.as_deref(),
    };
    Page::new(&home, "A Matrix homeserver", &front)
}
