//! Questions that ruma has no type for: the parts of the request, to read by hand.

use bytes::Bytes;
use homeserver::{Answer, Refusal};
use serde::de::DeserializeOwned;

use crate::{body, endpoint::Ask};

/// The parts of a request.
#[derive(Debug)]
pub struct Plain {
    /// The decoded placeholders of the path, in order.
    pub path: Vec<String>,
    /// The decoded pairs of the query, in order.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Questions read by hand.
pub enum ByHand {}

impl Ask<ByHand> for Plain {
    fn read(request: http::Request<&[u8]>, path: &[&str]) -> Answer<Self> {
        let query = request.uri().query().unwrap_or_default();
        Ok(Plain {
            path: path.iter().map(|&value| value.to_owned()).collect(),
            query: serde_html_form::from_str(query)
                .map_err(|_| Refusal::invalid_param("The query is not form-encoded UTF-8"))?,
            body: Bytes::copy_from_slice(request.body()),
        })
    }
}

impl Plain {
    /// The placeholder number `index` of the path, as a type.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` if it does not read as one.
    pub fn path<T>(&self, index: usize) -> Answer<T>
    where
        for<'a> T: TryFrom<&'a str>,
    {
        let value = self.path.get(index).map(String::as_str).unwrap_or_default();
        T::try_from(value).map_err(|_| Refusal::invalid_param(format!("{value:?} in the path is malformed")))
    }

    /// The first value of `name` in the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query_all(name).next()
    }

    /// All the values of `name` in the query.
    pub fn query_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as a type; an empty body counts as `{}`.
    ///
    /// # Errors
    /// `M_NOT_JSON`, `M_BAD_JSON`.
    pub fn json<T: DeserializeOwned>(&self) -> Answer<T> {
        body::read_json(&self.body)
    }

    /// The body as a type, from the form that a page was filled in with.
    ///
    /// # Errors
    /// `M_INVALID_PARAM`
    pub fn form<T: DeserializeOwned>(&self) -> Answer<T> {
        serde_html_form::from_bytes(&self.body)
            .map_err(|error| Refusal::invalid_param(format!("The form: {error}")))
    }
}
