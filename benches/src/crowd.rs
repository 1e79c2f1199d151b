//! Several users at once.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;

use crate::{Outcome, http::User, server::Server};

/// Makes users.
pub(crate) async fn users(server: &Server, prefix: &str, count: usize) -> Outcome<Vec<User>> {
    let mut users = Vec::with_capacity(count);
    while users.len() < count {
        // A few at a time: a password hash is meant to be slow, and the server bounds how many it makes.
        let at = users.len();
        let some =
            (at..count.min(at + 4)).map(async |n| User::register(server, &format!("{prefix}{n}")).await);
        users.extend(try_join_all(some).await?);
    }
    Ok(users)
}

/// How long `work` takes.
pub(crate) async fn timed<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<Duration> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}

/// Every user sends `each` messages to its room, all users at once.
pub(crate) async fn all_send(users: &mut [User], rooms: &[String], each: usize) -> Outcome<Vec<Duration>> {
    let sending = users.iter_mut().enumerate().map(async |(n, user)| {
        let room = &rooms[n % rooms.len()];
        let mut taken = Vec::with_capacity(each);
        for message in 0..each {
            taken.push(timed(user.say(room, &format!("message {message} of a conversation"))).await?);
        }
        Outcome::Ok(taken)
    });
    Ok(try_join_all(sending).await?.concat())
}
