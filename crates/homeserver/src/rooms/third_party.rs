//! Third-party invites: somebody is invited by an address, and comes with the proof that it is theirs.
//!
//! Spec: client-server API, «Third-party invites». The room keeps the offer, an m.room.third_party_invite
//! event with the keys of the identity server that knows the address. Whoever has these keys sign who
//! they are exchanges it for an invite.

use std::sync::Arc;

use rules::canonical;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, UserId, api::client::membership::Invite3pid,
    events::room::member::MembershipState,
};
use serde_json::json;

use super::{
    Chain, Intent, Room, Txn, append,
    chain::done_before,
    membership::{self, Aside, Move},
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    threepids::invites::{self, About},
    who::Device,
};

/// The event that keeps the offer; its state key is the token.
const OFFER_TYPE: &str = "m.room.third_party_invite";

/// Invites by an address that one request may make: the identity server is asked about each.
const INVITES_MAX: usize = 20;

/// Bytes of the proof that a client sends.
const SIGNED_BYTES_MAX: usize = 16 * 1024;

/// Invites whoever an address belongs to: the user whom the identity server knows by it, or else whoever
/// will prove that it is theirs.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED`, `M_INVALID_PARAM`, `M_FORBIDDEN` to who may not invite, what the identity server
/// refuses with, 503 if it does not answer, those of [`membership::change_as`].
pub async fn invite(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    invite: &Invite3pid,
    txn: Option<Txn>,
) -> Answer<()> {
    who.may_act()?;
    if done_before(home, who.user(), txn.as_ref()).await?.is_some() {
        return Ok(());
    }
    // Nobody is asked or told anything for who may not invite. Of this chain nothing becomes.
    let about = {
        let mut chain = Chain::on(home, room).await?;
        let tried = Intent::state(who.user(), OFFER_TYPE, "", CanonicalJsonObject::new());
        chain.push(tried).await?;
        about(home, &chain, who).await?
    };
    if let Some(user) = invites::lookup(home, invite).await? {
        let aside = Aside { reason: None, txn };
        return membership::change_as(home, who, room, Move::Invite, &user, aside).await;
    }
    let offer = invites::store(home, invite, &about).await?;
    let intent = Intent::state(who.user(), OFFER_TYPE, &offer.token, offer.content);
    append(home, room, Intent { txn, ..intent }).await.map(drop)
}

/// Sorts the invites by addresses of a room that is to be: the users that identity servers know, and
/// the others.
///
/// # Errors
/// As [`invite`]; `M_TOO_LARGE` for more than [`INVITES_MAX`].
pub(super) async fn sort(
    home: &Home,
    addressed: Vec<Invite3pid>,
) -> Answer<(Vec<OwnedUserId>, Vec<Invite3pid>)> {
    if addressed.len() > INVITES_MAX {
        return Err(Refusal::too_large(format!("`invite_3pid` has at most {INVITES_MAX} addresses")));
    }
    addressed.iter().try_for_each(|invite| invites::check(home, invite))?;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for invite in addressed {
        match invites::lookup(home, &invite).await? {
            Some(user) => known.push(user),
            None => unknown.push(invite),
        }
    }
    Ok((known, unknown))
}

/// Adds an offer for each of these addresses to a room that begins.
///
/// # Errors
/// As [`invite`].
pub(super) async fn offer(
    home: &Home,
    chain: &mut Chain,
    who: &Device,
    unknown: &[Invite3pid],
) -> Answer<()> {
    if unknown.is_empty() {
        return Ok(());
    }
    let about = about(home, chain, who).await?;
    for invite in unknown {
        let offer = invites::store(home, invite, &about).await?;
        chain.push(Intent::state(who.user(), OFFER_TYPE, &offer.token, offer.content)).await?;
    }
    Ok(())
}

/// What the identity server may tell of the room and of who invites.
async fn about(home: &Home, chain: &Chain, who: &Device) -> Answer<About> {
    let text = async |event_type: &str, key: &str| -> Answer<Option<String>> {
        let event = chain.state(event_type, "").await?;
        let content = event.and_then(|event| event.content_as::<CanonicalJsonObject>().ok());
        Ok(content.and_then(|content| content.get(key)?.as_str().map(str::to_owned)))
    };
    let own = membership::content(home, who.user(), &MembershipState::Join).await?;
    let own = |key: &str| own.get(key).and_then(CanonicalJsonValue::as_str).map(str::to_owned);
    Ok(About {
        room_id: chain.room_id().map(ToString::to_string).unwrap_or_default(),
        sender: who.user_id.to_string(),
        room_alias: text("m.room.canonical_alias", "alias").await?,
        room_avatar_url: text("m.room.avatar", "url").await?,
        room_join_rules: text("m.room.join_rules", "join_rule").await?,
        room_name: text("m.room.name", "name").await?,
        room_type: text("m.room.create", "type").await?,
        sender_display_name: own("displayname"),
        sender_avatar_url: own("avatar_url"),
    })
}

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
    let offer = chain.state(OFFER_TYPE, token).await?.ok_or_else(no_offer)?;
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
