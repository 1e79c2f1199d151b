//! Who asks: known by its access token, passed to every verb as a type.

use std::net::IpAddr;

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use crate::refusal::{Answer, Refusal};

/// What kind of account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person or bot with an account.
    User,
    /// A guest: may look into rooms that let guests, and little else.
    Guest,
    /// A user of an application service.
    Appservice,
}

impl Kind {
    /// As the store wrote it; what it does not know is a user.
    pub fn of(text: &str) -> Self {
        match text {
            "guest" => Kind::Guest,
            "appservice" => Kind::Appservice,
            _ => Kind::User,
        }
    }

    /// As the store writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Guest => "guest",
            Kind::Appservice => "appservice",
        }
    }
}

/// A user's device with a session: who most requests come from.
#[derive(Clone, Debug)]
pub struct Device {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device that the access token belongs to.
    pub device_id: OwnedDeviceId,
    /// What kind of account it is.
    pub kind: Kind,
    /// Whether the user administers this server.
    pub admin: bool,
    /// Whether the account is suspended: it may look and leave, not speak.
    pub suspended: bool,
    /// The hash of the access token that was used.
    pub token_hash: [u8; 32],
    /// Where the request came from.
    pub address: Option<IpAddr>,
}

impl Device {
    /// The user.
    pub fn user(&self) -> &UserId {
        &self.user_id
    }

    /// The device.
    pub fn device(&self) -> &DeviceId {
        &self.device_id
    }

    /// Refuses a suspended account. To be asked by every verb that v1.19 does not allow to it.
    ///
    /// # Errors
    /// `M_USER_SUSPENDED`
    pub fn may_act(&self) -> Answer<()> {
        if self.suspended {
            return Err(Refusal::user_suspended("This account is suspended: it may read and leave rooms"));
        }
        Ok(())
    }
}

/// Nobody in particular: the request needs no access token.
#[derive(Clone, Debug)]
pub struct Anyone {
    /// Where the request came from.
    pub address: Option<IpAddr>,
}
