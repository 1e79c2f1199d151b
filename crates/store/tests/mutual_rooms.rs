//! Rooms in common are found by an index: what that costs must not grow with the server.

use store::{
    Batch, Db, Result, Value,
    database::{FromRow, Row},
    members::{self, NewMember},
    mutual_rooms::{self, JOINED, JOINED_AMONG},
    rooms, testing,
};

/// One line of a plan, of either engine.
struct Step(String);

impl FromRow for Step {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Step(match row {
            Row::Sqlite(_) => row.get(3)?,
            Row::Postgres(_) => row.get(0)?,
        }))
    }
}

async fn plan(db: &Db, sql: &str, params: &[Value<'_>]) -> Result<String> {
    let explain = |how: &str| -> &'static str { Box::leak(format!("{how} {sql}").into_boxed_str()) };
    let steps = match db.rows::<Step>(explain("EXPLAIN QUERY PLAN"), params).await {
        Ok(steps) => steps,
        Err(_) => db.rows(explain("EXPLAIN"), params).await?,
    };
    Ok(steps.into_iter().map(|Step(step)| step).collect::<Vec<_>>().join("\n"))
}

/// Rooms enough that a plan without the index would look cheap to nobody.
async fn fill(db: &Db) -> Result<()> {
    for thousand in 0..4 {
        let mut batch = Batch::new();
        for n in 0..1_000 {
            let pos = batch.pos();
            rooms::create(&mut batch, pos, &format!("!{thousand}-{n}:a.test"), "12", false);
            for user in 0..4 {
                let user_id = if thousand == 0 && user == 0 {
                    "@alice:a.test".to_owned()
                } else {
                    format!("@{user}-{}:a.test", n % 100)
                };
                let member = NewMember {
                    user_id: &user_id,
                    room: pos.into(),
                    membership: if n % 3 == 0 { "leave" } else { "join" },
                    event_id: "$a",
                    sender: &user_id,
                    display_name: None,
                    avatar_url: None,
                };
                members::set(&mut batch, pos, member);
            }
        }
        db.commit(batch).await?;
    }
    let mut batch = Batch::new();
    batch.run("ANALYZE", vec![]);
    db.commit(batch).await.map(drop)
}

#[tokio::test]
async fn rooms_in_common_are_found_by_their_index() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        fill(&db).await?;
        let among = [3, 5, 7, 1_001, 3_001];
        let listed = plan(&db, JOINED, &["@alice:a.test".into(), 1_024.into()]).await?;
        let probed =
            plan(&db, JOINED_AMONG, &["@alice:a.test".into(), Value::Ints((&among[..]).into())]).await?;
        for plan in [listed, probed] {
            // Either index of memberships does: each has the room, the membership and the user.
            assert!(plan.contains("membership_joined") || plan.contains("membership_room"), "{plan}");
            let walks_all = ["SCAN membership", "Seq Scan"].iter().any(|walk| plan.contains(walk));
            assert!(!walks_all, "{plan}");
        }
        assert_eq!(mutual_rooms::joined(&db, "@alice:a.test", 1_024).await?.len(), 666);
        assert_eq!(mutual_rooms::joined_among(&db, "@alice:a.test", &among).await?, [3, 5]);
        Ok(())
    })
    .await
}
