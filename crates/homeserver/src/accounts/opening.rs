//! Opening sessions: devices, access tokens, refresh tokens, login tokens.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use store::Batch;

use super::sessions::{self, token_hash};
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// Life of an access token that can be refreshed, in milliseconds. One that can not has no end.
pub const ACCESS_TOKEN_LIFE_MS: i64 = 5 * 60 * 1000;

/// Characters of a device id that the server makes.
pub(super) const DEVICE_ID_CHARACTERS: usize = 10;

/// Bytes of a device id that the client makes.
pub const DEVICE_ID_BYTES_MAX: usize = 255;

/// Bytes of the name of a device.
pub const DEVICE_NAME_BYTES_MAX: usize = 512;

/// The session that a client asks for.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Wish {
    /// On which device, if it is one that the client knows.
    pub device_id: Option<OwnedDeviceId>,
    /// What a new device is called.
    pub initial_device_display_name: Option<String>,
    /// Whether the client can refresh access tokens.
    #[serde(default)]
    pub refresh_token: Option<bool>,
    /// Whether the access token has no end although it can be refreshed: clients of 2015 expect both.
    #[serde(skip)]
    pub lasting: bool,
}

impl Wish {
    /// Refuses names that are too long.
    ///
    /// # Errors
    /// `M_INVALID_PARAM`, `M_TOO_LARGE`
    pub fn check(&self) -> Answer<()> {
        if let Some(device_id) = &self.device_id {
            let length = device_id.as_str().len();
            if length == 0 || length > DEVICE_ID_BYTES_MAX || device_id.as_str().contains(char::is_control) {
                return Err(Refusal::invalid_param(format!(
                    "A device_id has 1 to {DEVICE_ID_BYTES_MAX} bytes and no control characters"
                )));
            }
        }
        check_device_name(self.initial_device_display_name.as_deref())
    }
}

/// Refuses a name of a device that is too long.
///
/// # Errors
/// `M_TOO_LARGE`
pub fn check_device_name(name: Option<&str>) -> Answer<()> {
    if name.is_some_and(|name| name.len() > DEVICE_NAME_BYTES_MAX) {
        let message = format!("The name of a device has at most {DEVICE_NAME_BYTES_MAX} bytes");
        return Err(Refusal::too_large(message));
    }
    Ok(())
}

/// A session that was opened. The tokens are known only here.
#[derive(Clone)]
pub struct Opened {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// What requests are made with.
    pub access_token: String,
    /// What the next access token is got with.
    pub refresh_token: Option<String>,
    /// Life of the access token in milliseconds; `None`: no end.
    pub expires_in_ms: Option<i64>,
}

/// An id for a device that has none yet.
pub(super) fn new_device_id(home: &Home) -> OwnedDeviceId {
    OwnedDeviceId::from(home.dice.letters(DEVICE_ID_CHARACTERS).to_ascii_uppercase())
}

/// Adds to `batch` the session that `wish` asks for. A device that was there keeps its name, and
/// loses its older sessions.
pub fn open(home: &Home, batch: &mut Batch, user_id: &UserId, wish: &Wish) -> Opened {
    let device_id = wish.device_id.clone().unwrap_or_else(|| new_device_id(home));
    let name = wish.initial_device_display_name.as_deref();
    store::tokens::remove_of_device(batch, user_id.as_str(), device_id.as_str());
    store::devices::put(batch, user_id.as_str(), device_id.as_str(), name, home.clock.now_ms());
    sessions::changed(home, batch, user_id);
    let life_ms = (!wish.lasting).then_some(ACCESS_TOKEN_LIFE_MS);
    tokens(home, batch, user_id, &device_id, wish.refresh_token == Some(true), life_ms)
}

/// Adds tokens to `batch`. `life_ms` is the life of an access token that can be refreshed.
fn tokens(
    home: &Home,
    batch: &mut Batch,
    user_id: &UserId,
    device_id: &DeviceId,
    can_refresh: bool,
    life_ms: Option<i64>,
) -> Opened {
    let access_token = home.dice.secret("hat_");
    let refresh_token = can_refresh.then(|| home.dice.secret("hrt_"));
    let refresh_hash = refresh_token.as_deref().map(token_hash);
    let expires_in_ms = life_ms.filter(|_| can_refresh);
    let expires_ts = expires_in_ms.map(|life_ms| home.clock.now_ms() + life_ms);
    let (user, device) = (user_id.as_str(), device_id.as_str());
    store::tokens::add(batch, &token_hash(&access_token), user, device, expires_ts, refresh_hash);
    if let Some(refresh_hash) = &refresh_hash {
        store::tokens::add_refresh(batch, refresh_hash, user, device);
    }
    Opened {
        user_id: user_id.to_owned(),
        device_id: device_id.to_owned(),
        access_token,
        refresh_token,
        expires_in_ms,
    }
}

/// A new pair of tokens for `refresh_token`, which stays good until one of the pair is used. As in 2015,
/// `lasting`, it is used up at once, and the new access token has no end.
///
/// # Errors
/// `M_UNKNOWN_TOKEN`, `M_USER_LOCKED`
pub async fn refresh(home: &Home, refresh_token: &str, lasting: bool) -> Answer<Opened> {
    let unknown = || Refusal::unknown_token("This refresh token is not valid: log in again", false);
    let old = token_hash(refresh_token);
    let found = store::tokens::of_refresh(&home.db, &old).await?.ok_or_else(unknown)?;
    if found.locked {
        return Err(Refusal::user_locked());
    }
    let user_id = OwnedUserId::try_from(found.user_id).map_err(|_| unknown())?;
    let mut batch = Batch::new();
    let life_ms = (!lasting).then_some(ACCESS_TOKEN_LIFE_MS);
    let opened = tokens(home, &mut batch, &user_id, found.device_id.as_str().into(), true, life_ms);
    let new = opened.refresh_token.as_deref().map(token_hash).unwrap_or_default();
    store::tokens::retire_predecessor(&mut batch, &old);
    match lasting {
        true => store::tokens::use_refresh(&mut batch, &old),
        false => store::tokens::replace(&mut batch, &old, &new),
    }
    sessions::changed(home, &mut batch, &user_id);
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { .. } => unknown(),
        error => error.into(),
    })?;
    Ok(opened)
}
