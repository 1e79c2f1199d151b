//! Questions of endpoints with user-interactive authentication: `auth` apart from all the rest.

use homeserver::{Answer, Refusal, accounts::own};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    body,
    endpoint::Ask,
    plain::{ByHand, Plain},
};

/// A request whose body may have an `auth`.
#[derive(Debug)]
pub struct Interactive {
    /// The parts of the request.
    pub plain: Plain,
    /// `auth`, if it is there.
    pub auth: Option<Map<String, Value>>,
    /// The body without it.
    pub body: Map<String, Value>,
}

impl Ask<ByHand> for Interactive {
    fn read(request: http::Request<&[u8]>, path: &[&str]) -> Answer<Self> {
        let plain = Plain::read(request, path)?;
        let mut body: Map<String, Value> = body::read_json(&plain.body)?;
        let auth = match body.remove("auth") {
            None | Some(Value::Null) => None,
            Some(Value::Object(auth)) => Some(auth),
            Some(_) => return Err(Refusal::bad_json("auth must be an object")),
        };
        Ok(Interactive { plain, auth, body })
    }
}

impl Interactive {
    /// The body and `auth`, for verbs that have people prove themselves.
    pub fn ask(&self) -> own::Ask<'_> {
        own::Ask { body: &self.body, auth: self.auth.as_ref() }
    }

    /// The body without `auth`, as a type.
    ///
    /// # Errors
    /// `M_BAD_JSON`
    pub fn body<T: DeserializeOwned>(&self) -> Answer<T> {
        T::deserialize(&self.body).map_err(|error| Refusal::bad_json(format!("The request body: {error}")))
    }
}
