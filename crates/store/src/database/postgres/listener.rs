//! Hears what other nodes commit.
//!
//! Every commit notifies one channel with the position it reached. Our own notifications come back
//! too and do no harm: [`Upto`] holds them until the writer is through with its group.

use super::{CONNECT_TIMEOUT, error};
use crate::database::queue::Upto;
use crate::database::{Error, Result};
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

/// The pause before a lost connection is made again.
const PAUSE: Duration = Duration::from_millis(500);

/// The task that listens; dropping this ends it.
pub(super) struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The channel of the hearth whose tables are in `schema`.
pub(super) fn channel(schema: &str) -> String {
    format!("hearth_{schema}")
}

pub(super) fn start(config: Config, channel: &str, upto: Arc<Upto>) -> Listener {
    let listen = format!("LISTEN \"{}\"", channel.replace('"', "\"\""));
    let task = tokio::spawn(async move {
        loop {
            if let Err(error) = hear(&config, &listen, &upto).await {
                tracing::debug!(%error, "cannot hear other nodes");
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    Listener(task.abort_handle())
}

/// Listens until the connection is lost.
async fn hear(config: &Config, listen: &str, upto: &Upto) -> Result<()> {
    let made = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(NoTls)).await;
    let late = |_| Error::Unavailable("PostgreSQL does not answer in time".into());
    let (client, mut connection) = made.map_err(late)?.map_err(error)?;
    let mut messages = poll_fn(move |context| connection.poll_message(context));
    let heard = async {
        while let Some(message) = messages.next().await {
            if let AsyncMessage::Notification(told) = message.map_err(error)?
                && let Ok(pos) = told.payload().parse()
            {
                upto.foreign(pos);
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = heard => ended,
        failed = catch_up(&client, listen, upto) => failed,
    }
}

/// Starts listening, then looks what was missed. Ends only if that fails.
async fn catch_up(client: &Client, listen: &str, upto: &Upto) -> Result<()> {
    client.batch_execute(listen).await.map_err(error)?;
    let row = client.query_one("SELECT pos FROM stream", &[]).await.map_err(error)?;
    upto.foreign(row.get(0));
    std::future::pending().await
}
