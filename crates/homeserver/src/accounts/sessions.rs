//! Sessions: which device an access token belongs to.

use std::net::IpAddr;

use ruma::OwnedUserId;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::{Device, Kind},
};

/// What an access token stands for.
#[derive(Clone, Debug)]
pub struct Session {
    /// The device.
    pub device: Device,
    /// Whether the account is locked.
    pub locked: bool,
}

/// The hash under which a token is stored.
pub fn token_hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// The session of an access token.
///
/// # Errors
/// `M_UNKNOWN_TOKEN` if it is none of ours or has expired (then with `soft_logout`).
pub async fn session(home: &Home, token: &str, address: Option<IpAddr>) -> Answer<Session> {
    let hash = token_hash(token);
    let unknown = |soft| Refusal::unknown_token("This access token is not valid: log in again", soft);
    let found = store::tokens::session(&home.db, &hash).await?.ok_or_else(|| unknown(false))?;
    if found.expires_ts.is_some_and(|expires_ts| expires_ts <= home.clock.now_ms()) {
        return Err(unknown(true));
    }
    let kind = match &*found.kind {
        "guest" => Kind::Guest,
        "appservice" => Kind::Appservice,
        _ => Kind::User,
    };
    let user_id = OwnedUserId::try_from(found.user_id).map_err(|_| unknown(false))?;
    let device = Device {
        user_id,
        device_id: found.device_id.into(),
        kind,
        admin: found.admin,
        suspended: found.suspended,
        token_hash: hash,
        address,
    };
    Ok(Session { device, locked: found.locked })
}
