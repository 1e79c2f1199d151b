//! Every endpoint on one line, in the order of the specification's chapters.

mod legacy;

use homeserver::{
    accounts::oauth2,
    limits::Class::{Create, Invite, Join, Login, Register, Search, Send},
    threepids::request::{CONFIRM_PATH, SUBMIT_PATH},
};
use http::Method;

use crate::{
    client::{
        account, account_data, admin, capabilities, create_room, delayed_events, devices, directory, filter,
        legacy::{rooms as old_rooms, sync as old_sync},
        membership, messages, mutual_rooms, notifications, openid, presence, profile, public_rooms, push,
        pushers, receipts, registration, relations, report_content, room_event, room_send, room_state,
        room_summary, room_upgrade, session, sso, sync, third_party, threepids, typing, user_directory,
        versions, voip, well_known,
    },
    endpoint::{Endpoint, at, endpoint},
    pages::{address, front, login, register, stage},
};

/// The paths of an endpoint that is as old as r0.
macro_rules! both {
    ($path:literal) => {
        [concat!("/_matrix/client/r0/", $path), concat!("/_matrix/client/v3/", $path)]
    };
}

/// All endpoints.
pub fn routes() -> Vec<Endpoint> {
    let today = [sessions(), addresses(), events(), rooms(), people(), other_modules(), pages()];
    today.into_iter().flatten().chain(legacy::api_of_2015()).collect()
}

/// The foundations: standards, discovery, and how clients authenticate.
fn sessions() -> Vec<Endpoint> {
    vec![
        // API standards
        endpoint(versions::get),
        // Server discovery
        at(Method::GET, &["/.well-known/matrix/client"], well_known::client),
        at(Method::GET, &["/.well-known/matrix/support"], well_known::support),
        // Client authentication: registration
        at(Method::POST, &both!("register"), registration::register).costs(Register),
        at(Method::GET, &both!("register/available"), registration::available).costs(Search),
        at(
            Method::GET,
            &["/_matrix/client/v1/register/m.login.registration_token/validity"],
            registration::token_validity,
        )
        .costs(Search),
        // Client authentication: sessions
        endpoint(session::flows),
        at(Method::POST, &both!("login"), session::login).costs(Login),
        at(Method::POST, &["/_matrix/client/v3/refresh"], session::refresh),
        at(Method::GET, &both!("login/sso/redirect"), sso::redirect).costs(Login).for_people(),
        at(Method::GET, &both!("login/sso/redirect/{idpId}"), sso::redirect_to).costs(Login).for_people(),
        at(Method::GET, &[oauth2::CHOOSE_PATH], sso::choose).for_people(),
        at(Method::GET, &[oauth2::BEGIN_PATH], sso::begin).costs(Login).for_people(),
        at(Method::GET, &[oauth2::CALLBACK_PATH], sso::callback).costs(Login).for_people(),
        at(Method::POST, &[oauth2::ALLOW_PATH], sso::allow).costs(Login).for_people(),
        at(Method::POST, &both!("logout"), session::logout),
        at(Method::POST, &both!("logout/all"), session::logout_all),
        endpoint(session::whoami),
    ]
}

/// Addresses of people: showing that one is theirs, and what an account has.
fn addresses() -> Vec<Endpoint> {
    vec![
        // Client authentication: registration
        at(Method::POST, &both!("register/email/requestToken"), threepids::register_email).costs(Register),
        at(Method::POST, &both!("register/msisdn/requestToken"), threepids::register_msisdn).costs(Register),
        // Client authentication: account
        at(Method::POST, &both!("account/password/email/requestToken"), threepids::password_email)
            .costs(Register),
        at(Method::POST, &both!("account/password/msisdn/requestToken"), threepids::password_msisdn)
            .costs(Register),
        // Client authentication: adding account administrative contact information
        at(Method::GET, &both!("account/3pid"), threepids::list),
        at(Method::POST, &both!("account/3pid"), threepids::add_unproved).costs(Login),
        at(Method::POST, &both!("account/3pid/add"), threepids::add).costs(Login),
        at(Method::POST, &both!("account/3pid/bind"), threepids::bind).costs(Login),
        at(Method::POST, &both!("account/3pid/unbind"), threepids::unbind).costs(Login),
        at(Method::POST, &both!("account/3pid/delete"), threepids::delete).costs(Login),
        at(Method::POST, &both!("account/3pid/email/requestToken"), threepids::add_email).costs(Register),
        at(Method::POST, &both!("account/3pid/msisdn/requestToken"), threepids::add_msisdn).costs(Register),
        // Where people show what was sent to an address
        at(Method::GET, &[CONFIRM_PATH], address::get).for_people(),
        at(Method::POST, &[CONFIRM_PATH], address::post).costs(Login).for_people(),
        at(Method::POST, &[SUBMIT_PATH], threepids::submit_token).costs(Login),
    ]
}

/// Events of rooms: reading and sending them.
fn events() -> Vec<Endpoint> {
    vec![
        // Filtering
        at(Method::POST, &both!("user/{user_id}/filter"), filter::create),
        at(Method::GET, &both!("user/{user_id}/filter/{filter_id}"), filter::get),
        // Syncing
        at(Method::GET, &both!("sync"), sync::get),
        at(Method::GET, &both!("events"), old_sync::events_v3),
        at(Method::GET, &both!("initialSync"), old_sync::initial_v3).costs(Search),
        at(Method::GET, &both!("events/{event_id}"), old_sync::event_v3),
        // Getting events for a room
        endpoint(room_event::get),
        at(Method::GET, &both!("rooms/{room_id}/joined_members"), room_state::joined_members),
        at(Method::GET, &both!("rooms/{room_id}/members"), room_state::members),
        at(Method::GET, &both!("rooms/{room_id}/state"), room_state::all),
        at(Method::GET, &both!("rooms/{room_id}/state/{event_type}"), room_state::one),
        at(Method::GET, &both!("rooms/{room_id}/state/{event_type}/"), room_state::one),
        at(Method::GET, &both!("rooms/{room_id}/state/{event_type}/{state_key}"), room_state::one),
        at(Method::GET, &both!("rooms/{room_id}/initialSync"), old_rooms::initial_sync_v3),
        endpoint(messages::get),
        endpoint(room_event::by_timestamp),
        endpoint(room_event::context),
        // Relationships between events
        endpoint(relations::get),
        endpoint(relations::get_of_kind),
        endpoint(relations::get_of_kind_and_type),
        endpoint(relations::threads),
        // Sending events to a room
        at(Method::PUT, &both!("rooms/{room_id}/state/{event_type}"), room_send::set_state).costs(Send),
        at(Method::PUT, &both!("rooms/{room_id}/state/{event_type}/"), room_send::set_state).costs(Send),
        at(Method::PUT, &both!("rooms/{room_id}/state/{event_type}/{state_key}"), room_send::set_state)
            .costs(Send),
        at(Method::PUT, &both!("rooms/{room_id}/send/{event_type}/{txn_id}"), room_send::send).costs(Send),
        endpoint(room_send::redact).costs(Send),
        // Delayed events (MSC4140)
        at(Method::PUT, &[delayed_events::SCHEDULE_PATH], delayed_events::schedule).costs(Send),
        at(Method::GET, &[delayed_events::LIST_PATH], delayed_events::list),
        at(Method::GET, &[delayed_events::ONE_PATH], delayed_events::get),
        at(Method::POST, &[delayed_events::ONE_PATH], delayed_events::update).costs(Send),
        at(Method::POST, &[delayed_events::ACT_PATH], delayed_events::act).costs(Send),
    ]
}

/// Rooms: creation, membership, aliases and the directory.
fn rooms() -> Vec<Endpoint> {
    vec![
        // Client authentication: account and devices
        at(Method::POST, &["/_matrix/client/v1/login/get_token"], account::login_token),
        at(Method::POST, &both!("account/password"), account::change_password),
        at(Method::POST, &both!("account/deactivate"), account::deactivate),
        at(Method::GET, &both!("devices"), devices::list),
        at(Method::GET, &both!("devices/{deviceId}"), devices::get),
        at(Method::PUT, &both!("devices/{deviceId}"), devices::put),
        at(Method::DELETE, &both!("devices/{deviceId}"), devices::delete),
        at(Method::POST, &both!("delete_devices"), devices::delete_many),
        // Capabilities negotiation
        at(Method::GET, &both!("capabilities"), capabilities::get),
        // Creation
        endpoint(create_room::create).costs(Create),
        // Room membership
        at(Method::GET, &both!("joined_rooms"), room_state::joined_rooms),
        endpoint(membership::knock).costs(Join),
        endpoint(membership::invite).costs(Invite),
        at(Method::POST, &both!("join/{room_id_or_alias}"), membership::join_by_alias).costs(Join),
        at(Method::POST, &both!("rooms/{room_id}/join"), membership::join).costs(Join),
        endpoint(membership::forget),
        endpoint(membership::leave),
        endpoint(membership::kick),
        endpoint(membership::ban),
        endpoint(membership::unban),
        // Room upgrades
        endpoint(room_upgrade::upgrade).costs(Create),
        // Rooms: aliases
        endpoint(directory::get_alias),
        endpoint(directory::add_alias),
        endpoint(directory::remove_alias),
        endpoint(directory::room_aliases),
        // Rooms: listing
        endpoint(directory::is_listed),
        at(Method::PUT, &directory::LIST_PATHS, directory::list),
        at(Method::GET, &public_rooms::PATHS, public_rooms::get).costs(Search),
        at(Method::POST, &public_rooms::PATHS, public_rooms::search).costs(Search),
    ]
}

/// Users.
fn people() -> Vec<Endpoint> {
    vec![
        // Profiles
        at(Method::GET, &profile::PATHS, profile::get),
        at(Method::GET, &profile::FIELD_PATHS, profile::get_field),
        at(Method::PUT, &profile::FIELD_PATHS, profile::set_field),
        at(Method::DELETE, &profile::FIELD_PATHS, profile::remove_field),
        // Typing notifications
        at(Method::PUT, &both!("rooms/{room_id}/typing/{user_id}"), typing::put),
        // Receipts
        at(Method::POST, &both!("rooms/{room_id}/receipt/{receipt_type}/{event_id}"), receipts::send),
        at(Method::POST, &both!("rooms/{room_id}/read_markers"), receipts::markers),
        // Presence
        at(Method::GET, &both!("presence/{user_id}/status"), presence::get),
        at(Method::PUT, &both!("presence/{user_id}/status"), presence::put),
        // Client config
        at(Method::GET, &both!("user/{user_id}/account_data/{type}"), account_data::get),
        at(Method::PUT, &both!("user/{user_id}/account_data/{type}"), account_data::put),
        at(
            Method::GET,
            &both!("user/{user_id}/rooms/{room_id}/account_data/{type}"),
            account_data::get_of_room,
        ),
        at(
            Method::PUT,
            &both!("user/{user_id}/rooms/{room_id}/account_data/{type}"),
            account_data::put_of_room,
        ),
        // Room tagging
        at(Method::GET, &both!("user/{user_id}/rooms/{room_id}/tags"), account_data::tags),
        at(Method::PUT, &both!("user/{user_id}/rooms/{room_id}/tags/{tag}"), account_data::put_tag),
        at(Method::DELETE, &both!("user/{user_id}/rooms/{room_id}/tags/{tag}"), account_data::delete_tag),
        // Mutual rooms
        at(Method::GET, &[mutual_rooms::PATH], mutual_rooms::get).costs(Search),
        at(Method::GET, &[mutual_rooms::PROPOSED_PATH], mutual_rooms::get_proposed).costs(Search),
        at(Method::GET, &[mutual_rooms::UNSTABLE_PATH], mutual_rooms::get_unstable).costs(Search),
        // Server administration
        at(Method::GET, &both!("admin/whois/{userId}"), admin::whois),
        at(Method::GET, &["/_matrix/client/v1/admin/lock/{userId}"], admin::get_lock),
        at(Method::PUT, &["/_matrix/client/v1/admin/lock/{userId}"], admin::put_lock),
        at(Method::GET, &["/_matrix/client/v1/admin/suspend/{userId}"], admin::get_suspend),
        at(Method::PUT, &["/_matrix/client/v1/admin/suspend/{userId}"], admin::put_suspend),
        at(Method::GET, &["/_synapse/admin/v1/register"], admin::nonce),
        at(Method::POST, &["/_synapse/admin/v1/register"], admin::register),
    ]
}

/// What clients look for at their start.
fn other_modules() -> Vec<Endpoint> {
    vec![
        // Voice over IP
        at(Method::GET, &both!("voip/turnServer"), voip::turn_server),
        // Push notifications
        at(Method::GET, &both!("pushers"), pushers::list),
        at(Method::POST, &both!("pushers/set"), pushers::set),
        at(Method::GET, &both!("notifications"), notifications::list).costs(Search),
        at(Method::GET, &both!("pushrules/"), push::all_rules),
        at(Method::GET, &both!("pushrules/global/"), push::global_rules),
        at(Method::GET, &both!("pushrules/global/{kind}/{rule_id}"), push::rule),
        at(Method::PUT, &both!("pushrules/global/{kind}/{rule_id}"), push::set_rule),
        at(Method::DELETE, &both!("pushrules/global/{kind}/{rule_id}"), push::remove_rule),
        at(Method::GET, &both!("pushrules/global/{kind}/{rule_id}/enabled"), push::is_enabled),
        at(Method::PUT, &both!("pushrules/global/{kind}/{rule_id}/enabled"), push::set_enabled),
        at(Method::GET, &both!("pushrules/global/{kind}/{rule_id}/actions"), push::actions),
        at(Method::PUT, &both!("pushrules/global/{kind}/{rule_id}/actions"), push::set_actions),
        // Room previews and spaces
        at(Method::GET, &room_summary::PATHS, room_summary::get),
        at(Method::GET, &[room_summary::HIERARCHY_PATH], room_summary::hierarchy).costs(Search),
        // User directory
        at(Method::POST, &both!("user_directory/search"), user_directory::search).costs(Search),
        // Reporting content
        at(Method::POST, &both!("rooms/{room_id}/report"), report_content::room).costs(Send),
        at(Method::POST, &both!("rooms/{room_id}/report/{event_id}"), report_content::event).costs(Send),
        at(Method::POST, &both!("users/{user_id}/report"), report_content::user).costs(Send),
        // OpenID
        at(Method::POST, &both!("user/{user_id}/openid/request_token"), openid::request_token),
        at(Method::GET, &["/_matrix/federation/v1/openid/userinfo"], openid::userinfo),
        // Third-party networks
        at(Method::GET, &both!("thirdparty/protocols"), third_party::protocols),
        at(Method::GET, &both!("thirdparty/protocol/{protocol}"), third_party::of_protocol),
        at(Method::GET, &both!("thirdparty/location/{protocol}"), third_party::of_protocol),
        at(Method::GET, &both!("thirdparty/user/{protocol}"), third_party::of_protocol),
        at(Method::GET, &both!("thirdparty/location"), third_party::of_matrix),
        at(Method::GET, &both!("thirdparty/user"), third_party::of_matrix),
    ]
}

/// Pages for people.
fn pages() -> Vec<Endpoint> {
    vec![
        at(Method::GET, &["/"], front::get).for_people(),
        // Client authentication: login fallback
        at(Method::GET, &login::PATHS, login::get).for_people(),
        at(Method::GET, &register::PATHS, register::get).for_people(),
        // Client authentication: fallback of user-interactive authentication
        at(Method::GET, &stage::PATHS, stage::get).for_people(),
        at(Method::POST, &stage::PATHS, stage::post).costs(Register).for_people(),
    ]
}
