//! Third-party invites: somebody is invited by an address, and comes with the proof that it is theirs.
//!
//! Spec: client-server API, «Third-party invites». The room keeps the offer, an m.room.third_party_invite
//! event with the keys of the identity server that knows the address. Whoever has these keys sign who
//! they are exchanges it for an invite.

use rules::canonical;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId, events::room::member::MembershipState};
use serde_json::json;

use super::{Chain, Intent, membership};
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// Bytes of the proof that a client sends.
const SIGNED_BYTES_MAX: usize = 16 * 1024;

/// Invites `user` in the name of who made the offer that `signed` proves to be for that user.
/// Whether it does is decided by the authorization rules of the room.
///
/// # Errors
/// `M_FORBIDDEN` with the reason, `M_TOO_LARGE`.
pub(super) async fn accept(
    home: &Home,
    chain: &mut Chain,
    user: &UserId,
    signed: &CanonicalJsonObject,
) -> Answer<()> {
    let no_offer = || Refusal::forbidden("The room has no third-party invite with this token");
    let token = signed.get("token").and_then(CanonicalJsonValue::as_str).ok_or_else(no_offer)?;
    let offer = chain.state("m.room.third_party_invite", token).await?.ok_or_else(no_offer)?;
    let sender = offer.sender().to_owned();
    if sender.server_name() != home.server_name() {
        return Err(Refusal::forbidden("The third-party invite was made on another server"));
    }
    let offered: CanonicalJsonObject = offer.content_as()?;
    let name = offered.get("display_name").and_then(CanonicalJsonValue::as_str).unwrap_or_default();
    let mut content = membership::content(home, user, &MembershipState::Invite).await?;
    let invite = canonical::object_of(&json!({ "display_name": name, "signed": signed }))?;
    content.insert("third_party_invite".to_owned(), invite.into());
    chain.push(Intent::state(&sender, "m.room.member", user.as_str(), content)).await.map(drop)
}

/// Reads `third_party_signed` as a client sends it with a join.
///
/// # Errors
/// `M_BAD_JSON`, `M_TOO_LARGE`
pub fn signed(json: &[u8]) -> Answer<CanonicalJsonObject> {
    if json.len() > SIGNED_BYTES_MAX {
        return Err(Refusal::too_large(format!("`third_party_signed` has at most {SIGNED_BYTES_MAX} bytes")));
    }
    let signed = canonical::canonical_object(json)?;
    let is_text = |key: &str| signed.get(key).is_some_and(|value| value.as_str().is_some());
    let has_signatures = signed.get("signatures").is_some_and(|value| value.as_object().is_some());
    if !(is_text("sender") && is_text("mxid") && is_text("token") && has_signatures) {
        let message = "`third_party_signed` has the keys `sender`, `mxid`, `token` and `signatures`";
        return Err(Refusal::bad_json(message));
    }
    Ok(signed)
}
