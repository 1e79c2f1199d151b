//! Transaction ids: kept small, and forgotten by device, by user and by age.

use store::{
    Batch, Db, Error, PosRef, Result,
    events::{self, NewEvent},
    rooms, testing,
    txns::{self, Key},
};

const ALICE: &str = "@alice:a.test";

/// An event in a room of its own.
fn event(batch: &mut Batch, event_id: &str) -> PosRef {
    let pos = batch.pos();
    rooms::create(batch, pos, &format!("!of-{event_id}"), "12", false);
    let new = NewEvent {
        room: pos.into(),
        event_id,
        event_type: "m.room.create",
        state_key: Some(""),
        sender: ALICE,
        origin_server_ts: 1,
        json: "{}".into(),
        state_root: &[0; 32],
        replaces: None,
        txn: None,
    };
    events::append(batch, pos, new);
    pos
}

/// A transaction of each of three devices, two of them Alice's, that led to one event.
async fn fill(db: &Db) -> Result<[Key; 3]> {
    let keys =
        [Key::of(ALICE, "A", "send/1"), Key::of(ALICE, "B", "send/1"), Key::of("@bob:a.test", "A", "send/1")];
    let mut batch = Batch::new();
    let pos = event(&mut batch, "$one");
    for key in keys {
        txns::claim(&mut batch, key, pos, 1_000);
    }
    db.commit(batch).await?;
    Ok(keys)
}

async fn known(db: &Db, keys: [Key; 3]) -> Result<[bool; 3]> {
    let mut known = [false; 3];
    for (known, key) in known.iter_mut().zip(keys) {
        *known = txns::event_id(db, key).await?.as_deref() == Some("$one");
    }
    Ok(known)
}

#[tokio::test]
async fn a_transaction_leads_to_one_event() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let keys = fill(&db).await?;
        assert_eq!(known(&db, keys).await?, [true; 3]);
        let mut again = Batch::new();
        let pos = event(&mut again, "$two");
        txns::claim(&mut again, keys[0], pos, 2_000);
        assert!(matches!(db.commit(again).await, Err(Error::Refused { .. })));
        assert_eq!(txns::event_id(&db, Key::of(ALICE, "A", "send/2")).await?, None);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn transactions_are_forgotten_with_their_device() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let keys = fill(&db).await?;
        let mut batch = Batch::new();
        txns::forget_of_device(&mut batch, ALICE, "A");
        db.commit(batch).await?;
        assert_eq!(known(&db, keys).await?, [false, true, true]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn transactions_of_the_other_devices_of_a_user_are_forgotten() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let keys = fill(&db).await?;
        let forget = async |keep| {
            let mut batch = Batch::new();
            txns::forget_of_user(&mut batch, ALICE, keep);
            db.commit(batch).await
        };
        forget(Some("A")).await?;
        assert_eq!(known(&db, keys).await?, [true, false, true]);
        forget(None).await?;
        assert_eq!(known(&db, keys).await?, [false, false, true]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn old_transactions_are_forgotten_in_portions() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let keys = fill(&db).await?;
        let mut batch = Batch::new();
        let pos = event(&mut batch, "$old");
        for n in 0..2_001 {
            txns::claim(&mut batch, Key::of(ALICE, "C", &format!("send/{n}")), pos, 500);
        }
        db.commit(batch).await?;
        let (mut portions, mut since) = (0, Vec::new());
        while let Some(until) = txns::old_until(&db, &since, 1_000).await? {
            let mut batch = Batch::new();
            txns::forget_before(&mut batch, (&since, &until), 1_000);
            db.commit(batch).await?;
            since = until;
            portions += 1;
        }
        assert_eq!(portions, 2);
        assert_eq!(txns::old_until(&db, &[], 1_000).await?, None);
        assert_eq!(known(&db, keys).await?, [true; 3]);
        Ok(())
    })
    .await
}
