//! The API of 2015, in the order of its text; behind each endpoint stands what it is today, if anything.

use homeserver::limits::Class::{Create, Invite, Join, Login, Register, Search, Send};
use http::Method;

use crate::{
    client::{
        account, directory, filter,
        legacy::{
            self, create_room, inviting, list_public_rooms, login, message_pagination, presence, pushers,
            pushrules, room_send, rooms, search, sync, v2_sync,
        },
        membership, profile, push, receipts, room_send as send, threepids, typing, voip,
    },
    endpoint::{Endpoint, at},
};

/// The path of an endpoint of version 1.
macro_rules! v1 {
    ($path:literal) => {
        &[concat!("/_matrix/client/api/v1/", $path)]
    };
}

/// The paths of an endpoint of version 2. The prose of its specification has one of the prefixes, the
/// description of its registration the other.
macro_rules! v2_alpha {
    ($path:literal) => {
        &[concat!("/_matrix/client/v2_alpha/", $path), concat!("/_matrix/client/api/v2_alpha/", $path)]
    };
}

/// All of its endpoints.
pub(super) fn api_of_2015() -> Vec<Endpoint> {
    let all = [authentication(), syncing(), room_events(), memberships(), modules()];
    // Of pushers the document has today's word for what is missing.
    let set_pusher = at(Method::POST, v1!("pushers/set"), pushers::set);
    all.into_iter().flatten().map(Endpoint::as_in_2015).chain([set_pusher]).collect()
}

/// Registration and login.
fn authentication() -> Vec<Endpoint> {
    vec![
        at(Method::GET, v1!("register"), legacy::registration::flows),
        at(Method::POST, v1!("register"), legacy::registration::register).costs(Register),
        at(Method::POST, v2_alpha!("register"), legacy::registration::register_v2).costs(Register),
        at(Method::GET, v1!("login"), login::flows),
        at(Method::POST, v1!("login"), login::login).costs(Login),
        at(Method::POST, v1!("tokenrefresh"), login::refresh),
        at(Method::GET, v2_alpha!("login"), login::flows),
        at(Method::POST, v2_alpha!("login"), login::login).costs(Login),
        at(Method::POST, v2_alpha!("tokenrefresh"), login::refresh),
        at(Method::POST, v2_alpha!("account/password"), account::change_password),
        at(Method::GET, v2_alpha!("account/3pid"), threepids::list),
        at(Method::POST, v2_alpha!("account/3pid"), threepids::add_unproved).costs(Login),
    ]
}

/// Syncing.
fn syncing() -> Vec<Endpoint> {
    vec![
        at(Method::GET, v1!("initialSync"), sync::initial_v1).costs(Search),
        at(Method::GET, v1!("events"), sync::events_v1),
        at(Method::GET, v1!("events/{event_id}"), sync::event_v1),
        at(Method::GET, v2_alpha!("sync"), v2_sync::get),
        at(Method::POST, v2_alpha!("user/{user_id}/filter"), filter::create),
        at(Method::GET, v2_alpha!("user/{user_id}/filter/{filter_id}"), filter::get),
        at(Method::POST, v2_alpha!("rooms/{room_id}/receipt/{receipt_type}/{event_id}"), receipts::send),
    ]
}

/// Getting events for a room, and sending them.
fn room_events() -> Vec<Endpoint> {
    vec![
        at(Method::GET, v1!("rooms/{room_id}/state"), rooms::state),
        at(Method::GET, v1!("rooms/{room_id}/state/{event_type}"), rooms::state_event),
        at(Method::GET, v1!("rooms/{room_id}/state/{event_type}/"), rooms::state_event),
        at(Method::GET, v1!("rooms/{room_id}/state/{event_type}/{state_key}"), rooms::state_event),
        at(Method::GET, v1!("rooms/{room_id}/initialSync"), rooms::initial_sync_v1),
        at(Method::GET, v1!("rooms/{room_id}/members"), rooms::members),
        at(Method::GET, v1!("rooms/{room_id}/messages"), message_pagination::get),
        at(Method::PUT, v1!("rooms/{room_id}/state/{event_type}"), send::set_state).costs(Send),
        at(Method::PUT, v1!("rooms/{room_id}/state/{event_type}/"), send::set_state).costs(Send),
        at(Method::PUT, v1!("rooms/{room_id}/state/{event_type}/{state_key}"), send::set_state).costs(Send),
        at(Method::POST, v1!("rooms/{room_id}/send/{event_type}"), room_send::send).costs(Send),
        at(Method::PUT, v1!("rooms/{room_id}/send/{event_type}/{txn_id}"), room_send::send).costs(Send),
        at(Method::POST, v1!("rooms/{room_id}/redact/{event_id}"), room_send::redact).costs(Send),
        at(Method::PUT, v1!("rooms/{room_id}/redact/{event_id}/{txn_id}"), send::redact).costs(Send),
    ]
}

/// Rooms, from their creation to the list of them.
fn memberships() -> Vec<Endpoint> {
    vec![
        at(Method::POST, v1!("createRoom"), create_room::create).costs(Create),
        at(Method::PUT, v1!("createRoom/{txn_id}"), create_room::create).costs(Create),
        at(Method::PUT, v1!("directory/room/{room_alias}"), legacy::directory::add_alias),
        at(Method::GET, v1!("directory/room/{room_alias}"), directory::get_alias),
        at(Method::DELETE, v1!("directory/room/{room_alias}"), legacy::directory::remove_alias),
        at(Method::POST, v1!("rooms/{room_id}/invite"), inviting::invite).costs(Invite),
        at(Method::PUT, v1!("rooms/{room_id}/invite/{txn_id}"), inviting::invite).costs(Invite),
        at(Method::POST, v1!("rooms/{room_id}/join"), membership::join_by_alias).costs(Join),
        at(Method::PUT, v1!("rooms/{room_id}/join/{txn_id}"), membership::join_by_alias).costs(Join),
        at(Method::POST, v1!("join/{room}"), membership::join_by_alias).costs(Join),
        at(Method::PUT, v1!("join/{room}"), membership::join_by_alias).costs(Join),
        at(Method::PUT, v1!("join/{room}/{txn_id}"), membership::join_by_alias).costs(Join),
        at(Method::POST, v1!("rooms/{room_id}/leave"), legacy::membership::leave),
        at(Method::PUT, v1!("rooms/{room_id}/leave/{txn_id}"), legacy::membership::leave),
        at(Method::POST, v1!("rooms/{room_id}/forget"), membership::forget),
        at(Method::POST, v1!("rooms/{room_id}/kick"), membership::kick),
        at(Method::POST, v1!("rooms/{room_id}/ban"), legacy::membership::ban),
        at(Method::PUT, v1!("rooms/{room_id}/ban/{txn_id}"), legacy::membership::ban),
        at(Method::POST, v1!("rooms/{room_id}/unban"), membership::unban),
        at(Method::GET, v1!("publicRooms"), list_public_rooms::get).costs(Search),
    ]
}

/// Profiles and the modules.
fn modules() -> Vec<Endpoint> {
    vec![
        at(Method::GET, v1!("profile/{user_id}"), profile::get),
        at(Method::GET, v1!("profile/{user_id}/{field}"), profile::get_field),
        at(Method::PUT, v1!("profile/{user_id}/{field}"), profile::set_field),
        // Typing notifications
        at(Method::PUT, v1!("rooms/{room_id}/typing/{user_id}"), typing::put),
        // Presence
        at(Method::GET, v1!("presence/{user_id}/status"), presence::status),
        at(Method::PUT, v1!("presence/{user_id}/status"), presence::set_status),
        at(Method::GET, v1!("presence/list/{user_id}"), presence::list),
        at(Method::POST, v1!("presence/list/{user_id}"), presence::change_list),
        // Searching
        at(Method::POST, v1!("search"), search::search).costs(Search),
        // Voice over IP
        at(Method::GET, v1!("voip/turnServer"), voip::turn_server),
        // So it is called in the description of the API, and nowhere else.
        at(Method::GET, v1!("turnServer"), voip::turn_server),
        // Push notifications
        at(Method::GET, v1!("pushrules/"), pushrules::all),
        at(Method::GET, v1!("pushrules/global/"), push::global_rules),
        at(Method::GET, v1!("pushrules/global/{kind}/{rule_id}"), push::rule),
        at(Method::PUT, v1!("pushrules/global/{kind}/{rule_id}"), push::set_rule),
        at(Method::DELETE, v1!("pushrules/global/{kind}/{rule_id}"), push::remove_rule),
        at(Method::GET, v1!("pushrules/global/{kind}/{rule_id}/enabled"), push::is_enabled),
        at(Method::PUT, v1!("pushrules/global/{kind}/{rule_id}/enabled"), pushrules::set_enabled),
        at(Method::GET, v1!("pushrules/global/{kind}/{rule_id}/actions"), push::actions),
        at(Method::PUT, v1!("pushrules/global/{kind}/{rule_id}/actions"), push::set_actions),
        at(Method::GET, v1!("pushrules/device/"), pushrules::of_devices),
        at(Method::GET, v1!("pushrules/device/{tag}/"), pushrules::of_device),
        at(Method::GET, v1!("pushrules/device/{tag}/{kind}/{rule_id}"), push::rule),
        at(Method::PUT, v1!("pushrules/device/{tag}/{kind}/{rule_id}"), push::set_rule),
        at(Method::DELETE, v1!("pushrules/device/{tag}/{kind}/{rule_id}"), push::remove_rule),
        at(Method::GET, v1!("pushrules/device/{tag}/{kind}/{rule_id}/enabled"), push::is_enabled),
        at(Method::PUT, v1!("pushrules/device/{tag}/{kind}/{rule_id}/enabled"), pushrules::set_enabled),
        at(Method::GET, v1!("pushrules/device/{tag}/{kind}/{rule_id}/actions"), push::actions),
        at(Method::PUT, v1!("pushrules/device/{tag}/{kind}/{rule_id}/actions"), push::set_actions),
    ]
}
