//! How the server says no: the error object everywhere, whatever is sent.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{Server, User, encode, on_both_databases},
    scene::guest,
};

/// An answer as it came over the wire.
struct Wire {
    status: u16,
    head: String,
    body: Value,
}

impl Wire {
    #[track_caller]
    fn refused(&self, status: u16, errcode: &str) {
        let errcode_found = self.body["errcode"].as_str();
        assert_eq!((self.status, errcode_found), (status, Some(errcode)), "{} {}", self.head, self.body);
        assert!(self.body["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", self.body);
        self.open_to_all();
    }

    #[track_caller]
    fn open_to_all(&self) {
        assert_eq!(self.header("access-control-allow-origin"), Some("*"), "{}", self.head);
        for name in ["access-control-allow-methods", "access-control-allow-headers"] {
            assert!(self.header(name).is_some(), "no {name}: {}", self.head);
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends bytes as they are and reads the answer until the server closes.
async fn send(server: &Server, request: &[u8]) -> Wire {
    let address = server.base.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The server may answer before it has read all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Wire { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// A request with a body, by the token of `who`.
fn request(who: &User, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let token = &who.token;
    let authorization =
        if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{authorization}{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const FILTER: &str = "/_matrix/client/v3/user/@alice:hearth.test/filter";
const CREATE: &str = "/_matrix/client/v3/createRoom";

on_both_databases! {
    async fn what_is_not_there_is_unrecognized(server: Server) {
        let nobody = server.stranger();
        for path in ["/_matrix", "/_matrix/client/v3/nothing", "/_matrix/client/v9/sync", "/%00", "//",
            "/_matrix/client/versions/"]
        {
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
                send(&server, &request(&nobody, method, path, "", b"")).await.refused(404, "M_UNRECOGNIZED");
            }
        }
        for (method, path) in [("DELETE", WHOAMI), ("POST", WHOAMI), ("PATCH", CREATE), ("BREW", CREATE),
            ("GET", CREATE), ("PUT", "/_matrix/client/versions")]
        {
            send(&server, &request(&nobody, method, path, "", b"")).await.refused(405, "M_UNRECOGNIZED");
        }
    }

    async fn browsers_of_every_origin_may_ask(server: Server) {
        let nobody = server.stranger();
        for path in [WHOAMI, CREATE, "/_matrix/client/versions", "/nowhere"] {
            let headers = "origin: https://app.example\r\naccess-control-request-method: PUT\r\n";
            let answer = send(&server, &request(&nobody, "OPTIONS", path, headers, b"")).await;
            assert!(matches!(answer.status, 200 | 204), "{}", answer.head);
            answer.open_to_all();
            let methods = answer.header("access-control-allow-methods").unwrap_or_default();
            for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
                assert!(methods.contains(method), "{methods}");
            }
            let headers = answer.header("access-control-allow-headers").unwrap_or_default();
            for header in ["X-Requested-With", "Content-Type", "Authorization"] {
                assert!(headers.contains(header), "{headers}");
            }
        }
        let versions = send(&server, &request(&nobody, "GET", "/_matrix/client/versions", "", b"")).await;
        assert_eq!(versions.status, 200);
        versions.open_to_all();
    }

    async fn a_token_comes_in_the_header_or_in_the_query(server: Server) {
        let (alice, nobody) = (server.user("alice").await, server.stranger());
        let ask = async |query: &str, headers: &str| {
            send(&server, &request(&nobody, "GET", &format!("{WHOAMI}{query}"), headers, b"")).await
        };
        let token = &alice.token;
        assert_eq!(ask(&format!("?access_token={token}"), "").await.status, 200);
        assert_eq!(ask("", &format!("authorization: bEaReR {token}\r\n")).await.status, 200);
        for headers in ["", "authorization: Basic eA==\r\n", "authorization: x\r\n", "authorization: \r\n"] {
            ask("", headers).await.refused(401, "M_MISSING_TOKEN");
        }
        ask("?access_tokens=x", "").await.refused(401, "M_MISSING_TOKEN");
        for query in ["?access_token=", "?access_token=x", "?access_token=%FF", "?access_token=%00"] {
            let answer = ask(query, "").await;
            assert_eq!(answer.status, 401, "{query} {}", answer.body);
        }
        let unknown = ask("", "authorization: Bearer hat_nobody\r\n").await;
        unknown.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!(unknown.body["soft_logout"], false);
    }

    async fn an_answer_has_the_number_under_which_the_log_knows_it(server: Server) {
        let alice = server.user("alice").await;
        let mut numbers = Vec::new();
        for (who, status) in [(&alice, 200), (&server.stranger(), 401), (&alice, 200)] {
            let answer = send(&server, &request(who, "GET", WHOAMI, "", b"")).await;
            assert_eq!(answer.status, status);
            numbers.push(answer.header("x-request-id").and_then(|id| id.parse::<u64>().ok()).expect("a number"));
        }
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }

    async fn a_body_that_is_no_json_and_one_that_is_not_what_is_taken(server: Server) {
        let alice = server.user("alice").await;
        let ask = async |body: &[u8]| send(&server, &request(&alice, "POST", FILTER, "", body)).await;
        for body in [&b"{"[..], b"nonsense", b"{\"a\":1}}", b"{'a':1}", b"\xff\xfe{}", b"{\"a\":\"\xff\"}", b"\xef\xbb\xbf{}"] {
            ask(body).await.refused(400, "M_NOT_JSON");
        }
        for body in [&b"[]"[..], b"null", b"1", b"\"x\"", b"{\"room\":1}", b"{\"room\":{\"timeline\":{\"limit\":\"x\"}}}"] {
            ask(body).await.refused(400, "M_BAD_JSON");
        }
        let create = async |body: &[u8]| send(&server, &request(&alice, "POST", CREATE, "", body)).await;
        create(b"{\"name\":1}").await.refused(400, "M_BAD_JSON");
        // Not even a list of what the body has, in that order.
        let redact = "/_matrix/client/api/v1/rooms/!a:hearth.test/redact/$a:hearth.test";
        send(&server, &request(&alice, "POST", redact, "", b"[\"spam\"]")).await.refused(400, "M_BAD_JSON");
        create(b"{\"name\":\"a\",\"name\":\"b\"}").await.refused(400, "M_BAD_JSON");
        create(b"{\"invite\":[\"nobody\"]}").await.refused(400, "M_BAD_JSON");
        create(b"{\"creation_content\":{\"x\":1.5}}").await.refused(400, "M_BAD_JSON");
        create(b"{\"creation_content\":{\"x\":1,\"x\":2}}").await.refused(400, "M_BAD_JSON");
        // An empty body says nothing, and so does an empty object.
        assert_eq!(create(b"").await.status, 200);
    }

    async fn deep_json_breaks_nothing(server: Server) {
        let alice = server.user("alice").await;
        for depth in [90, 120, 500, 100_000] {
            let deep = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
            let arrays = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
            for body in [&deep, &arrays] {
                for path in [CREATE, FILTER, "/_matrix/client/v3/login", "/_matrix/client/v3/register"] {
                    let answer = send(&server, &request(&alice, "POST", path, "", body.as_bytes())).await;
                    assert!(answer.status < 500, "{path} {depth}: {}", answer.body);
                    answer.open_to_all();
                }
            }
            let content = format!("{{\"creation_content\":{deep}}}");
            if depth > 100 {
                let answer = send(&server, &request(&alice, "POST", CREATE, "", content.as_bytes())).await;
                answer.refused(400, "M_BAD_JSON");
            }
        }
    }

    async fn a_body_has_a_limit(server: Server) {
        let alice = server.user("alice").await;
        // Announced.
        let head = format!(
            "POST {CREATE} HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: 999999999999\r\n\r\n",
            alice.token
        );
        send(&server, head.as_bytes()).await.refused(413, "M_TOO_LARGE");
        // Sent.
        let large = vec![b' '; 3 * 1024 * 1024];
        send(&server, &request(&alice, "POST", CREATE, "", &large)).await.refused(413, "M_TOO_LARGE");
        // Sent in pieces, without saying how much it will be.
        let chunked = chunked(&alice, 48);
        send(&server, &chunked).await.refused(413, "M_TOO_LARGE");
        // One who may not ask is not read at all.
        send(&server, &request(&server.stranger(), "POST", CREATE, "", &large)).await.refused(401, "M_MISSING_TOKEN");
    }

    async fn a_body_may_be_called_anything(server: Server) {
        let alice = server.user("alice").await;
        for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded", "x"] {
            let headers = format!("content-type: {content_type}\r\n");
            let answer = send(&server, &request(&alice, "POST", FILTER, &headers, b"{}")).await;
            assert_eq!(answer.status, 200, "{content_type} {}", answer.body);
        }
        let chunked = [chunked_head(&alice, FILTER).as_bytes(), b"2\r\n{}\r\n0\r\n\r\n"].concat();
        assert_eq!(send(&server, &chunked).await.status, 200);
    }

    async fn a_path_or_a_query_may_hold_anything(server: Server) {
        let alice = server.user("alice").await;
        let room = alice.creates_room(json!({})).await;
        let room = encode(&room);
        let long = "a".repeat(40_000);
        for path in [
            "/_matrix/client/v3/rooms/%FF/send/m.room.message/1".to_owned(),
            format!("/_matrix/client/v3/rooms/{room}/send/%FF%FE/1"),
            format!("/_matrix/client/v3/rooms/{room}/send/%C3%28/1"),
            format!("/_matrix/client/v3/rooms/{room}/send/m.x/%00"),
            format!("/_matrix/client/v3/rooms/{room}/send/m%00x/1"),
            format!("/_matrix/client/v3/rooms/{room}/send/{long}/1"),
            format!("/_matrix/client/v3/rooms/{long}/send/m.x/1"),
            "/_matrix/client/v3/rooms/%zz/send/m.x/1".to_owned(),
            "/_matrix/client/v3/rooms/x/send/m.x/1".to_owned(),
        ] {
            let answer = send(&server, &request(&alice, "PUT", &path, "", b"{}")).await;
            assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.head, answer.body);
            assert!(answer.body["errcode"].is_string(), "{path}: {}", answer.body);
        }
        let txn = format!("/_matrix/client/v3/rooms/{room}/send/m.x/{long}");
        let answer = send(&server, &request(&alice, "PUT", &txn, "", b"{}")).await;
        assert!(answer.status < 500, "{} {}", answer.head, answer.body);
        let messages = format!("/_matrix/client/v3/rooms/{room}/messages");
        for query in ["?dir=%FF", "?dir=b&limit=x", "?dir=b&limit=-1", "?dir=x", "?dir=b&from=%00", "?", "?&&=&",
            "?dir=b&filter=%7B", "?dir=b&dir=f", "?dir=b&from=s99999999999999999999999"]
        {
            let answer = send(&server, &request(&alice, "GET", &format!("{messages}{query}"), "", b"")).await;
            assert!(answer.status < 500, "{query}: {} {}", answer.head, answer.body);
            assert!(answer.status == 200 || answer.body["errcode"].is_string(), "{query}: {}", answer.body);
        }
        // Past what the server reads of a head there is no error object, but an end.
        let endless = format!("/{}", "a".repeat(200_000));
        let answer = send(&server, &request(&alice, "GET", &endless, "", b"")).await;
        assert!((400..500).contains(&answer.status), "{}", answer.head);
        assert_eq!(send(&server, &request(&alice, "GET", WHOAMI, "", b"")).await.status, 200);
    }

    async fn a_head_is_an_answer_without_its_body(server: Server) {
        let nobody = server.stranger();
        let answer = send(&server, &request(&nobody, "HEAD", "/_matrix/client/versions", "", b"")).await;
        assert_eq!((answer.status, &answer.body), (200, &Value::Null));
        answer.open_to_all();
        let answer = send(&server, &request(&nobody, "HEAD", WHOAMI, "", b"")).await;
        assert_eq!((answer.status, &answer.body), (401, &Value::Null));
        let answer = send(&server, &request(&nobody, "HEAD", "/nowhere", "", b"")).await;
        assert_eq!((answer.status, &answer.body), (404, &Value::Null));
    }

    async fn a_forwarded_address_may_be_nonsense(server: Server) {
        let alice = server.user("alice").await;
        for forwarded in ["x", "", ",,,", "1.2.3.4, ::1, 999.1.1.1", "[::1]:80", "\u{e4}"] {
            let headers = format!("x-forwarded-for: {forwarded}\r\nx-forwarded-for: 10.0.0.1\r\n");
            assert_eq!(send(&server, &request(&alice, "GET", WHOAMI, &headers, b"")).await.status, 200);
        }
    }

    async fn whatever_is_sent_to_whatever_endpoint_is_answered(server: Server) {
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let nobody = server.stranger();
        let mut liar = server.stranger();
        liar.token = "hat_liar".to_owned();
        let visitor = guest(&server, "visitor").await;
        let room = alice.creates_room(json!({ "preset": "public_chat" })).await;
        let event = alice.say(&room, "hello").await;
        for endpoint in api::routes::routes() {
            // What one request ends (a session, an account) must not hide the next endpoint.
            let member = server.device_of(alice.user_id.clone(), "WALK").await;
            let stranger = server.device_of(bob.user_id.clone(), "WALK").await;
            for path in &endpoint.paths {
                let method = endpoint.method.as_str();
                let walk = Walk { server: &server, method, path, is_page: endpoint.for_people };
                let names = (&*room, &*event);
                // The body of who may not ask is not looked at, and old paths lead to the same place.
                for who in [&nobody, &liar] {
                    walk.with_names(who, names, &BODIES[1..2]).await;
                }
                if Some(path) == endpoint.paths.last() {
                    for who in [&visitor, &member, &stranger] {
                        walk.with_names(who, names, &BODIES).await;
                    }
                    walk.with_nonsense(&member).await;
                }
            }
        }
        // The server is as it was.
        server.user("carol").await.get("/v3/account/whoami").await.ok();
    }
}

fn chunked_head(who: &User, path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        who.token
    )
}

/// A chunked body of so many times 64 KiB.
fn chunked(who: &User, pieces: usize) -> Vec<u8> {
    let piece = [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat();
    let mut request = chunked_head(who, CREATE).into_bytes();
    (0..pieces).for_each(|_| request.extend_from_slice(&piece));
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// One endpoint under one of its paths.
struct Walk<'a> {
    server: &'a Server,
    method: &'a str,
    path: &'a str,
    /// Pages are for people: they speak no JSON, and no other origin asks for them.
    is_page: bool,
}

/// Bodies that no endpoint wants.
const BODIES: [&[u8]; 12] = [
    b"", b"{}", b"{", b"[]", b"null", b"\"x\"", b"\xff", b"{\"a\":{\"a\":{\"a\":[1.5,-0,1e99,\"\\u0000\"]}}}",
    b"{\"auth\":1,\"user_id\":1,\"room_id\":[],\"membership\":{},\"type\":null,\"password\":{},\"limit\":-1}",
    b"{\"auth\":{\"type\":\"m.login.password\",\"session\":\"x\\u0000\",\"identifier\":{}},\"user_id\":\"@x:\\u0000\"}",
    b"{\"membership\":\"join\",\"displayname\":{},\"url\":[],\"alias\":\"\\u0000\",\"reason\":\"\\u0000\",\"visibility\":\"\\u0000\"}",
    b"{\"\\u0000\":\"\\u0000\",\"typing\":true,\"timeout\":1e30,\"presence\":\"\\u0000\",\"event_id\":\"$\\u0000\",\"m.read\":\"\\u0000\"}",
];

/// What is put into every place of a path.
const PLACES: [&str; 6] = ["%00", "%FF", "x", "@%00:a", "%F0%9F%94%A5", "%2F..%2F"];

impl Walk<'_> {
    /// The path with what its places are called for.
    async fn with_names(&self, who: &User, (room, event): (&str, &str), bodies: &[&[u8]]) {
        let path = self.filled(|place| match place {
            place if place.contains("user") => encode(who.user_id.as_str()),
            place if place.contains("alias") && !place.contains("room_id") => encode("#nothing:hearth.test"),
            place if place.contains("room") => encode(room),
            place if place.contains("event_id") => encode(event),
            "device_id" => "NOTHING".to_owned(),
            "limit" => "1".to_owned(),
            _ => "m.x".to_owned(),
        });
        for body in bodies {
            self.ask(who, &path, body).await;
        }
        for query in
            ["?limit=x&dir=x&from=x&since=x&timeout=x&at=x", "?dir=b&limit=99999999999&from=s1", "?%FF=%00"]
        {
            self.ask(who, &format!("{path}{query}"), b"{}").await;
        }
    }

    /// The path with nonsense in all its places.
    async fn with_nonsense(&self, who: &User) {
        for nonsense in PLACES {
            self.ask(who, &self.filled(|_| nonsense.to_owned()), b"{}").await;
        }
        let long = "a".repeat(5_000);
        self.ask(who, &self.filled(|_| long.clone()), b"{}").await;
    }

    fn filled(&self, place: impl Fn(&str) -> String) -> String {
        let parts = self.path.split('/').map(|part| match part.strip_prefix('{') {
            Some(name) => place(name.trim_start_matches('*').trim_end_matches('}')),
            None => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    async fn ask(&self, who: &User, path: &str, body: &[u8]) {
        // Who asks for events and does not say how long waits until there are some.
        let waits = self.path.ends_with("/events") && !path.contains("timeout");
        let no_time = if path.contains('?') { "&timeout=0" } else { "?timeout=0" };
        let path = &*format!("{path}{}", if waits { no_time } else { "" });
        let answer = send(self.server, &request(who, self.method, path, "", body)).await;
        let place = || format!("{} {path} with {:?}", self.method, String::from_utf8_lossy(body));
        assert!((200..500).contains(&answer.status), "{}: {} {}", place(), answer.head, answer.body);
        if self.is_page {
            return;
        }
        answer.open_to_all();
        if answer.status >= 400 {
            // User-interactive authentication under way answers 401 with its flows.
            let told = answer.body["errcode"].is_string() && answer.body["error"].is_string();
            let flows = answer.status == 401 && answer.body["flows"].is_array();
            assert!(told || flows, "{}: {}", place(), answer.body);
        }
        let needs_token = who.token.is_empty() || who.token == "hat_liar";
        let wants_nobody = answer.status < 300 && needs_token && self.method != "GET";
        let open = ["/register", "/login", "/refresh", "/logout"].iter().any(|open| path.contains(open));
        assert!(!wants_nobody || open, "{} was done for nobody: {}", place(), answer.body);
    }
}
