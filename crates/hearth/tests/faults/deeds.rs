//! Everything that an account can do and be told that it is done, and how to see later that it is.
//!
//! Whatever was answered with 200 is a promise. Each kind of deed ends in one, and each promise can be
//! looked at any time after. Deeds that are asked again, because nobody knows what became of them, may find
//! themselves done.

use reqwest::Method;
use serde_json::{Value, json};

use crate::person::{PASSWORD, Person, Reply, encode, text};

/// Promises that are looked at in the end, the newest of each kind.
const LOOKED_AT: usize = 5;
/// How many kinds of deeds there are.
const KINDS: usize = 20;
/// Deeds that take a position and are no events.
const TAKE_A_POSITION: [usize; 4] = [2, 10, 13, 18];

/// Something that was acknowledged.
enum Promise {
    /// An answer to GET of a path has this value at this pointer.
    Says(String, String, Value),
    /// GET of a path answers this status.
    Answers(String, u16),
    /// A token is good, or not any more.
    Token(String, bool),
    /// An account has this password, or not any more.
    Password(String, &'static str, bool),
    /// A room that this person is in.
    Inside(String),
}

use Promise::{Answers, Inside, Password, Says, Token};

/// How often something was asked for, and what follows from it being done.
struct Done {
    asked: usize,
    promises: Vec<Promise>,
    /// Whether the promises before it end with it.
    instead: bool,
}

impl Done {
    fn also(asked: usize, promises: impl Into<Vec<Promise>>) -> Self {
        Done { asked, promises: promises.into(), instead: false }
    }

    fn instead(asked: usize, promises: impl Into<Vec<Promise>>) -> Self {
        Done { asked, promises: promises.into(), instead: true }
    }
}

/// What one person did besides talking.
pub struct Deeds {
    person: Person,
    name: String,
    /// A room of this person alone.
    own: String,
    /// Who is invited there.
    guest: String,
    done: Vec<Vec<Promise>>,
    /// How many promises there were, also those that ended with another.
    made: usize,
    /// Positions that acknowledged deeds took, but for events.
    pub positions: usize,
    /// Such deeds that had to be asked again.
    pub repeated: usize,
}

impl Deeds {
    /// Nothing was done yet, but a room made.
    pub async fn new(person: Person, guest: &str) -> Self {
        let own = person.creates_room().await;
        let name = person.user_id.trim_start_matches('@').split(':').next().unwrap_or_default().to_owned();
        let done = (0..KINDS).map(|_| Vec::new()).collect();
        Deeds { person, name, own, guest: guest.to_owned(), done, made: 0, positions: 0, repeated: 0 }
    }

    /// Does the `n`th deed; answers how often it was asked for.
    pub async fn does(&mut self, n: usize) -> usize {
        let kind = n % KINDS;
        let done = match kind {
            0 => self.is_called(n).await,
            1 => self.keeps_a_filter(n).await,
            2 => self.makes_a_push_rule(n).await,
            3 => self.names_the_room(n).await,
            4 => self.takes_the_name_away().await,
            5 => self.deletes_a_device(n).await,
            6 => self.logs_out(n).await,
            7 => self.redacts(n).await,
            8 => self.registers(n).await,
            9 => self.sets_state(n).await,
            10 => self.tags(n).await,
            11 => self.refreshes(n).await,
            12 => self.invites().await,
            13 => self.marks(n).await,
            14 => self.plans(n).await,
            15 => self.renames_a_device(n).await,
            16 => self.changes_a_password(n).await,
            17 => self.leaves_for_good(n).await,
            18 => self.sets_a_pusher(n).await,
            // A new name is told to every room, so there are not many.
            _ if n.is_multiple_of(4) => self.begins_a_room().await,
            _ => Done::also(1, []),
        };
        if TAKE_A_POSITION.contains(&kind) {
            self.positions += 1;
            self.repeated += usize::from(done.asked > 1);
        }
        if done.instead {
            self.done[kind].clear();
        }
        self.made += done.promises.len();
        self.done[kind].extend(done.promises);
        done.asked
    }

    /// Looks at the newest promise of each kind, but for passwords: to try one takes long on purpose.
    pub async fn look_back(&self) {
        let newest = self.done.iter().filter_map(|kind| kind.last());
        for promise in newest.filter(|promise| !matches!(promise, Password(..))) {
            self.look(promise).await;
        }
    }

    /// Looks at the newest promises of each kind; answers how many promises there were.
    pub async fn look_at_everything(&self) -> usize {
        for promise in self.done.iter().flat_map(|kind| kind.iter().rev().take(LOOKED_AT)) {
            self.look(promise).await;
        }
        self.made
    }

    async fn look(&self, promise: &Promise) {
        let person = &self.person;
        match promise {
            Says(path, pointer, value) => {
                let answer = person.insists(Method::GET, path, None).await;
                assert_eq!(answer.pointer(pointer), Some(value), "{path} {pointer} was lost: {answer}");
            }
            Answers(path, status) => {
                let reply = person.asks_until_answered(Method::GET, path, None).await;
                assert_eq!(reply.status, *status, "{path}: {}", reply.body);
            }
            Token(token, good) => {
                let session = person.with_token(token);
                let reply = session.asks_until_answered(Method::GET, "/v3/account/whoami", None).await;
                // One that has expired is known.
                let known = reply.status == 200 || reply.body["soft_logout"] == true;
                assert_eq!(known, *good, "a token: {}", reply.body);
            }
            Password(name, password, good) => {
                let ask = by_password(name, password, "AGAIN");
                let reply = self.asks(Method::POST, "/v3/login", ask).await;
                assert_eq!(reply.status == 200, *good, "{name} with {password}: {}", reply.body);
            }
            Inside(room) => {
                let joined = person.insists(Method::GET, "/v3/joined_rooms", None).await;
                let joined = joined["joined_rooms"].as_array().cloned().unwrap_or_default();
                assert!(joined.contains(&json!(room)), "the room {room} was lost");
            }
        }
    }

    fn of_me(&self, what: &str) -> String {
        format!("/v3/user/{}/{what}", encode(&self.person.user_id))
    }

    fn in_own(&self, what: &str) -> String {
        format!("/v3/rooms/{}/{what}", encode(&self.own))
    }

    async fn asks(&self, method: Method, path: &str, body: Value) -> Reply {
        self.person.asks_until_answered(method, path, Some(body)).await
    }

    /// Asks until granted. `done` is what is answered if it was done before, unanswered.
    async fn does_it(&self, method: Method, path: &str, body: Value, done: &[u16]) -> Reply {
        let reply = self.asks(method, path, body).await;
        let fine = reply.status == 200 || reply.asked > 1 && done.contains(&reply.status);
        assert!(fine, "{path}: {} {}", reply.status, reply.body);
        reply
    }

    /// The same for what must be proved with a password: of `who`, whose name is `name`.
    async fn proves(&self, who: &Person, name: &str, (method, path): (Method, &str), body: Value) -> usize {
        let begun = who.asks_until_answered(method.clone(), path, Some(body.clone())).await;
        let mut body = body;
        body["auth"] = by_password(name, PASSWORD, "");
        body["auth"]["session"] = begun.body["session"].clone();
        let reply = who.asks_until_answered(method, path, Some(body)).await;
        let fine = reply.status == 200 || reply.asked > 1 && reply.status != 400;
        assert!(fine, "{path}: {} {}", reply.status, reply.body);
        reply.asked
    }

    async fn is_called(&self, n: usize) -> Done {
        let path = format!("/v3/profile/{}/displayname", encode(&self.person.user_id));
        let (member, name) =
            (format!("state/m.room.member/{}", encode(&self.person.user_id)), format!("name {n}"));
        let reply = self.does_it(Method::PUT, &path, json!({ "displayname": name }), &[]).await;
        let promises =
            [path, self.in_own(&member)].map(|path| Says(path, "/displayname".into(), json!(name)));
        Done::instead(reply.asked, promises)
    }

    async fn keeps_a_filter(&self, n: usize) -> Done {
        let filter = json!({ "room": { "timeline": { "limit": n } } });
        let reply = self.does_it(Method::POST, &self.of_me("filter"), filter, &[]).await;
        let path = self.of_me(&format!("filter/{}", text(&reply.body, "filter_id")));
        Done::also(reply.asked, [Says(path, "/room/timeline/limit".into(), json!(n))])
    }

    async fn makes_a_push_rule(&self, n: usize) -> Done {
        let path = format!("/v3/pushrules/global/content/rule{n}");
        let rule = json!({ "pattern": format!("word{n}"), "actions": ["notify"] });
        let reply = self.does_it(Method::PUT, &path, rule.clone(), &[]).await;
        Done::also(reply.asked, [Says(path, "/pattern".into(), rule["pattern"].clone())])
    }

    fn alias(&self, n: usize) -> String {
        format!("/v3/directory/room/{}", encode(&format!("#{}.{n}:localhost", self.name)))
    }

    async fn names_the_room(&self, n: usize) -> Done {
        let path = self.alias(n);
        let reply = self.does_it(Method::PUT, &path, json!({ "room_id": self.own }), &[400, 409]).await;
        Done::also(reply.asked, [Says(path, "/room_id".into(), json!(self.own))])
    }

    async fn takes_the_name_away(&mut self) -> Done {
        let Some(Says(path, ..)) = self.done[3].pop() else { return Done::also(1, []) };
        let reply = self.does_it(Method::DELETE, &path, json!({}), &[404]).await;
        Done::also(reply.asked, [Answers(path, 404)])
    }

    async fn deletes_a_device(&self, n: usize) -> Done {
        let device_id = format!("GONE{n}");
        let session = self.person.logs_in(&device_id).await;
        let path = format!("/v3/devices/{device_id}");
        let asked = self.proves(&self.person, &self.name, (Method::DELETE, &path), json!({})).await;
        Done::also(asked, [Answers(path, 404), Token(session.token, false)])
    }

    async fn logs_out(&self, n: usize) -> Done {
        let session = self.person.logs_in(&format!("OUT{n}")).await;
        let reply = session.asks_until_answered(Method::POST, "/v3/logout", Some(json!({}))).await;
        assert!(reply.status == 200 || reply.asked > 1 && reply.status == 401, "{}", reply.body);
        Done::also(reply.asked, [Token(session.token, false)])
    }

    async fn redacts(&self, n: usize) -> Done {
        let said = self.person.says(&self.own, &format!("regretted {n}")).await;
        let path = self.in_own(&format!("redact/{}/redact{n}", encode(&said)));
        let reply = self.does_it(Method::PUT, &path, json!({}), &[]).await;
        let path = self.in_own(&format!("event/{}", encode(&said)));
        let because = text(&reply.body, "event_id");
        let gone = Says(path.clone(), "/content".into(), json!({}));
        let pointer = "/unsigned/redacted_because/event_id".to_owned();
        Done::also(reply.asked, [gone, Says(path, pointer, json!(because))])
    }

    async fn registers_as(&self, name: &str) -> (usize, Option<Person>) {
        let ask = json!({
            "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" }, "device_id": "FIRST",
        });
        let nobody = self.person.with_token("");
        let reply = nobody.asks_until_answered(Method::POST, "/v3/register", Some(ask)).await;
        let taken = reply.asked > 1 && reply.body["errcode"] == "M_USER_IN_USE";
        assert!(reply.status == 200 || taken, "{}", reply.body);
        let token = reply.body["access_token"].as_str().map(str::to_owned);
        (reply.asked, token.map(|token| nobody.with_token(&token)))
    }

    async fn registers(&self, n: usize) -> Done {
        let name = format!("{}.child{n}", self.name);
        let (asked, child) = self.registers_as(&name).await;
        let token = child.map(|child| Token(child.token, true));
        Done::also(asked, token.into_iter().chain([Password(name, PASSWORD, true)]).collect::<Vec<_>>())
    }

    async fn sets_state(&self, n: usize) -> Done {
        let path = self.in_own(&format!("state/org.test.fact/{n}"));
        let reply = self.does_it(Method::PUT, &path, json!({ "n": n }), &[]).await;
        Done::also(reply.asked, [Says(path, "/n".into(), json!(n))])
    }

    async fn tags(&self, n: usize) -> Done {
        let tags = self.of_me(&format!("rooms/{}/tags", encode(&self.own)));
        let path = format!("{tags}/u.test");
        // Another one each time, for what is so already need not be written.
        let order = 1.0 / (n as f64 + 2.0);
        let reply = self.does_it(Method::PUT, &path, json!({ "order": order }), &[]).await;
        Done::instead(reply.asked, [Says(tags, "/tags/u.test/order".into(), json!(order))])
    }

    async fn refreshes(&self, n: usize) -> Done {
        let mut ask = by_password(&self.name, PASSWORD, &format!("FRESH{n}"));
        ask["refresh_token"] = true.into();
        let first = self.does_it(Method::POST, "/v3/login", ask, &[]).await;
        let refresh = json!({ "refresh_token": first.body["refresh_token"] });
        let second = self.does_it(Method::POST, "/v3/refresh", refresh, &[]).await;
        // It is good for some minutes.
        Done::instead(second.asked, [Token(text(&second.body, "access_token"), true)])
    }

    async fn invites(&self) -> Done {
        let is_invited = match self.done[12].last() {
            Some(Says(_, _, membership)) => membership == "invite",
            _ => false,
        };
        let (what, then) = if is_invited { ("kick", "leave") } else { ("invite", "invite") };
        let reply =
            self.does_it(Method::POST, &self.in_own(what), json!({ "user_id": self.guest }), &[403]).await;
        let path = self.in_own(&format!("state/m.room.member/{}", encode(&self.guest)));
        Done::instead(reply.asked, [Says(path, "/membership".into(), json!(then))])
    }

    async fn marks(&self, n: usize) -> Done {
        let event_id = self.person.says(&self.own, &format!("mark {n}")).await;
        let marker = json!({ "m.fully_read": event_id });
        let reply = self.does_it(Method::POST, &self.in_own("read_markers"), marker, &[]).await;
        let path = self.of_me(&format!("rooms/{}/account_data/m.fully_read", encode(&self.own)));
        Done::instead(reply.asked, [Says(path, "/event_id".into(), json!(event_id))])
    }

    async fn plans(&self, n: usize) -> Done {
        // A user has a hundred at most.
        if n / KINDS > 90 {
            return Done::also(1, []);
        }
        let base = "/unstable/org.matrix.msc4140";
        let path = format!("{base}/rooms/{}/delayed_event/m.room.message/plan{n}", encode(&self.own));
        let body = json!({ "delay_ms": 3_600_000, "content": { "msgtype": "m.text", "body": "later" } });
        let reply = self.does_it(Method::PUT, &path, body, &[]).await;
        let delay_id = text(&reply.body, "delay_id");
        let path = format!("{base}/delayed_events/{delay_id}");
        Done::instead(reply.asked, [Says(path, "/delay_id".into(), json!(delay_id))])
    }

    async fn renames_a_device(&self, n: usize) -> Done {
        let session = self.person.logs_in("NAMED").await;
        let name = json!(format!("device {n}"));
        let reply =
            self.does_it(Method::PUT, "/v3/devices/NAMED", json!({ "display_name": name }), &[]).await;
        let says = Says("/v3/devices/NAMED".into(), "/display_name".into(), name);
        Done::instead(reply.asked, [Token(session.token, true), says])
    }

    async fn changes_a_password(&self, n: usize) -> Done {
        const BETTER: &str = "a better password";
        let name = format!("{}.careful{n}", self.name);
        let (asked, careful) = self.registers_as(&name).await;
        let Some(careful) = careful else { return Done::also(asked, []) };
        let path = (Method::POST, "/v3/account/password");
        let asked = self.proves(&careful, &name, path, json!({ "new_password": BETTER })).await;
        Done::also(asked, [Password(name.clone(), PASSWORD, false), Password(name, BETTER, true)])
    }

    async fn leaves_for_good(&self, n: usize) -> Done {
        let name = format!("{}.leaver{n}", self.name);
        let (asked, leaver) = self.registers_as(&name).await;
        let Some(leaver) = leaver else { return Done::also(asked, []) };
        let asked = self.proves(&leaver, &name, (Method::POST, "/v3/account/deactivate"), json!({})).await;
        Done::also(asked, [Token(leaver.token, false), Password(name, PASSWORD, false)])
    }

    async fn sets_a_pusher(&self, n: usize) -> Done {
        let pusher = json!({
            "app_display_name": "tests", "app_id": "org.test", "device_display_name": "one", "kind": "http",
            "lang": "en", "pushkey": self.name, "profile_tag": format!("tag{n}"),
            "data": { "url": "https://push.example.org/_matrix/push/v1/notify" },
        });
        let reply = self.does_it(Method::POST, "/v3/pushers/set", pusher, &[]).await;
        let says = Says("/v3/pushers".into(), "/pushers/0/profile_tag".into(), json!(format!("tag{n}")));
        Done::instead(reply.asked, [says])
    }

    async fn begins_a_room(&self) -> Done {
        let room = self.person.creates_room().await;
        Done::also(1, [Inside(room)])
    }
}

fn by_password(name: &str, password: &str, device_id: &str) -> Value {
    json!({
        "type": "m.login.password", "password": password, "device_id": device_id,
        "identifier": { "type": "m.id.user", "user": name },
    })
}
