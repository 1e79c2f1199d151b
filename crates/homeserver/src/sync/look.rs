//! One look at what a user is to learn: from where, up to where, and where the user stands.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ruma::UserId;
use store::{account_data::AccountData, members::Member};

use super::{Ask, told::Telling};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{
        memberships::{self, Standings},
        show::Form,
        visibility::Viewer,
    },
    settings::{self, Settings},
    token::Token,
    who::Device,
};

/// How long to wait for another node's position to arrive here.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// What one sync looks at.
pub(super) struct Look {
    pub(super) home: Home,
    pub(super) who: Device,
    pub(super) ask: Ask,
    /// From here on; `None`: from the beginning.
    pub(super) since: Option<Token>,
    /// Up to here, and here the next sync goes on.
    pub(super) upto: Token,
    /// Where the user stands in all rooms, complete up to `upto`.
    pub(super) standings: Arc<Standings>,
    /// What the user has set that the server goes by.
    pub(super) settings: Arc<Settings>,
    /// The account data that changed, by room.
    pub(super) account_data: HashMap<i64, Vec<AccountData>>,
    /// What the client is told of members, if it remembers that.
    pub(super) telling: Option<Telling>,
}

impl Look {
    /// Looks from `since` on, as far as can be seen now.
    pub(super) async fn new(home: &Home, who: &Device, ask: &Ask, since: Option<Token>) -> Answer<Self> {
        // In this order: what is read after a position is complete up to it.
        let ephemeral = home.ephemera.serial();
        let (pos, standings) = settled(home, who.user()).await?;
        let since = since.map(|since| Token { ephemeral: home.ephemera.known(since.ephemeral), ..since });
        let remembers = ask.filter.remembers_members();
        let heard = since.filter(|_| !ask.full_state).map_or(0, |since| since.link);
        let telling = remembers.then(|| Telling::begin(&home.told, who, heard));
        let mut look = Look {
            home: home.clone(),
            who: who.clone(),
            ask: ask.clone(),
            since,
            upto: Token { pos, ephemeral, link: telling.as_ref().map_or(0, |telling| telling.link) },
            standings,
            settings: settings::of(home, who.user()).await?,
            account_data: HashMap::new(),
            telling,
        };
        look.account_data = super::account_data::changed(&look).await?;
        Ok(look)
    }

    /// The answer is on its way to the client.
    pub(super) fn told(&mut self) {
        if let Some(telling) = self.telling.take() {
            telling.done(&self.home.told, &self.who);
        }
    }

    /// Who syncs.
    pub(super) fn user(&self) -> &UserId {
        self.who.user()
    }

    /// Whether the client is told everything, not only what changed.
    pub(super) fn is_whole(&self) -> bool {
        self.since.is_none() || self.ask.full_state
    }

    /// The position from which on the client learns; 0 at first.
    pub(super) fn since_pos(&self) -> i64 {
        self.since.map_or(0, |since| since.pos)
    }

    /// The serial from which on the client learns; 0 at first.
    pub(super) fn since_serial(&self) -> u64 {
        self.since.map_or(0, |since| since.ephemeral)
    }

    /// The user as who looks into a room.
    pub(super) fn viewer(&self, member: &Member) -> Viewer {
        Viewer::with(Some(self.user()), Some(member.clone()), self.upto.pos)
    }

    /// In which form the client wants events. What points to them is told only after a gap: without one
    /// the client has seen it come.
    pub(super) fn form(&self, after_gap: bool) -> Form<'_> {
        Form {
            device: Some(self.who.device()),
            with_room_id: false,
            format: self.ask.filter.format,
            with_relations: after_gap,
            with_invite_state: false,
        }
    }
}

/// A position up to which everything can be read, and where `user` stands in all rooms, complete up to it.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn settled(home: &Home, user: &UserId) -> Answer<(i64, Arc<Standings>)> {
    let pos = home.db.upto();
    let standings = memberships::of_user(home, user).await?;
    match standings.last_pos() > pos {
        true => Ok((published(home, standings.last_pos()).await?, standings)),
        false => Ok((pos, standings)),
    }
}

/// Waits until everything up to `pos`, which is durable, can be read.
async fn published(home: &Home, pos: i64) -> Answer<i64> {
    let mut follow = home.db.follow();
    let upto = follow.wait_for(|upto| *upto >= pos).await;
    upto.map(|upto| *upto).map_err(|_| Refusal::unavailable("The server is stopping"))
}

/// Refuses a token that this server can not have given out yet.
///
/// # Errors
/// `M_INVALID_PARAM`
pub(super) async fn check(home: &Home, since: Token) -> Answer<()> {
    if since.pos <= home.db.upto() {
        return Ok(());
    }
    let mut follow = home.db.follow();
    match tokio::time::timeout(CATCH_UP_MAX, follow.wait_for(|upto| *upto >= since.pos)).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(Refusal::invalid_param("The token is not one that this server gave out")),
    }
}
