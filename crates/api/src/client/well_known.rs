//! `GET /.well-known/matrix/{client,support}`

use homeserver::{Answer, Home, Refusal, who::Anyone};
use serde_json::{Map, Value, json};

use crate::{answer::Json, plain::Plain};

/// What tells a client where this server is, if the operator said so.
pub(super) fn client_object(home: &Home) -> Option<Value> {
    let base_url = home.config.well_known.client.as_ref()?;
    Some(json!({ "m.homeserver": { "base_url": base_url } }))
}

/// `GET /.well-known/matrix/client`: where clients find this server.
pub async fn client(home: Home, _: Anyone, _: Plain) -> Answer<Json> {
    let object = client_object(&home);
    Json::of(&object.ok_or_else(|| Refusal::not_found("This server does not say where clients find it"))?)
}

/// `GET /.well-known/matrix/support`: whom to ask for help.
pub async fn support(home: Home, _: Anyone, _: Plain) -> Answer<Json> {
    let well_known = &home.config.well_known;
    let mut reply = Map::new();
    if !well_known.contacts.is_empty() {
        reply.insert("contacts".to_owned(), well_known.contacts.iter().map(contact).collect());
    }
    if let Some(page) = &well_known.support_page {
        reply.insert("support_page".to_owned(), page.as_str().into());
    }
    if reply.is_empty() {
        return Err(Refusal::not_found("This server does not say whom to ask for help"));
    }
    Json::of(&reply)
}

fn contact(contact: &homeserver::config::Contact) -> Value {
    let mut object = json!({ "role": contact.role });
    if let Some(matrix_id) = &contact.matrix_id {
        object["matrix_id"] = matrix_id.as_str().into();
    }
    if let Some(email_address) = &contact.email_address {
        object["email_address"] = email_address.as_str().into();
    }
    object
}
