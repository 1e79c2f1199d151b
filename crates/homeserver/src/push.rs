//! Push rules: which events notify a user.

use ruma::push::Ruleset;

use crate::{Home, refusal::Answer, who::Device};

/// The push rules of a user: those that every account begins with, for nobody can change them yet.
///
/// # Errors
/// If the database does not answer.
pub async fn rules(_: &Home, who: &Device) -> Answer<Ruleset> {
    Ok(rules::push::default_rules(who.user()))
}
