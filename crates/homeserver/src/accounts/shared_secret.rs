//! Accounts made by scripts that know `registration.shared_secret`, as with Synapse
//! (`/_synapse/admin/v1/register`).

use hmac::{Hmac, KeyInit, Mac};
use ruma::OwnedUserId;
use serde::Deserialize;
use sha1::Sha1;
use store::{Batch, uia};

use super::{names, opening, opening::Opened, passwords, register::Registered, ticket};
use crate::{
    Home,
    config::Secret,
    refusal::{Answer, Refusal},
    who::Kind,
};

/// Life of a nonce, in milliseconds.
const NONCE_LIFE_MS: i64 = 60 * 1000;

/// The account that a script asks for.
#[derive(Clone, Debug, Deserialize)]
pub struct Wish {
    nonce: String,
    username: String,
    password: String,
    admin: Option<bool>,
    user_type: Option<String>,
    displayname: Option<String>,
    inhibit_login: Option<bool>,
    mac: String,
}

/// A nonce, good for one account.
///
/// # Errors
/// `M_UNKNOWN` if there is no shared secret.
pub fn nonce(home: &Home) -> Answer<String> {
    secret(home)?;
    Ok(ticket::issue(home, &purpose()))
}

/// Makes the account that `wish` asks for. Its `mac` is the HMAC-SHA1, in hexadecimal, of nonce,
/// username, password and `admin` or `notadmin` (and the type of the user, if there is one), with
/// U+0000 between them.
///
/// # Errors
/// `M_UNKNOWN` if there is no shared secret or the nonce is not good (any more), `M_FORBIDDEN` for a
/// wrong `mac`, `M_INVALID_USERNAME`, `M_USER_IN_USE`.
pub async fn register(home: &Home, wish: &Wish) -> Answer<Registered> {
    let secret = secret(home)?;
    if !ticket::is_valid(home, &wish.nonce, &purpose(), NONCE_LIFE_MS) {
        return Err(bad_nonce());
    }
    if wish.username.contains('\0') || wish.password.contains('\0') {
        return Err(Refusal::unknown("Neither username nor password has the character U+0000"));
    }
    if !is_signed(secret, wish) {
        return Err(Refusal::forbidden("The mac is wrong: check the shared secret and what was signed"));
    }
    let user_id = names::new_user_id(home.server_name(), &wish.username)?;
    let hash = passwords::hash(home, &wish.password).await?;
    make(home, user_id, hash, wish).await
}

async fn make(home: &Home, user_id: OwnedUserId, hash: String, wish: &Wish) -> Answer<Registered> {
    let (mut batch, now_ms) = (Batch::new(), home.clock.now_ms());
    let admin = wish.admin == Some(true);
    store::accounts::create(&mut batch, user_id.as_str(), Kind::User.as_str(), Some(hash), admin, now_ms);
    uia::once(&mut batch, blake3::hash(wish.nonce.as_bytes()).as_bytes(), now_ms);
    if let Some(name) = &wish.displayname {
        let name = serde_json::Value::from(name.as_str()).to_string();
        store::profiles::set(&mut batch, user_id.as_str(), "displayname", &name, DISPLAY_NAME_BYTES_MAX);
    }
    let session: Option<Opened> = (wish.inhibit_login != Some(true))
        .then(|| opening::open(home, &mut batch, &user_id, &opening::Wish::default()));
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { statement: 0 } => Refusal::user_in_use("This user id is taken"),
        store::Error::Refused { statement: 1 } => bad_nonce(),
        store::Error::Refused { .. } => Refusal::too_large("The displayname is too long"),
        error => error.into(),
    })?;
    tracing::info!(user = %user_id, admin, "registered with the shared secret");
    Ok(Registered { user_id, session })
}

/// Bytes of the display name, as JSON.
const DISPLAY_NAME_BYTES_MAX: i64 = 1_024;

fn is_signed(secret: &Secret, wish: &Wish) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes()) else { return false };
    let admin = if wish.admin == Some(true) { "admin" } else { "notadmin" };
    let mut signed = vec![&*wish.nonce, &wish.username, &wish.password, admin];
    signed.extend(wish.user_type.as_deref());
    mac.update(signed.join("\0").as_bytes());
    // Takes as long for every mac of the right length.
    from_hex(&wish.mac).is_some_and(|theirs| mac.verify_slice(&theirs).is_ok())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    let digits = digits.filter(|digits| digits.len() == 40)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn secret(home: &Home) -> Answer<&Secret> {
    let secret = home.config.registration.shared_secret.as_ref();
    let secret = secret.filter(|secret| !secret.reveal().is_empty());
    secret.ok_or_else(|| Refusal::unknown("This server has no shared secret for registration"))
}

fn purpose() -> [u8; 32] {
    ticket::purpose(&[b"shared secret registration"])
}

fn bad_nonce() -> Refusal {
    Refusal::unknown("The nonce is not known, has expired or was used: get another one")
}
