//! The desk at which pushers wait for their turn. A background loop: whose rooms something happened in
//! has a round, so many at the same time; what can not be told now is tried again later.
//!
//! A gateway that does not answer delays nobody else: each gateway has so many rounds at the same time, and
//! but one while it is silent. Nor does who has many pushers: each user has so many, too. A pusher that
//! waits costs an entry in a list.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use ruma::{OwnedUserId, UserId};
use store::{Batch, pushers as stored};
use tokio::task::{Id, JoinError, JoinSet};

use super::{
    notice::Data,
    round::{End, Progress, round},
};
use crate::{Home, refusal::Answer};

/// Rounds at the same time.
const ROUNDS_MAX: usize = 128;

/// Rounds at the same time of pushers with the same gateway.
const ROUNDS_PER_GATEWAY_MAX: usize = 32;

/// Rounds at the same time of pushers of the same user.
const ROUNDS_PER_USER_MAX: usize = 4;

/// How long a pusher waits after its gateway could not be told, in milliseconds: twice as long each time.
const WAIT_MS: i64 = 1_000;
const WAIT_MS_MAX: i64 = 30 * 60 * 1000;

/// How often it is written how far pushers looked that found nothing to push, in milliseconds. After a
/// crash they look again.
const WRITTEN_EVERY_MS: i64 = 10 * 60 * 1000;

/// The longest that the desk sleeps, and how soon it tries again if the database does not answer.
const SLEEP_MS_MAX: i64 = 10_000;

/// Users whose pushers are read at once, and pushers whose progress is written at once.
const CHUNK: usize = 500;

/// Has notifications pushed. A background loop: runs until the server stops.
pub async fn keep_pushing(home: &Home) {
    let mut stopping = home.stopping.subscribe();
    let mut desk = Desk::new(home);
    loop {
        desk.begin().await;
        desk.call();
        let sleep = Duration::from_millis(desk.sleep_ms().unsigned_abs());
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            ended = desk.rounds.join_next_with_id(), if !desk.rounds.is_empty() => desk.ended(ended),
            () = home.pushers.marked() => {}
            () = tokio::time::sleep(sleep) => {}
        }
        if let Err(error) = desk.sort().await {
            tracing::warn!(%error, "pushers could not be read");
        }
        desk.write();
    }
    desk.written_ms = 0;
    desk.write();
}

struct Desk<'a> {
    home: &'a Home,
    /// Whether it is known who has pushers.
    begun: bool,
    posts: HashMap<i64, Post>,
    of_user: HashMap<OwnedUserId, Vec<i64>>,
    ready: VecDeque<i64>,
    gateways: HashMap<Arc<str>, Gateway>,
    /// Pushers that are ready, but for others of the same user. Each round of the user that ends lets one go.
    held: HashMap<OwnedUserId, VecDeque<i64>>,
    /// Users who were marked while the database did not answer.
    unsorted: HashMap<OwnedUserId, bool>,
    /// When pushers that wait have their next turn.
    waiting: BTreeSet<(i64, i64)>,
    rounds: JoinSet<(End, Progress)>,
    under_way: HashMap<Id, Turn>,
    written_ms: i64,
}

/// Whose round it is.
struct Turn {
    pusher: i64,
    user: OwnedUserId,
    gateway: Arc<str>,
}

/// A pusher at the desk.
struct Post {
    user: OwnedUserId,
    state: State,
    /// The position at which it was set last.
    set_pos: i64,
    gateway: Arc<str>,
    /// What is not read is to be counted anew.
    anew: bool,
    progress: Progress,
    /// Up to where it is written that it looked.
    written_upto: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Ready,
    /// Something `happened` since its round began.
    Running {
        happened: bool,
    },
    Waiting {
        due_ms: i64,
    },
}

#[derive(Default)]
struct Gateway {
    running: usize,
    is_silent: bool,
    /// Pushers that are ready, but for this gateway.
    queue: VecDeque<i64>,
}

impl Gateway {
    /// How many more rounds it may have at the same time.
    fn room(&self) -> usize {
        let rounds_max = if self.is_silent { 1 } else { ROUNDS_PER_GATEWAY_MAX };
        rounds_max.saturating_sub(self.running)
    }
}

impl<'a> Desk<'a> {
    fn new(home: &'a Home) -> Self {
        Desk {
            home,
            begun: false,
            posts: HashMap::new(),
            of_user: HashMap::new(),
            ready: VecDeque::new(),
            gateways: HashMap::new(),
            held: HashMap::new(),
            unsorted: HashMap::new(),
            waiting: BTreeSet::new(),
            rounds: JoinSet::new(),
            under_way: HashMap::new(),
            written_ms: home.clock.now_ms(),
        }
    }

    /// Learns who has pushers, and who was not told something before the server started.
    async fn begin(&mut self) {
        if self.begun {
            return;
        }
        match self.learn().await {
            Ok(()) => self.begun = true,
            Err(error) => tracing::warn!(%error, "pushers could not be read"),
        }
    }

    async fn learn(&self) -> Answer<()> {
        let user_ids =
            |users: Vec<String>| users.into_iter().filter_map(|user| OwnedUserId::try_from(user).ok());
        let (home, db) = (self.home, &self.home.db);
        // In this order: what happens after this is noted.
        home.pushers.have(user_ids(stored::users(db).await?));
        let behind = user_ids(stored::behind(db).await?).map(|user| (user, false));
        home.pushers.mark_users(behind);
        Ok(())
    }

    /// Gives those a turn who were marked, and whose time has come.
    async fn sort(&mut self) -> Answer<()> {
        let now_ms = self.home.clock.now_ms();
        while let Some((_, pusher)) = self.waiting.first().copied().filter(|(due_ms, _)| *due_ms <= now_ms) {
            self.waiting.pop_first();
            self.make_ready(pusher);
        }
        let mut marked = self.home.pushers.take();
        for (user, anew) in self.unsorted.drain() {
            *marked.users.entry(user).or_default() |= anew;
        }
        if marked.users.is_empty() {
            return Ok(());
        }
        let sorted = self.sort_users(&marked.users, marked.pos).await;
        if sorted.is_err() {
            self.unsorted = marked.users;
        }
        sorted
    }

    async fn sort_users(&mut self, users: &HashMap<OwnedUserId, bool>, pos: i64) -> Answer<()> {
        let home = self.home;
        // What is looked at must be there to be seen.
        if home.db.follow().wait_for(|upto| *upto >= pos).await.is_err() {
            return Ok(());
        }
        let all: Vec<&OwnedUserId> = users.keys().collect();
        for some in all.chunks(CHUNK) {
            let came = home.pushers.came();
            let user_ids: Vec<String> = some.iter().map(ToString::to_string).collect();
            let mut pushers: HashMap<String, Vec<(i64, i64, String)>> = HashMap::new();
            for (pusher, user, set_pos, data) in stored::of_users(&home.db, &user_ids).await? {
                pushers.entry(user).or_default().push((pusher, set_pos, data));
            }
            for user in some {
                let theirs = pushers.remove(user.as_str()).unwrap_or_default();
                if theirs.is_empty() {
                    home.pushers.gone(user, came);
                }
                let gone = self.of_user.get(*user).into_iter().flatten().copied();
                let gone: Vec<i64> = gone.filter(|old| !theirs.iter().any(|(id, ..)| id == old)).collect();
                gone.into_iter().for_each(|pusher| self.forget(pusher));
                for (pusher, set_pos, data) in theirs {
                    self.happened(user, pusher, set_pos, &data, users.get(*user) == Some(&true));
                }
            }
        }
        Ok(())
    }

    /// Forgets a pusher that is no more; one that has a turn will find that out.
    fn forget(&mut self, pusher: i64) {
        match self.posts.get(&pusher).map(|post| post.state) {
            Some(State::Waiting { due_ms }) => {
                self.waiting.remove(&(due_ms, pusher));
            }
            Some(State::Idle) => {}
            _ => return,
        }
        self.remove(pusher);
    }

    fn remove(&mut self, pusher: i64) {
        let Some(post) = self.posts.remove(&pusher) else { return };
        if let Some(pushers) = self.of_user.get_mut(&post.user) {
            pushers.retain(|other| *other != pusher);
            if pushers.is_empty() {
                self.of_user.remove(&post.user);
            }
        }
    }

    /// Something happened that may be pushed through `pusher` of `user`.
    fn happened(&mut self, user: &UserId, pusher: i64, set_pos: i64, data: &str, anew: bool) {
        let gateway = || Data::of(data).map_or_else(|_| "".into(), |data| host(&data.url));
        if !self.posts.contains_key(&pusher) {
            self.of_user.entry(user.to_owned()).or_default().push(pusher);
        }
        let post = self.posts.entry(pusher).or_insert_with(|| Post {
            user: user.to_owned(),
            state: State::Idle,
            set_pos,
            gateway: gateway(),
            anew: false,
            progress: Progress::default(),
            written_upto: 0,
        });
        post.anew |= anew;
        let is_new = post.set_pos != set_pos;
        if is_new {
            (post.set_pos, post.gateway) = (set_pos, gateway());
        }
        match post.state {
            State::Idle => self.make_ready(pusher),
            State::Running { .. } => post.state = State::Running { happened: true },
            // Who sets a pusher again wants to be told now.
            State::Waiting { due_ms } if is_new => {
                post.progress.failures = 0;
                self.waiting.remove(&(due_ms, pusher));
                self.make_ready(pusher);
            }
            State::Waiting { .. } | State::Ready => {}
        }
    }

    fn make_ready(&mut self, pusher: i64) {
        if let Some(post) = self.posts.get_mut(&pusher) {
            post.state = State::Ready;
            self.ready.push_back(pusher);
        }
    }

    /// Begins rounds, as many as may be at the same time.
    fn call(&mut self) {
        while self.under_way.len() < ROUNDS_MAX {
            let Some(pusher) = self.ready.pop_front() else { return };
            let Some(post) = self.posts.get_mut(&pusher) else { continue };
            let gateway = self.gateways.entry(post.gateway.clone()).or_default();
            if gateway.room() == 0 {
                gateway.queue.push_back(pusher);
                continue;
            }
            let of_user = self.under_way.values().filter(|turn| turn.user == post.user).count();
            if of_user >= ROUNDS_PER_USER_MAX {
                self.held.entry(post.user.clone()).or_default().push_back(pusher);
                // The gateway has room for somebody else.
                self.ready.extend(gateway.queue.pop_front());
                continue;
            }
            gateway.running += 1;
            post.state = State::Running { happened: false };
            let mut progress = std::mem::take(&mut post.progress);
            if std::mem::take(&mut post.anew) {
                progress.unread = None;
            }
            let home = self.home.clone();
            let task = self.rounds.spawn(async move {
                let end = round(&home, pusher, &mut progress).await;
                (end, progress)
            });
            let turn = Turn { pusher, user: post.user.clone(), gateway: post.gateway.clone() };
            self.under_way.insert(task.id(), turn);
        }
    }

    /// A round is over.
    fn ended(&mut self, ended: Option<Result<(Id, (End, Progress)), JoinError>>) {
        let (id, end, progress) = match ended {
            Some(Ok((id, (end, progress)))) => (id, end, progress),
            Some(Err(error)) => {
                tracing::error!(%error, "a round of a pusher broke off");
                (error.id(), End::Failed { retry_after_ms: WAIT_MS_MAX }, Progress::default())
            }
            None => return,
        };
        let Some(Turn { pusher, user, gateway }) = self.under_way.remove(&id) else { return };
        self.leave(&gateway, progress.answered);
        self.let_go(&user);
        let Some(post) = self.posts.get_mut(&pusher) else { return };
        let happened = post.state == State::Running { happened: true };
        post.progress = progress;
        match end {
            End::Gone => self.remove(pusher),
            End::Failed { retry_after_ms } => self.wait(pusher, retry_after_ms),
            End::Done if !happened => post.state = State::Idle,
            End::Done | End::More => self.make_ready(pusher),
        }
        metrics::gauge!("hearth_pushers_waiting").set(self.waiting.len() as f64);
    }

    /// Makes room at a gateway, which `answered` or not, for the next ones.
    fn leave(&mut self, name: &Arc<str>, answered: Option<bool>) {
        let Some(gateway) = self.gateways.get_mut(name) else { return };
        gateway.running = gateway.running.saturating_sub(1);
        if let Some(answered) = answered {
            gateway.is_silent = !answered;
        }
        let next = gateway.room().min(gateway.queue.len());
        self.ready.extend(gateway.queue.drain(..next));
        if gateway.running == 0 && gateway.queue.is_empty() {
            self.gateways.remove(name);
        }
    }

    /// Lets the next pusher of `user` have its turn.
    fn let_go(&mut self, user: &UserId) {
        let Some(held) = self.held.get_mut(user) else { return };
        self.ready.extend(held.pop_front());
        if held.is_empty() {
            self.held.remove(user);
        }
    }

    /// Has a pusher wait, a little longer each time, and not all of them equally long.
    fn wait(&mut self, pusher: i64, at_least_ms: i64) {
        let Some(post) = self.posts.get_mut(&pusher) else { return };
        let doubled_ms = WAIT_MS.saturating_mul(1 << post.progress.failures.min(20)).min(WAIT_MS_MAX);
        let [chance] = self.home.dice.bytes::<1>();
        let wait_ms = (doubled_ms / 2 + doubled_ms * i64::from(chance) / 512).max(at_least_ms);
        post.progress.failures = post.progress.failures.saturating_add(1);
        let due_ms = self.home.clock.now_ms() + wait_ms;
        post.state = State::Waiting { due_ms };
        self.waiting.insert((due_ms, pusher));
    }

    /// How long there is nothing to do, unless something happens.
    fn sleep_ms(&self) -> i64 {
        let now_ms = self.home.clock.now_ms();
        let next = self.waiting.first().map_or(SLEEP_MS_MAX, |(due_ms, _)| due_ms - now_ms);
        next.clamp(1, SLEEP_MS_MAX)
    }

    /// Writes now and then how far those looked who found nothing to push.
    fn write(&mut self) {
        let now_ms = self.home.clock.now_ms();
        if now_ms - self.written_ms < WRITTEN_EVERY_MS {
            return;
        }
        self.written_ms = now_ms;
        let mut new: Vec<(i64, i64)> = Vec::new();
        for (pusher, post) in &mut self.posts {
            if post.progress.looked_upto > post.written_upto {
                post.written_upto = post.progress.looked_upto;
                new.push((*pusher, post.written_upto));
            }
        }
        for some in new.chunks(CHUNK) {
            let mut batch = Batch::new();
            some.iter().for_each(|(pusher, upto)| stored::looked(&mut batch, *pusher, *upto));
            // If it is not written, they look again.
            drop(self.home.db.enqueue(batch));
        }
    }
}

/// The host and port of a URL, by which gateways are told apart.
fn host(url: &str) -> Arc<str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase().into()
}
