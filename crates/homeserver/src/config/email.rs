//! Sending mail.

use std::{net::IpAddr, path::PathBuf};

use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

use super::{Complaint, Identity, Registration, Requirement, Secret};

/// `[email]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Email {
    /// The mail server (SMTP). Unset: no mail is sent.
    pub host: Option<String>,
    /// Its port. Unset: the usual one of `tls`.
    pub port: Option<u16>,
    /// How the connection is secured: "starttls" (port 587), "tls" (port 465) or "none" (port 25,
    /// for a mail server on the same machine).
    pub tls: SmtpTls,
    /// The user with whom this server logs in to it. Unset: it does not log in.
    pub user: Option<String>,
    /// The password of `user`.
    pub password: Option<Secret>,
    /// A file that holds the password, instead of `password`.
    pub password_file: Option<PathBuf>,
    /// Whom mails are from: "Example <matrix@example.org>".
    pub from: Option<String>,
    /// A folder of letters that are used instead of the built-in ones: `register.txt`, `code.txt`,
    /// `add.txt`, `password.txt`, `login.txt`, `login_code.txt`, `in_use.txt`, `unknown.txt`. Each has the
    /// subject, an empty line, and text with `{{server}}`, `{{address}}`, `{{user}}`, `{{link}}` (in
    /// `code.txt` and `login_code.txt`: `{{code}}`) in it.
    pub templates: Option<PathBuf>,
    /// The domains of the addresses that people may have here. Empty: all.
    pub allowed_domains: Vec<String>,
    /// The hosts of the pages to which clients may have people sent who have followed the link of a
    /// mail. Empty: all, but people are asked first.
    pub next_link_hosts: Vec<String>,
    /// Whether nobody can find out by asking whether an address has an account here: the answer is
    /// always that a mail was sent, and the mail says what is the matter.
    pub hide_accounts: bool,
}

/// How a connection to the mail server is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// It begins in the clear and must become TLS before anything is said.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}

impl Email {
    pub(super) fn check(&self, registration: &Registration, identity: &Identity) -> Result<(), Complaint> {
        let required = registration.require.contains(&Requirement::Email);
        if required && self.host.is_none() && identity.trusted_servers.is_empty() {
            let why = "is missing: registration.require has \"email\", write the name of a mail server";
            return Err(Complaint::new("email.host", why));
        }
        if self.host.is_some() && self.from.is_none() {
            let why = "is missing: mail can not be sent without it, write \"Example <matrix@example.org>\"";
            return Err(Complaint::new("email.from", why));
        }
        if let Some(from) = &self.from
            && from.parse::<Mailbox>().is_err()
        {
            let why = format!("\"{from}\" is no address, write \"Example <matrix@example.org>\"");
            return Err(Complaint::new("email.from", why));
        }
        if self.user.is_some() && self.password.is_none() {
            let why = "is missing: email.user is set, write its password, or a file with it in \
                       email.password_file";
            return Err(Complaint::new("email.password", why));
        }
        if self.tls == SmtpTls::None && !self.host.as_deref().is_none_or(is_this_machine) {
            let why = "is \"none\", and email.host is another machine: everybody in between could read the \
                       mails, write \"starttls\" or \"tls\"";
            return Err(Complaint::new("email.tls", why));
        }
        Ok(())
    }

    /// The port of the mail server.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            SmtpTls::Starttls => 587,
            SmtpTls::Tls => 465,
            SmtpTls::None => 25,
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(change: impl FnOnce(&mut Email)) -> Option<&'static str> {
        let from = Some("Example <matrix@example.org>".to_owned());
        let mut email = Email { host: Some("mail.example.org".to_owned()), from, ..Email::default() };
        change(&mut email);
        email.check(&Registration::default(), &Identity::default()).err().map(|complaint| complaint.key)
    }

    #[test]
    fn mail_goes_in_the_clear_to_the_same_machine_only() {
        assert_eq!(complaint(|_| {}), None);
        assert_eq!(complaint(|email| email.tls = SmtpTls::None), Some("email.tls"));
        for host in ["localhost", "127.0.0.1", "::1"] {
            let host = Some(host.to_owned());
            assert_eq!(complaint(|email| (email.tls, email.host) = (SmtpTls::None, host)), None);
        }
    }

    #[test]
    fn what_is_missing_for_mail_is_said() {
        assert_eq!(complaint(|email| email.from = None), Some("email.from"));
        assert_eq!(complaint(|email| email.from = Some("nobody".to_owned())), Some("email.from"));
        assert_eq!(complaint(|email| email.user = Some("hearth".to_owned())), Some("email.password"));
        assert_eq!(complaint(|email| *email = Email::default()), None);
        let registration = Registration { require: vec![Requirement::Email], ..Registration::default() };
        let missing = Email::default().check(&registration, &Identity::default());
        assert_eq!(missing.err().map(|complaint| complaint.key), Some("email.host"));
        let trusted_servers = vec!["id.example.org".to_owned()];
        assert_eq!(Email::default().check(&registration, &Identity { trusted_servers }), Ok(()));
    }
}
