//! The nodes of the state trees.

use crate::{Batch, Db, Result};

/// Keeps a node. It is named by its content, so one that is there already is the same.
pub fn put(batch: &mut Batch, name: &[u8], bytes: Vec<u8>) {
    batch.run(
        "INSERT INTO state_node (name, bytes) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        vec![name.to_vec().into(), bytes.into()],
    );
}

/// The bytes of the node with this name.
pub async fn get(db: &Db, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let row = db.row::<(Vec<u8>,)>("SELECT bytes FROM state_node WHERE name = $1", &[name.into()]).await?;
    Ok(row.map(|(bytes,)| bytes))
}
