//! Addresses of people, by mail or phone: the specification's third-party identifiers (3PIDs).
//! <https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information>
//!
//! Somebody [asks](request) for a token, which is sent to the address; whoever can read it
//! [shows](sessions::validate) it here, and the session is *validated*: good for one account, one new
//! password, or one [address added](own). Where this server sends no messages itself, an
//! [identity server](identity) that the operator trusts can do the same.

mod address;
mod countries;
pub mod credentials;
pub mod identity;
pub(crate) mod invites;
pub mod own;
pub mod request;
pub mod sessions;

pub use address::{email, msisdn, phone};
pub use sessions::{Next, Validated, validate};

use crate::{Home, mail, sms};

/// What kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// An e-mail address.
    Email,
    /// A phone number.
    Msisdn,
}

impl Medium {
    /// The medium that the specification calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "email" => Some(Medium::Email),
            "msisdn" => Some(Medium::Msisdn),
            _ => None,
        }
    }

    /// What the specification calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Medium::Email => "email",
            Medium::Msisdn => "msisdn",
        }
    }

    /// `address` in canonical form, which it should have already; none if it is no such address.
    pub fn canonical(self, address: &str) -> Option<String> {
        match self {
            Medium::Email => email(address).ok(),
            Medium::Msisdn => msisdn(address),
        }
    }

    /// Whether this server can send messages to such addresses itself.
    pub fn is_served(self, home: &Home) -> bool {
        match self {
            Medium::Email => mail::is_configured(home),
            Medium::Msisdn => sms::is_configured(home),
        }
    }

    /// Whether somebody can show here that such an address is theirs: this server sends them a message,
    /// or an identity server that the operator trusts does.
    pub fn can_be_validated(self, home: &Home) -> bool {
        self.is_served(home) || identity::is_configured(home)
    }
}

/// What a session is for. It is good for nothing else: who follows the link of one mail has not agreed to
/// what another one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Making an account.
    Register,
    /// Setting a new password.
    Password,
    /// Adding the address to an account.
    Add,
    /// Logging in, as in 2015.
    Login,
}

impl Purpose {
    /// The purpose that the store writes as `name`.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Purpose::Register, Purpose::Password, Purpose::Add, Purpose::Login];
        all.into_iter().find(|one| one.as_str() == name)
    }

    /// As the store writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Register => "register",
            Purpose::Password => "password",
            Purpose::Add => "add",
            Purpose::Login => "login",
        }
    }
}

/// The user who has this address.
///
/// # Errors
/// If the database does not answer.
pub async fn user(home: &Home, medium: Medium, address: &str) -> crate::Answer<Option<ruma::OwnedUserId>> {
    let user_id = store::threepids::user(&home.db, medium.as_str(), address).await?;
    Ok(user_id.and_then(|user_id| user_id.try_into().ok()))
}
