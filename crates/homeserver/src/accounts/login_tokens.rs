//! Login tokens (`m.login.token`): another client of a user gets in with one, once.
//!
//! A token is a [macaroon](super::macaroon) that says whom it lets in and until when. That it was not
//! used yet, and not taken back, is kept in the database, under the hash of its nonce. A client that
//! sends a `txn_id` with it may ask again with the same one, in case the answer was lost; no other may.

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde_json::{Map, Value};
use store::Batch;

use super::{
    macaroon::Macaroon,
    opening::{DEVICE_ID_CHARACTERS, new_device_id},
    sessions::token_hash,
    ticket,
    uia::{
        self, Failed, Proof,
        stages::{Ask, Found},
    },
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// Life of a token for another client, in milliseconds.
pub const LIFE_MS: i64 = 2 * 60 * 1000;

/// Life of a token at the end of a redirect, in milliseconds: it stands in a URL.
pub const REDIRECT_LIFE_MS: i64 = 10 * 1000;

/// Bytes of a `txn_id`.
const TXN_ID_BYTES_MAX: usize = 255;

const IDENTIFIER: &[u8] = b"hearth login 1";

/// A token that lets somebody in, if nobody was faster.
pub struct Good {
    /// Whom.
    pub user_id: OwnedUserId,
    /// The device that the same `txn_id` logged in before.
    device_id: Option<OwnedDeviceId>,
    hash: [u8; 32],
}

impl Good {
    /// The device that is logged in. For a `txn_id` it follows from that and the token: who asks again before
    /// the answer came means the same device.
    pub fn device(&self, home: &Home, txn_id: Option<&str>) -> OwnedDeviceId {
        let made_for = |txn_id: &str| {
            let mac = ticket::fingerprint(home, &[b"device", &self.hash, txn_id.as_bytes()]);
            let letters = mac.iter().take(DEVICE_ID_CHARACTERS).map(|byte| char::from(b'A' + byte % 26));
            OwnedDeviceId::from(letters.collect::<String>())
        };
        let known = self.device_id.clone().or_else(|| txn_id.map(made_for));
        known.unwrap_or_else(|| new_device_id(home))
    }

    /// Adds to `batch` that the token is used: for good, or for everybody but `txn_id`, who logs in
    /// `device_id`. Refuses the batch if somebody else was faster.
    pub fn use_up(&self, batch: &mut Batch, txn_id: Option<&str>, device_id: Option<&str>) {
        match txn_id {
            None => store::tokens::use_login(batch, &self.hash),
            Some(txn_id) => store::tokens::bind_login(batch, &self.hash, txn_id, device_id),
        }
    }
}

/// Adds to `batch` a token that lets `user_id` in, and answers it.
pub fn issue(home: &Home, batch: &mut Batch, user_id: &UserId, life_ms: i64) -> String {
    let (nonce, expires_ts) = (home.dice.secret(""), home.clock.now_ms() + life_ms);
    store::tokens::add_login(batch, &token_hash(&nonce), user_id.as_str(), expires_ts);
    Macaroon::new(&home.accounts.macaroon_key, home.server_name().as_str(), IDENTIFIER)
        .with("gen = 1")
        .with("type = login")
        .with(&format!("user_id = {user_id}"))
        .with(&format!("time < {expires_ts}"))
        .with(&format!("nonce = {nonce}"))
        .to_text()
}

/// A token with which another client can log in as `user_id`, who gave `proof`: once, within
/// [`LIFE_MS`].
///
/// # Errors
/// If the database does not answer.
pub async fn for_another_client(home: &Home, user_id: &UserId, proof: &Proof) -> Answer<String> {
    let mut batch = Batch::new();
    uia::use_up(&mut batch, proof);
    let token = issue(home, &mut batch, user_id, LIFE_MS);
    home.db.commit(batch).await?;
    Ok(token)
}

/// Whom `token` lets in who asks with `txn_id`.
///
/// # Errors
/// `M_FORBIDDEN` if it is none of ours, has expired, was used or was taken back. `M_INVALID_PARAM` for
/// a `txn_id` that is too long.
pub async fn check(home: &Home, token: &str, txn_id: Option<&str>) -> Answer<Good> {
    if txn_id.is_some_and(|txn_id| txn_id.len() > TXN_ID_BYTES_MAX || txn_id.contains('\0')) {
        return Err(Refusal::invalid_param(format!("A txn_id has at most {TXN_ID_BYTES_MAX} bytes")));
    }
    let (user_id, nonce) = read(home, token).ok_or_else(bad)?;
    let hash = token_hash(&nonce);
    let kept = store::tokens::of_login(&home.db, &hash, home.clock.now_ms()).await?.ok_or_else(bad)?;
    let free = kept.txn_id.is_none() || kept.txn_id.as_deref() == txn_id;
    if !free || kept.user_id != user_id {
        return Err(bad());
    }
    Ok(Good { user_id, device_id: kept.device_id.map(OwnedDeviceId::from), hash })
}

/// The user and the nonce of a token whose signature and conditions are right.
fn read(home: &Home, token: &str) -> Option<(OwnedUserId, String)> {
    let macaroon = Macaroon::from_text(token)?;
    if macaroon.identifier != IDENTIFIER || !macaroon.is_signed_with(&home.accounts.macaroon_key) {
        return None;
    }
    let (mut user_id, mut nonce) = (None, None);
    for caveat in &macaroon.caveats {
        let caveat = std::str::from_utf8(caveat).ok()?;
        // Whoever held it may have added conditions: each must be met, and known.
        let met = match caveat.split_once(" = ") {
            Some(("gen", value)) => value == "1",
            Some(("type", value)) => value == "login",
            Some(("user_id", value)) => *user_id.get_or_insert(value) == value,
            Some(("nonce", value)) => *nonce.get_or_insert(value) == value,
            Some(_) => false,
            None => {
                let until: i64 = caveat.strip_prefix("time < ")?.parse().ok()?;
                home.clock.now_ms() < until
            }
        };
        if !met {
            return None;
        }
    }
    Some((UserId::parse(user_id?).ok()?, nonce?.to_owned()))
}

/// `m.login.token`: a token that lets in whose account it is about. It is used up by that.
pub(super) async fn stage(ask: Ask<'_>) -> Result<Found, Failed> {
    let wrong = || Failed::Again("M_FORBIDDEN", "This login token is not valid, or no longer");
    let text = |key: &str| text(ask.auth, key);
    let token = text("token").ok_or_else(|| Refusal::bad_json("auth.token must be text"))?;
    let txn_id = text("txn_id");
    let good = match check(ask.home, token, txn_id).await {
        Err(refusal) if refusal.errcode == "M_FORBIDDEN" => return Err(wrong()),
        good => good?,
    };
    if ask.user != Some(&*good.user_id) || !is_called(text("user"), &good.user_id) {
        return Err(wrong());
    }
    let mut batch = Batch::new();
    good.use_up(&mut batch, txn_id, None);
    match ask.home.db.commit(batch).await {
        Ok(_) => Ok(Found::Done(Value::Null)),
        Err(store::Error::Refused { .. }) => Err(wrong()),
        Err(error) => Err(error.into()),
    }
}

/// Whether `name`, a user id or a localpart, is `user_id`, if it says anything.
pub(super) fn is_called(name: Option<&str>, user_id: &UserId) -> bool {
    name.is_none_or(|name| name == user_id.as_str() || name == user_id.localpart())
}

fn text<'a>(auth: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    auth.get(key).and_then(Value::as_str)
}

/// What is said about a token that lets nobody in.
pub(super) fn bad() -> Refusal {
    Refusal::forbidden("This login token is not valid, or no longer")
}
