//! Joining, inviting, leaving, forgetting, kicking, banning and knocking.

use homeserver::{
    Answer, Home, Refusal,
    rooms::{
        self,
        membership::{self, Move},
    },
    who::Device,
};
use ruma::{
    RoomId, UserId,
    api::client::{
        knock::knock_room,
        membership::{
            ban_user, forget_room, invite_user, invite_user::v3::InvitationRecipient, join_room_by_id,
            join_room_by_id_or_alias, kick_user, leave_room, unban_user,
        },
    },
};

use crate::caller::DeviceOrGuest;

/// `POST /_matrix/client/v3/rooms/{roomId}/join`
pub async fn join(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: join_room_by_id::v3::Request,
) -> Answer<join_room_by_id::v3::Response> {
    let room = rooms::find(&home, &ask.room_id).await?;
    membership::change_as(&home, &who, &room, Move::Join, who.user(), ask.reason).await?;
    Ok(join_room_by_id::v3::Response::new(ask.room_id))
}

/// `POST /_matrix/client/v3/join/{roomIdOrAlias}`
pub async fn join_by_alias(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: join_room_by_id_or_alias::v3::Request,
) -> Answer<join_room_by_id_or_alias::v3::Response> {
    let room = membership::find(&home, &ask.room_id_or_alias).await?;
    membership::change_as(&home, &who, &room, Move::Join, who.user(), ask.reason).await?;
    Ok(join_room_by_id_or_alias::v3::Response::new(room.room_id.clone()))
}

/// `POST /_matrix/client/v3/knock/{roomIdOrAlias}`
pub async fn knock(
    home: Home,
    who: Device,
    ask: knock_room::v3::Request,
) -> Answer<knock_room::v3::Response> {
    let room = membership::find(&home, &ask.room_id_or_alias).await?;
    membership::change_as(&home, &who, &room, Move::Knock, who.user(), ask.reason).await?;
    Ok(knock_room::v3::Response::new(room.room_id.clone()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/invite`
pub async fn invite(
    home: Home,
    who: Device,
    ask: invite_user::v3::Request,
) -> Answer<invite_user::v3::Response> {
    let InvitationRecipient::UserId(invited) = ask.recipient else {
        return Err(Refusal::forbidden("This server does not invite by third-party identifiers"));
    };
    let room = rooms::find(&home, &ask.room_id).await?;
    membership::change_as(&home, &who, &room, Move::Invite, &invited.user_id, invited.reason).await?;
    Ok(invite_user::v3::Response::new())
}

/// `POST /_matrix/client/v3/rooms/{roomId}/leave`
pub async fn leave(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: leave_room::v3::Request,
) -> Answer<leave_room::v3::Response> {
    let room = rooms::find(&home, &ask.room_id).await?;
    membership::change_as(&home, &who, &room, Move::Leave, who.user(), ask.reason).await?;
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
    membership::change_as(home, who, &room, then, target, reason).await
}
