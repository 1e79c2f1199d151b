//! Requests that can be repeated: in 2015 a `POST` could be a `PUT` with a transaction id behind the path
//! (`intro.rst`, «Transaction identifiers»).

use homeserver::Answer;
use http::Method;
use ruma::{OwnedTransactionId, api::IncomingRequest};

use crate::{body, endpoint::Ask};

/// A question that ruma has a type for, and the transaction it is asked in.
pub struct Once<T> {
    /// The question.
    pub ask: T,
    /// The transaction, of a `PUT`.
    pub txn_id: Option<OwnedTransactionId>,
}

/// Questions with a transaction id, perhaps.
pub enum InTransaction {}

impl<T: IncomingRequest + Send + 'static> Ask<InTransaction> for Once<T> {
    fn read(request: http::Request<&[u8]>, path: &[&str]) -> Answer<Self> {
        let (mut parts, body) = request.into_parts();
        let (path, txn_id) = match path.split_last() {
            Some((txn_id, path)) if parts.method == Method::PUT => (path, Some((*txn_id).into())),
            _ => (path, None),
        };
        parts.method = T::METHOD;
        Ok(Once { ask: body::read_typed(http::Request::from_parts(parts, body), path)?, txn_id })
    }
}
