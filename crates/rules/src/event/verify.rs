//! Events from other servers: their form, their signatures, their hash.
//!
//! Spec: server-server API, «Validating hashes and signatures on received events».

use std::collections::BTreeSet;

use ruma::{
    AnyKeyName, CanonicalJsonObject, CanonicalJsonValue, ServerName, SigningKeyId, UserId,
    canonical_json::{RedactingSerializer, redact_in_place},
    room_version_rules::RoomVersionRules,
    serde::{Base64, base64::Standard},
    signatures::{PublicKeyMap, content_hash, verify_canonical_json_bytes},
};
use sha2::{Digest, Sha256};

use super::{AUTH_EVENTS_MAX, Event, FIELD_BYTES_MAX, PDU_BYTES_MAX, PREV_EVENTS_MAX, event_id_of};
use crate::{Refused, canonical};

pub(super) fn verify(json: &[u8], keys: &PublicKeyMap, rules: &RoomVersionRules) -> Result<Event, Refused> {
    let mut object = read(json, rules)?;
    let signed = RedactingSerializer::new()
        .rules(&rules.redaction)
        .custom_redacted_root_fields(&["signatures", "unsigned"])
        .serialize(&object)
        .map_err(|error| Refused::BadJson(error.to_string()))?;
    for server in signers(&object, rules)? {
        check_signatures(&object, &server, keys, &signed)?;
    }
    if !hash_fits(&object)? {
        // What was sent is not what was signed; what redaction leaves is.
        redact_in_place(&mut object, &rules.redaction, None)
            .map_err(|error| Refused::BadJson(error.to_string()))?;
    }
    let event_id = event_id_of(&Sha256::digest(&signed).into(), rules)?;
    let mut bytes = Vec::with_capacity(json.len());
    canonical::write(&mut bytes, &object);
    Event::parse(event_id, bytes.into(), rules)
}

/// The servers whose signatures an event needs, by the bytes of its PDU: whose keys to fetch before
/// [`Event::verify`].
///
/// # Errors
/// As [`Event::verify`], but nothing is verified.
pub fn required_signers(json: &[u8], rules: &RoomVersionRules) -> Result<BTreeSet<String>, Refused> {
    signers(&read(json, rules)?, rules)
}

fn read(json: &[u8], rules: &RoomVersionRules) -> Result<CanonicalJsonObject, Refused> {
    if json.len() > PDU_BYTES_MAX {
        return Err(Refused::TooLarge { what: "event", bytes: json.len(), bytes_max: PDU_BYTES_MAX });
    }
    let mut object = canonical::pdu_object(json)?;
    // Nobody vouches for this: it is outside the hash and the signatures.
    object.remove("unsigned");
    check_form(&object, rules)?;
    Ok(object)
}

/// Spec: rooms/v6 and v12, «Event format»; client-server API, «Size limits». Ruma allows one byte less.
fn check_form(object: &CanonicalJsonObject, rules: &RoomVersionRules) -> Result<(), Refused> {
    let bad = |key: &str| Refused::BadJson(format!("`{key}` of an event is missing or malformed"));
    let text = |key: &'static str| match object.get(key) {
        Some(CanonicalJsonValue::String(text)) if text.len() > FIELD_BYTES_MAX => {
            Err(Refused::TooLarge { what: key, bytes: text.len(), bytes_max: FIELD_BYTES_MAX })
        }
        Some(CanonicalJsonValue::String(text)) => Ok(text.as_str()),
        _ => Err(bad(key)),
    };
    let makes_room = text("type")? == "m.room.create" && !rules.event_format.require_room_create_room_id;
    text("sender")?;
    if !makes_room || object.contains_key("room_id") {
        text("room_id")?;
    }
    if object.contains_key("state_key") {
        text("state_key")?;
    }
    if !object.get("content").is_some_and(CanonicalJsonValue::is_object) {
        return Err(bad("content"));
    }
    for key in ["depth", "origin_server_ts"] {
        let number = object.get(key).and_then(CanonicalJsonValue::as_integer);
        if number.is_none_or(|number| i64::from(number) < 0) {
            return Err(bad(key));
        }
    }
    for (key, count_max) in [("prev_events", PREV_EVENTS_MAX), ("auth_events", AUTH_EVENTS_MAX)] {
        let ids = object.get(key).and_then(CanonicalJsonValue::as_array).ok_or_else(|| bad(key))?;
        if !ids.iter().all(CanonicalJsonValue::is_string) {
            return Err(bad(key));
        }
        if ids.len() > count_max {
            return Err(Refused::BadJson(format!(
                "{key} names {} events, at most {count_max} may",
                ids.len()
            )));
        }
    }
    Ok(())
}

/// The sender's server, unless a third party invited; and the server that let a member in (rules 4.2 and 5.2
/// of rooms/v8 to v12). Ruma demands the latter for every type of event.
fn signers(object: &CanonicalJsonObject, rules: &RoomVersionRules) -> Result<BTreeSet<String>, Refused> {
    let server_of = |user: Option<&CanonicalJsonValue>| {
        let user = user.and_then(CanonicalJsonValue::as_str).and_then(|user| <&UserId>::try_from(user).ok());
        user.map(UserId::server_name).map(ServerName::to_string)
    };
    let content = object.get("content").and_then(CanonicalJsonValue::as_object);
    let is_member = object.get("type").and_then(CanonicalJsonValue::as_str) == Some("m.room.member");
    let content = content.filter(|_| is_member);
    let of_content = |key: &str| content.and_then(|content| content.get(key));
    let invite = of_content("membership").and_then(CanonicalJsonValue::as_str) == Some("invite");

    let mut servers = BTreeSet::new();
    if !(invite && of_content("third_party_invite").is_some()) {
        let server = server_of(object.get("sender"));
        servers.insert(server.ok_or_else(|| Refused::BadJson("the sender is not a user id".to_owned()))?);
    }
    if rules.signatures.check_join_authorised_via_users_server
        && let Some(user) = of_content("join_authorised_via_users_server")
    {
        let server = server_of(Some(user));
        let error = || Refused::BadJson("join_authorised_via_users_server is not a user id".to_owned());
        servers.insert(server.ok_or_else(error)?);
    }
    Ok(servers)
}

/// Every signature of `server` by a key that we know must be good, and there must be one.
fn check_signatures(
    object: &CanonicalJsonObject,
    server: &str,
    keys: &PublicKeyMap,
    signed: &str,
) -> Result<(), Refused> {
    let refuse = |reason: &str| Err(Refused::Signature(format!("{server}: {reason}")));
    let signatures = object.get("signatures").and_then(CanonicalJsonValue::as_object);
    let Some(signatures) = signatures.and_then(|all| all.get(server)).and_then(CanonicalJsonValue::as_object)
    else {
        return refuse("did not sign this event");
    };
    let mut checked = false;
    for (key_id, signature) in signatures {
        let Some(key) = keys.get(server).and_then(|keys| keys.get(key_id)) else { continue };
        let Ok(parsed) = <&SigningKeyId<AnyKeyName>>::try_from(key_id.as_str()) else { continue };
        let signature = signature.as_str().and_then(|text| Base64::<Standard>::parse(text).ok());
        let Some(signature) = signature else { return refuse("has a signature that is not base64") };
        let verified = verify_canonical_json_bytes(
            &parsed.algorithm(),
            key.as_bytes(),
            signature.as_bytes(),
            signed.as_bytes(),
        );
        if verified.is_err() {
            return refuse("has a signature that does not fit");
        }
        checked = true;
    }
    if checked { Ok(()) } else { refuse("has no signature by a key that we know") }
}

fn hash_fits(object: &CanonicalJsonObject) -> Result<bool, Refused> {
    let hashes = object.get("hashes").and_then(CanonicalJsonValue::as_object);
    let claimed = hashes.and_then(|hashes| hashes.get("sha256")).and_then(CanonicalJsonValue::as_str);
    let Some(claimed) = claimed else {
        return Err(Refused::BadJson("an event has a sha256 hash".to_owned()));
    };
    let hash = content_hash(object).map_err(|error| Refused::BadJson(error.to_string()))?;
    Ok(Base64::<Standard>::parse(claimed).is_ok_and(|claimed| claimed.as_bytes() == hash.as_bytes()))
}
