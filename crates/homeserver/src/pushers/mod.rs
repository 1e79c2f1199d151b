//! Pushers: the gateways through which users are notified of what they have not seen.
//!
//! Spec: client-server API, «Push notifications»; push gateway API. A pusher belongs to the device that
//! set it and goes with it.
//!
//! A pusher keeps the position up to which it has pushed. What comes after is found in the store by a
//! [`look`], told to the gateway in a [`round`] in the words of a [`notice`], and [`desk`] says who has a
//! round when. So what is to be pushed outlives the process, and is never pushed out of order.

mod desk;
mod look;
mod memory;
mod notice;
mod round;
mod wish;

use ruma::UserId;
use serde_json::{Value, json};
use store::{
    Batch,
    pushers::{self as stored, Pusher},
};

pub use self::{
    desk::keep_pushing,
    memory::Memory,
    wish::{Form, Wish},
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::Device,
};

/// The kind of pushers that there are: they send HTTP requests to a push gateway.
const KIND: &str = "http";

/// Pushers of one user.
pub const PUSHERS_MAX: i64 = 20;

/// The pushers of `user`, as clients get them, oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn list(home: &Home, user: &UserId) -> Answer<Vec<Value>> {
    let pushers = stored::of_user(&home.db, user.as_str()).await?;
    Ok(pushers.iter().map(shown).collect())
}

fn shown(pusher: &Pusher) -> Value {
    let set = &pusher.set;
    let data: Value = serde_json::from_str(&set.data).unwrap_or_else(|_| json!({}));
    let mut shown = json!({
        "app_display_name": set.app_display_name,
        "app_id": set.app_id,
        "data": data,
        "device_display_name": set.device_display_name,
        "kind": KIND,
        "lang": set.lang,
        "pushkey": set.pushkey,
    });
    if let Some(profile_tag) = &set.profile_tag {
        shown["profile_tag"] = profile_tag.as_str().into();
    }
    shown
}

/// Makes, changes or removes a pusher of the user, as `wish` says in `form`.
///
/// # Errors
/// `M_MISSING_PARAM`, `M_INVALID_PARAM`, `M_TOO_LARGE`; `M_UNKNOWN` past [`PUSHERS_MAX`];
/// `M_UNKNOWN_TOKEN` if the device is gone.
pub async fn set(home: &Home, who: &Device, form: Form, wish: Wish) -> Answer<()> {
    let mut batch = Batch::new();
    let user = who.user().as_str();
    match wish.read(home, who, form)? {
        wish::Change::Remove { app_id, pushkey } => stored::remove(&mut batch, user, &app_id, &pushkey),
        wish::Change::Set { set, append } => {
            let pos = batch.pos();
            if !append {
                stored::remove_of_others(&mut batch, user, &set.app_id, &set.pushkey);
            }
            stored::set(&mut batch, user, set, pos, home.db.upto(), home.clock.now_ms(), PUSHERS_MAX);
            let (home, user) = (home.clone(), who.user_id.clone());
            batch.then(move |at| home.pushers.set(&user, at.at(pos)));
        }
    }
    match home.db.commit(batch).await {
        Ok(_) => {
            // What is known of one that is gone is forgotten.
            home.pushers.mark_users([(who.user_id.clone(), false)]);
            Ok(())
        }
        Err(store::Error::Refused { .. }) => Err(not_set(home, who).await?),
        Err(error) => Err(error.into()),
    }
}

/// Why a pusher was not set.
async fn not_set(home: &Home, who: &Device) -> Answer<Refusal> {
    let device = store::devices::get(&home.db, who.user().as_str(), who.device().as_str()).await?;
    Ok(match device {
        Some(_) => Refusal::unknown(format!("A user has at most {PUSHERS_MAX} pushers")),
        None => Refusal::unknown_token("This device was logged out: log in again", false),
    })
}
