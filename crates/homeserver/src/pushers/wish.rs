//! What clients say of pushers, and whether it can be so.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use store::pushers::Set;

use super::KIND;
use crate::{
    Home, outgoing,
    refusal::{Answer, Refusal},
    who::Device,
};

/// Characters of an `app_id`.
const APP_ID_CHARS_MAX: usize = 64;

/// Bytes of a `pushkey`.
const PUSHKEY_BYTES_MAX: usize = 512;

/// Bytes of what people call the application and the device.
const NAME_BYTES_MAX: usize = 255;

/// Bytes of a `profile_tag`.
const PROFILE_TAG_BYTES_MAX: usize = 255;

/// Bytes of the language.
const LANG_BYTES_MAX: usize = 64;

/// Bytes of `data`, as JSON.
const DATA_BYTES_MAX: usize = 8 * 1024;

/// The path of every push gateway.
const GATEWAY_PATH: &str = "/_matrix/push/v1/notify";

/// Which document a request follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Today's.
    Today,
    /// That of v1 of 2015: a profile tag must be there, and a gateway may have any path.
    Of2015,
}

/// What a client says of a pusher.
#[derive(Clone, Debug, Deserialize)]
pub struct Wish {
    app_id: Option<String>,
    pushkey: Option<String>,
    /// `null` is not the same as nothing.
    #[serde(default, deserialize_with = "said")]
    kind: Option<Option<String>>,
    app_display_name: Option<String>,
    device_display_name: Option<String>,
    profile_tag: Option<String>,
    lang: Option<String>,
    data: Option<Map<String, Value>>,
    append: Option<bool>,
}

fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// What is to be done about a pusher.
pub(super) enum Change {
    /// It is to be as `set` says; with the same key of other users, if `append`.
    Set { set: Set, append: bool },
    /// It is to go.
    Remove { app_id: String, pushkey: String },
}

impl Wish {
    /// Reads what is to be done.
    pub(super) fn read(self, home: &Home, who: &Device, form: Form) -> Answer<Change> {
        self.must_be_whole(form)?;
        let (app_id, pushkey) = (self.app_id.unwrap_or_default(), self.pushkey.unwrap_or_default());
        must_be("app_id", "characters", app_id.chars().count(), APP_ID_CHARS_MAX)?;
        must_be("pushkey", "bytes", pushkey.len(), PUSHKEY_BYTES_MAX)?;
        let Some(kind) = self.kind.flatten() else { return Ok(Change::Remove { app_id, pushkey }) };
        if kind != KIND {
            let message = format!("This server has no pushers of the kind {kind:?}, only {KIND:?}");
            return Err(Refusal::invalid_param(message));
        }
        let set = Set {
            device_id: who.device().to_string(),
            app_id,
            pushkey,
            app_display_name: self.app_display_name.unwrap_or_default(),
            device_display_name: self.device_display_name.unwrap_or_default(),
            profile_tag: self.profile_tag.filter(|tag| !tag.is_empty()),
            lang: self.lang.unwrap_or_default(),
            data: data(home, form, self.data.unwrap_or_default())?,
            of_2015: form == Form::Of2015,
        };
        for (name, text, bytes_max) in [
            ("app_display_name", Some(&set.app_display_name), NAME_BYTES_MAX),
            ("device_display_name", Some(&set.device_display_name), NAME_BYTES_MAX),
            ("profile_tag", set.profile_tag.as_ref(), PROFILE_TAG_BYTES_MAX),
            ("lang", Some(&set.lang), LANG_BYTES_MAX),
        ] {
            if text.is_some_and(|text| text.len() > bytes_max) {
                return Err(Refusal::invalid_param(format!("{name} has at most {bytes_max} bytes")));
            }
        }
        Ok(Change::Set { set, append: self.append.unwrap_or(false) })
    }

    /// Refuses a wish of which something is missing.
    fn must_be_whole(&self, form: Form) -> Answer<()> {
        let removes = self.kind == Some(None);
        let missing: Vec<&str> = [
            ("kind", self.kind.is_some()),
            ("app_id", self.app_id.is_some()),
            ("pushkey", self.pushkey.is_some()),
            ("app_display_name", removes || self.app_display_name.is_some()),
            ("device_display_name", removes || self.device_display_name.is_some()),
            ("profile_tag", removes || form == Form::Today || self.profile_tag.is_some()),
            ("lang", removes || self.lang.is_some()),
            ("data", removes || self.data.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_there)| (!is_there).then_some(name))
        .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refusal::missing_param(format!("Missing parameters: {}", missing.join(", "))))
    }
}

fn must_be(name: &str, unit: &str, length: usize, length_max: usize) -> Answer<()> {
    if (1..=length_max).contains(&length) {
        return Ok(());
    }
    Err(Refusal::invalid_param(format!("{name} has 1 to {length_max} {unit}")))
}

/// What is kept of `data`, if notifications may be sent where it says.
fn data(home: &Home, form: Form, data: Map<String, Value>) -> Answer<String> {
    let url = data.get("url").ok_or_else(|| Refusal::missing_param("Missing parameters: data.url"))?;
    let url = url.as_str().ok_or_else(|| Refusal::invalid_param("data.url is a text"))?;
    let (gateway, is_listed) = outgoing::gateway(home, url)
        .map_err(|error| Refusal::invalid_param(format!("The gateway at data.url {error}")))?;
    let any_path = form == Form::Of2015 && !is_listed;
    let has_rest = gateway.query().is_some() || gateway.fragment().is_some();
    if !any_path && (gateway.path() != GATEWAY_PATH || has_rest) {
        return Err(Refusal::invalid_param(format!("The path of data.url must be {GATEWAY_PATH}")));
    }
    let data = Value::Object(data).to_string();
    if data.len() > DATA_BYTES_MAX {
        return Err(Refusal::too_large(format!("data has at most {DATA_BYTES_MAX} bytes")));
    }
    Ok(data)
}
