//! Which events point to which (`m.relates_to`).

use crate::{Batch, PosRef, Value};

/// Notes that the event at `pos` points to `parent`.
pub fn add(
    batch: &mut Batch,
    room: Value<'static>,
    pos: PosRef,
    (parent, rel_type): (&str, &str),
    event_type: &str,
    sender: &str,
) {
    batch.run(
        "INSERT INTO relation (room, parent, rel_type, pos, event_type, sender)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (room, parent, rel_type, pos) DO NOTHING",
        vec![
            room,
            parent.to_owned().into(),
            rel_type.to_owned().into(),
            pos.into(),
            event_type.to_owned().into(),
            sender.to_owned().into(),
        ],
    );
}
