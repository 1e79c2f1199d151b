//! `m.login.email.identity` and `m.login.msisdn`: an address that is theirs.

use super::{
    Failed,
    stages::{Ask, Found},
};
use crate::{
    accounts::{own, register},
    threepids::{Medium, Purpose, credentials::Credentials, sessions},
};

/// Looks whether somebody has shown that an address is theirs, for what the session is for. What is found
/// out is read by [`Validated::of_fact`](crate::threepids::Validated::of_fact).
pub(super) async fn check(ask: Ask<'_>, medium: Medium) -> Result<Found, Failed> {
    let purpose = match &*ask.session.operation {
        register::OPERATION => Purpose::Register,
        own::PASSWORD_OPERATION => Purpose::Password,
        _ => return Err(Failed::Again("M_UNRECOGNIZED", "No address proves what is needed for that")),
    };
    let validated = sessions::validated(ask.home, purpose, &Credentials::inside(ask.auth)?).await?;
    let validated = validated.filter(|validated| validated.medium == medium);
    let not_yet =
        "Nobody has confirmed that address yet: follow the link, or type the code, that was sent to it";
    Ok(Found::Done(validated.ok_or(Failed::Again("M_UNAUTHORIZED", not_yet))?.to_fact()))
}
