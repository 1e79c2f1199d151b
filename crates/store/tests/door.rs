//! The door to the database, on the real engines.

use store::{Batch, Db, Error, Result, settings, testing};

#[tokio::test]
async fn settings_are_kept_and_the_server_name_never_changes() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        settings::put(&db, "a", "1").await?;
        settings::put(&db, "a", "2").await?;
        assert_eq!(settings::get(&db, "a").await?.as_deref(), Some("2"));
        assert_eq!(settings::get(&db, "b").await?, None);
        settings::claim_server_name(&db, "example.org").await?;
        settings::claim_server_name(&db, "example.org").await?;
        let other = settings::claim_server_name(&db, "example.com").await;
        assert!(matches!(other, Err(Error::Unfit(_))), "{other:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refused_batch_leaves_the_others() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let claim = |key: &str, must: &str| {
            let mut batch = Batch::new();
            let pos = batch.pos();
            batch.run(
                "INSERT INTO setting (key, value) VALUES ($1, CAST(CAST($2 AS BIGINT) AS TEXT))",
                vec![key.to_owned().into(), pos.into()],
            );
            batch.must("UPDATE setting SET value = 'x' WHERE key = $1", vec![must.to_owned().into()]);
            (db.enqueue(batch), pos)
        };
        let (first, a) = claim("a", "a");
        let (second, _) = claim("b", "nobody");
        let (third, c) = claim("c", "a");
        assert_eq!(first.await?.at(a), 1);
        assert_eq!(second.await, Err(Error::Refused { statement: 1 }));
        assert_eq!(third.await?.at(c), 2);
        assert_eq!(db.upto(), 2);
        let keys: Vec<(String,)> = db.rows("SELECT key FROM setting ORDER BY key", &[]).await?;
        assert_eq!(keys, [("a".to_owned(),), ("c".to_owned(),)]);
        Ok(())
    })
    .await
}
