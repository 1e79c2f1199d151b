//! `GET /_matrix/client/v3/notifications`

use homeserver::{
    Answer, Home, Refusal,
    notifications::{self, Ask, LIMIT_DEFAULT},
    who::Device,
};

use crate::{answer::Json, client::messages::token, plain::Plain};

/// What the user was notified of.
pub async fn list(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let limit = ask.query("limit").map(str::parse).transpose();
    let limit = limit.map_err(|_| Refusal::invalid_param("`limit` in the query must be a whole number"))?;
    let ask = Ask {
        from: token(ask.query("from"))?,
        limit: limit.unwrap_or(LIMIT_DEFAULT),
        only_highlight: ask.query("only") == Some("highlight"),
    };
    Ok(Json(notifications::list(&home, &who, &ask).await?.into()))
}
