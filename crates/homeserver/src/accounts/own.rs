//! What people do to their own account once they have proved themselves.

use ruma::{OwnedDeviceId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::Batch;

use super::{
    closing, login_tokens, oauth2, passwords,
    uia::{self, Operation, Proof, stages},
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    threepids::{self, Medium, Validated},
    who::Device,
};

/// The operation of setting a new password.
pub const PASSWORD_OPERATION: &str = "account/password";

/// Devices deleted at once.
const DEVICES_MAX: usize = 1_000;

/// The body of a request and its `auth`, apart.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The body without `auth`.
    pub body: &'a Map<String, Value>,
    /// `auth`.
    pub auth: Option<&'a Map<String, Value>>,
}

impl Ask<'_> {
    fn read<T: for<'de> Deserialize<'de>>(&self) -> Answer<T> {
        T::deserialize(self.body).map_err(|error| Refusal::bad_json(format!("The request body: {error}")))
    }
}

/// Has `who` prove that it is them who wants the operation `name`, with this body.
///
/// # Errors
/// Those of [`uia::prove`].
pub async fn prove(home: &Home, who: &UserId, name: &'static str, ask: Ask<'_>) -> Answer<Proof> {
    let flows = flows(home, who).await?;
    let operation = Operation { name, user: Some(who), body: Some(ask.body), flows, address: None };
    uia::prove(home, &operation, ask.auth).await
}

/// How `who` can prove that it is them. Clients take the first way that they know.
async fn flows(home: &Home, who: &UserId) -> Answer<Vec<Vec<&'static str>>> {
    let account = store::accounts::get(&home.db, who.as_str()).await?;
    let has_password = account.is_some_and(|account| account.password_hash.is_some());
    let is_elsewhere =
        oauth2::is_offered(home) && store::external_ids::has_any(&home.db, who.as_str()).await?;
    let mut flows = Vec::new();
    if has_password || !is_elsewhere {
        flows.push(vec![stages::PASSWORD]);
    }
    if is_elsewhere {
        flows.extend([vec![stages::SSO], vec![stages::OAUTH2]]);
    }
    flows.push(vec![stages::TOKEN]);
    Ok(flows)
}

#[derive(Deserialize)]
struct NewPassword {
    new_password: Option<String>,
    logout_devices: Option<bool>,
}

/// Gives `who` a new password and, unless told otherwise, ends all other sessions.
///
/// # Errors
/// `M_MISSING_PARAM`, `M_BAD_JSON`, those of [`prove`] and [`passwords::hash`].
pub async fn change_password(home: &Home, who: &Device, ask: Ask<'_>) -> Answer<()> {
    let wish: NewPassword = ask.read()?;
    let proof = prove(home, who.user(), PASSWORD_OPERATION, ask).await?;
    let missing = || Refusal::missing_param("new_password is missing");
    let hash = passwords::hash(home, &wish.new_password.ok_or_else(missing)?).await?;
    let mut batch = Batch::new();
    uia::use_up(&mut batch, &proof);
    store::accounts::set_password(&mut batch, who.user_id.as_str(), Some(hash));
    if wish.logout_devices != Some(false) {
        closing::all_devices(home, &mut batch, who.user(), Some(who.device()));
    }
    home.db.commit(batch).await?;
    tracing::info!(user = %who.user_id, "password changed");
    Ok(())
}

/// Gives whoever has an address a new password, and ends all sessions unless told otherwise. Who asks shows
/// by `auth` that the address is theirs.
///
/// # Errors
/// `M_MISSING_TOKEN` if nobody can show that here, `M_NOT_FOUND` if no account has the address,
/// `M_MISSING_PARAM`, `M_BAD_JSON`, those of [`uia::prove`] and [`passwords::hash`].
pub async fn reset_password(home: &Home, ask: Ask<'_>) -> Answer<()> {
    let media = [(Medium::Email, stages::EMAIL), (Medium::Msisdn, stages::MSISDN)];
    let can = media.iter().filter(|(medium, _)| medium.can_be_validated(home));
    let flows: Vec<_> = can.map(|(_, stage)| vec![*stage]).collect();
    if flows.is_empty() {
        return Err(Refusal::missing_token("This needs an access token: log in first"));
    }
    let wish: NewPassword = ask.read()?;
    let operation =
        Operation { name: PASSWORD_OPERATION, body: Some(ask.body), flows, ..Operation::default() };
    let proof = uia::prove(home, &operation, ask.auth).await?;
    let missing = || Refusal::missing_param("new_password is missing");
    let new_password = wish.new_password.ok_or_else(missing)?;
    let shown = media.iter().find_map(|(_, stage)| Validated::of_fact(proof.object(stage)?));
    let shown = shown.ok_or_else(|| Refusal::broken("a stage did not say whose address it is"))?;
    let nobody = || Refusal::not_found("No account here has this address");
    let user_id = threepids::user(home, shown.medium, &shown.address).await?.ok_or_else(nobody)?;
    let hash = passwords::hash(home, &new_password).await?;
    let mut batch = Batch::new();
    uia::use_up(&mut batch, &proof);
    shown.use_up(&mut batch);
    store::accounts::set_password(&mut batch, user_id.as_str(), Some(hash));
    if wish.logout_devices != Some(false) {
        closing::all_devices(home, &mut batch, &user_id, None);
    }
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { .. } => {
            Refusal::forbidden("This confirmation has been used already: ask for another one")
        }
        error => error.into(),
    })?;
    tracing::info!(user = %user_id, medium = shown.medium.as_str(), "password changed by address");
    Ok(())
}

#[derive(Deserialize)]
struct Deactivation {
    erase: Option<bool>,
}

/// Closes the account of `who` for good. Answers whether the identity servers at which its addresses are
/// bound have forgotten them.
///
/// # Errors
/// `M_BAD_JSON`, those of [`prove`].
pub async fn deactivate(home: &Home, who: &Device, ask: Ask<'_>) -> Answer<bool> {
    let wish: Deactivation = ask.read()?;
    let id_server = threepids::credentials::id_server(ask.body)?;
    let proof = prove(home, who.user(), "account/deactivate", ask).await?;
    let farewell = threepids::own::Farewell::of(home, who.user(), id_server).await?;
    let mut batch = Batch::new();
    uia::use_up(&mut batch, &proof);
    closing::deactivate(home, batch, who.user(), wish.erase == Some(true)).await?;
    farewell.say(home, who.user()).await
}

/// Deletes a device of `who`, whether it is there or not.
///
/// # Errors
/// Those of [`prove`].
pub async fn delete_device(home: &Home, who: &Device, device_id: &str, ask: Ask<'_>) -> Answer<()> {
    // The session is good for this device only.
    let mut body = ask.body.clone();
    body.insert("device_id".to_owned(), device_id.into());
    let proof = prove(home, who.user(), "delete_device", Ask { body: &body, auth: ask.auth }).await?;
    delete(home, who, &proof, &[device_id.into()]).await
}

#[derive(Deserialize)]
struct Devices {
    devices: Option<Vec<OwnedDeviceId>>,
}

/// Deletes devices of `who`, whether they are there or not.
///
/// # Errors
/// `M_BAD_JSON`, `M_MISSING_PARAM`, `M_INVALID_PARAM` past [`DEVICES_MAX`], those of [`prove`].
pub async fn delete_devices(home: &Home, who: &Device, ask: Ask<'_>) -> Answer<()> {
    let wish: Devices = ask.read()?;
    if wish.devices.as_ref().is_some_and(|devices| devices.len() > DEVICES_MAX) {
        return Err(Refusal::invalid_param(format!("At most {DEVICES_MAX} devices are deleted at once")));
    }
    let proof = prove(home, who.user(), "delete_devices", ask).await?;
    let devices = wish.devices.ok_or_else(|| Refusal::missing_param("devices is missing"))?;
    delete(home, who, &proof, &devices).await
}

async fn delete(home: &Home, who: &Device, proof: &Proof, devices: &[OwnedDeviceId]) -> Answer<()> {
    let mut batch = Batch::new();
    uia::use_up(&mut batch, proof);
    // No device has an id with U+0000, and no database takes it.
    for device_id in devices.iter().filter(|device_id| !device_id.as_str().contains('\0')) {
        closing::device(home, &mut batch, who.user(), device_id);
    }
    home.db.commit(batch).await?;
    Ok(())
}

/// A token with which another client of `who` can log in, once.
///
/// # Errors
/// Those of [`prove`].
pub async fn login_token(home: &Home, who: &Device, ask: Ask<'_>) -> Answer<String> {
    let proof = prove(home, who.user(), "login/get_token", ask).await?;
    login_tokens::for_another_client(home, who.user(), &proof).await
}
