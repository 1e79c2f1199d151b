//! Joining, inviting, leaving, forgetting, kicking, banning and knocking.

use std::sync::Arc;

use homeserver::{
    Answer, Home, Refusal,
    rooms::{
        self, Room, Txn,
        membership::{self, Aside, Move},
        third_party,
    },
    who::Device,
};
use ruma::{
    OwnedRoomId, OwnedRoomOrAliasId, RoomId, UserId,
    api::client::{
        knock::knock_room,
        membership::{
            ban_user, forget_room, invite_user, invite_user::v3::InvitationRecipient, kick_user, leave_room,
            unban_user,
        },
    },
};

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// What both ways to join take.
// By hand: of the proof not one key may be lost, for it is signed as it is.
#[derive(Deserialize)]
struct Joining {
    reason: Option<String>,
    third_party_signed: Option<Box<RawValue>>,
}

/// `POST /_matrix/client/v3/rooms/{roomId}/join`
pub async fn join(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let body: Joining = ask.json()?;
    joined(&home, &who, &rooms::find(&home, &room_id).await?, body, None).await
}

/// `POST /_matrix/client/v3/join/{roomIdOrAlias}`
pub async fn join_by_alias(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room: OwnedRoomOrAliasId = ask.path(0)?;
    let body: Joining = ask.json()?;
    // In 2015 a transaction could stand behind it.
    let txn_id = ask.path.get(1).map(|txn_id| txn_id.as_str().into());
    let txn = Txn::of(&who, format!("join/{room}"), txn_id);
    joined(&home, &who, &membership::find(&home, &room).await?, body, txn).await
}

async fn joined(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    body: Joining,
    txn: Option<Txn>,
) -> Answer<Json> {
    let signed = body.third_party_signed.map(|signed| third_party::signed(signed.get().as_bytes()));
    membership::join(home, who, room, Aside { reason: body.reason, txn }, signed.transpose()?).await?;
    Json::of(&json!({ "room_id": room.room_id }))
}

/// `POST /_matrix/client/v3/knock/{roomIdOrAlias}`
pub async fn knock(
    home: Home,
    who: Device,
    ask: knock_room::v3::Request,
) -> Answer<knock_room::v3::Response> {
    let room = membership::find(&home, &ask.room_id_or_alias).await?;
    membership::change_as(&home, &who, &room, Move::Knock, who.user(), ask.reason.into()).await?;
    Ok(knock_room::v3::Response::new(room.room_id.clone()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/invite`
pub async fn invite(
    home: Home,
    who: Device,
    ask: invite_user::v3::Request,
) -> Answer<invite_user::v3::Response> {
    let room = rooms::find(&home, &ask.room_id).await?;
    match ask.recipient {
        InvitationRecipient::UserId(invited) => {
            let reason = invited.reason.into();
            membership::change_as(&home, &who, &room, Move::Invite, &invited.user_id, reason).await?;
        }
        InvitationRecipient::ThirdPartyId(invited) => {
            third_party::invite(&home, &who, &room, &invited, None).await?;
        }
        _ => return Err(Refusal::bad_json("An invite names a user or an address")),
    }
    Ok(invite_user::v3::Response::new())
}

/// `POST /_matrix/client/v3/rooms/{roomId}/leave`
pub async fn leave(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: leave_room::v3::Request,
) -> Answer<leave_room::v3::Response> {
    let room = rooms::find(&home, &ask.room_id).await?;
    membership::change_as(&home, &who, &room, Move::Leave, who.user(), ask.reason.into()).await?;
    Ok(leave_room::v3::Response::new())
}

/// `POST /_matrix/client/v3/rooms/{roomId}/forget`
pub async fn forget(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: forget_room::v3::Request,
) -> Answer<forget_room::v3::Response> {
    let room = rooms::find(&home, &ask.room_id).await?;
    membership::forget(&home, &who, &room).await?;
    Ok(forget_room::v3::Response::new())
}

/// `POST /_matrix/client/v3/rooms/{roomId}/kick`
pub async fn kick(home: Home, who: Device, ask: kick_user::v3::Request) -> Answer<kick_user::v3::Response> {
    change(&home, &who, &ask.room_id, Move::Kick, &ask.user_id, ask.reason).await?;
    Ok(kick_user::v3::Response::new())
}

/// `POST /_matrix/client/v3/rooms/{roomId}/ban`
pub async fn ban(home: Home, who: Device, ask: ban_user::v3::Request) -> Answer<ban_user::v3::Response> {
    change(&home, &who, &ask.room_id, Move::Ban, &ask.user_id, ask.reason).await?;
    Ok(ban_user::v3::Response::new())
}

/// `POST /_matrix/client/v3/rooms/{roomId}/unban`
pub async fn unban(
    home: Home,
    who: Device,
    ask: unban_user::v3::Request,
) -> Answer<unban_user::v3::Response> {
    change(&home, &who, &ask.room_id, Move::Unban, &ask.user_id, ask.reason).await?;
    Ok(unban_user::v3::Response::new())
}

async fn change(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    then: Move,
    target: &UserId,
    reason: Option<String>,
) -> Answer<()> {
    let room = rooms::find(home, room_id).await?;
    membership::change_as(home, who, &room, then, target, reason.into()).await
}
