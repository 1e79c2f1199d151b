//! Who, of those the user shares a room with, came or went.

use rules::filter::Subject;
use ruma::OwnedUserId;

use super::{look::Look, write};
use crate::{
    presence::{self, Presence},
    refusal::Answer,
};

/// Writes `{"events":[…]}`; answers whether there is any.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn write(look: &Look, out: &mut String) -> Answer<bool> {
    out.push_str(r#"{"events":["#);
    let any = write_list(look, out).await?;
    out.push_str("]}");
    Ok(any)
}

/// Writes the events, with a comma between them; answers whether there is any.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn write_list(look: &Look, out: &mut String) -> Answer<bool> {
    let changed = changed(look).await?;
    let now_ms = look.home.clock.now_ms();
    for (user, presence) in &changed {
        write::comma(out);
        out.push_str(r#"{"type":"m.presence","sender":"#);
        write::text(out, user.as_str());
        out.push_str(r#","content":"#);
        write::value(out, &presence.content(now_ms));
        out.push('}');
    }
    Ok(!changed.is_empty())
}

/// Writes the events as they were in 2015, with a comma between them: they say of whom they are, and under
/// which name. Answers whether there is any.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn write_2015(look: &Look, out: &mut String, sender: bool) -> Answer<bool> {
    let changed = changed(look).await?;
    for (user, presence) in &changed {
        write::comma(out);
        let content = presence::content_2015(&look.home, user, Some(presence)).await?;
        write::value(out, &presence::event_2015(sender.then_some(&**user), content));
    }
    Ok(!changed.is_empty())
}

async fn changed(look: &Look) -> Answer<Vec<(OwnedUserId, Presence)>> {
    if look.ask.filter.presence.admits_nothing() {
        return Ok(Vec::new());
    }
    let since = if look.ask.full_state { 0 } else { look.since_serial() };
    let mut changed = presence::seen_after(&look.home, look.user(), &look.standings, since).await?;
    changed.retain(|(user, _)| {
        look.ask.filter.presence.admits_subject(&Subject {
            event_type: "m.presence",
            sender: Some(user.as_str()),
            room_id: None,
            has_url: false,
        })
    });
    Ok(changed)
}
