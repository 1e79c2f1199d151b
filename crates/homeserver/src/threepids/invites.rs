//! Whose an address is, and invites for addresses that are nobody's yet: what identity servers are
//! asked when somebody is invited by an address.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{CanonicalJsonObject, OwnedUserId, UserId, api::client::membership::Invite3pid};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Medium,
    credentials::must_be_opaque,
    identity::{post, refusal, trusted, unexpected},
};
use crate::{
    Home, outgoing,
    refusal::{Answer, Refusal},
};

/// Bytes of what an identity server calls somebody.
const NAME_BYTES_MAX: usize = 1_024;

/// Keys that may sign for one invite.
const KEYS_MAX: usize = 16;

/// Bytes of a key, or of the URL that tells whether it is good.
const KEY_BYTES_MAX: usize = 2_048;

/// What an identity server may tell whom it writes to.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct About {
    pub(crate) room_id: String,
    pub(crate) sender: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_avatar_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_join_rules: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender_display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender_avatar_url: Option<String>,
}

/// An invite that an identity server keeps: the state key and the content of its
/// m.room.third_party_invite event.
pub(crate) struct Offer {
    pub(crate) token: String,
    pub(crate) content: CanonicalJsonObject,
}

/// The address in canonical form.
fn address(invite: &Invite3pid) -> Answer<(Medium, String)> {
    let medium = Medium::named(invite.medium.as_str());
    let medium = medium.ok_or_else(|| Refusal::invalid_param("`medium` is email or msisdn"))?;
    let address = medium.canonical(&invite.address);
    Ok((medium, address.ok_or_else(|| Refusal::invalid_param("`address` is no such address"))?))
}

/// Refuses an invite that no identity server will be asked about.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED`, `M_INVALID_PARAM`
pub(crate) fn check(home: &Home, invite: &Invite3pid) -> Answer<()> {
    trusted(home, &invite.id_server)?;
    address(invite).map(drop)
}

/// Who the address of an invite belongs to, if the identity server knows.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED`, `M_INVALID_PARAM`, what the server refuses with, 503 if it does not answer.
pub(crate) async fn lookup(home: &Home, invite: &Invite3pid) -> Answer<Option<OwnedUserId>> {
    #[derive(Deserialize)]
    struct Details {
        lookup_pepper: String,
        algorithms: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Found {
        mappings: HashMap<String, String>,
    }
    let server = trusted(home, &invite.id_server)?;
    let (medium, address) = address(invite)?;
    let token = Some(&*invite.id_access_token);
    let url = server.url(token, "hash_details");
    let details: Details = outgoing::get_json(home, &url, token).await.map_err(refusal)?;
    // Nobody is told the address itself as long as there is another way.
    let (algorithm, name) = if details.algorithms.iter().any(|algorithm| algorithm == "sha256") {
        let text = format!("{address} {} {}", medium.as_str(), details.lookup_pepper);
        ("sha256", URL_SAFE_NO_PAD.encode(Sha256::digest(text)))
    } else {
        return Err(unexpected("that it does not take hashes of addresses"));
    };
    let body = json!({ "addresses": [name], "algorithm": algorithm, "pepper": details.lookup_pepper });
    let found: Found = post(home, &server.url(token, "lookup"), token, &body).await?;
    let Some(user) = found.mappings.get(&name) else { return Ok(None) };
    UserId::parse(user.as_str()).map(Some).map_err(|_| unexpected("a user id that is none"))
}

/// Has the identity server keep an invite, and write to the address.
///
/// # Errors
/// As [`lookup`].
pub(crate) async fn store(home: &Home, invite: &Invite3pid, about: &About) -> Answer<Offer> {
    #[derive(Deserialize)]
    struct Stored {
        token: String,
        public_keys: Vec<Key>,
        display_name: String,
    }
    #[derive(Deserialize, Serialize)]
    struct Key {
        public_key: String,
        key_validity_url: String,
    }
    let server = trusted(home, &invite.id_server)?;
    let (medium, address) = address(invite)?;
    let token = Some(&*invite.id_access_token);
    let mut body = serde_json::to_value(about).map_err(|error| Refusal::broken(error.to_string()))?;
    body["medium"] = medium.as_str().into();
    body["address"] = Value::String(address);
    let stored: Stored = post(home, &server.url(token, "store-invite"), token, &body).await?;
    must_be_opaque("token", &stored.token).map_err(|_| unexpected("a token that is none"))?;
    let too_long =
        |key: &Key| key.public_key.len() > KEY_BYTES_MAX || key.key_validity_url.len() > KEY_BYTES_MAX;
    let Some(first) = stored.public_keys.first() else { return Err(unexpected("no keys")) };
    let many = stored.public_keys.len() > KEYS_MAX || stored.display_name.len() > NAME_BYTES_MAX;
    if many || stored.public_keys.iter().any(too_long) {
        return Err(unexpected("more than an event can hold"));
    }
    let content = json!({
        "display_name": stored.display_name,
        "public_key": first.public_key,
        "key_validity_url": first.key_validity_url,
        "public_keys": stored.public_keys,
    });
    Ok(Offer { token: stored.token, content: rules::canonical::object_of(&content)? })
}
