//! A mail server that keeps what it is given, and what tests read out of mails.
//!
//! It speaks as much of SMTP (RFC 5321) as a client needs. `nobody@…` is refused, and mail for `later@…`
//! is taken from the second time on.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use homeserver::config::{Config, SmtpTls};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::harness::{Reply, Server, User};

/// Where mail arrives.
#[derive(Clone)]
pub struct Mailbox {
    port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    put_off: Arc<Mutex<Vec<String>>>,
    /// What it says that it can do beyond the least.
    skills: &'static str,
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Whom the envelope is for.
    pub to: String,
    /// Headers and body, lines ending with `\n`.
    pub text: String,
}

impl Mail {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\n\n")?;
        let line = head
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name)))?;
        line.split_once(": ").map(|(_, value)| value)
    }

    /// The link, without the address of the server.
    #[track_caller]
    pub fn link(&self) -> String {
        let line = self.text.lines().find_map(|line| line.strip_prefix("https://hearth.test"));
        line.unwrap_or_else(|| panic!("no link in {}", self.text)).to_owned()
    }

    /// What the link says: token, client_secret and sid.
    #[track_caller]
    pub fn shown(&self) -> Value {
        let link = self.link();
        let (_, query) = link.split_once('?').expect("a query");
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), Value::from(v)))
            .collect()
    }
}

impl Mailbox {
    /// An empty mailbox behind a new mail server.
    pub async fn open() -> Self {
        Self::that_can("250-8BITMIME\r\n250 SMTPUTF8").await
    }

    /// The same behind a mail server that takes addresses of ASCII only.
    pub async fn of_ascii() -> Self {
        Self::that_can("250 8BITMIME").await
    }

    async fn that_can(skills: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let mailbox = Mailbox { port, mails: Arc::default(), put_off: Arc::default(), skills };
        let keeper = mailbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keeper = keeper.clone();
                tokio::spawn(async move { keeper.serve(stream).await });
            }
        });
        mailbox
    }

    /// Has a server send its mail here.
    pub fn serves(&self, config: &mut Config) {
        config.email.host = Some("127.0.0.1".to_owned());
        config.email.port = Some(self.port);
        config.email.tls = SmtpTls::None;
        config.email.from = Some("Hearth <matrix@hearth.test>".to_owned());
        config.well_known.client = Some("https://hearth.test".to_owned());
    }

    /// All mails so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest mail, which must be for `to`.
    #[track_caller]
    pub fn newest(&self, to: &str) -> Mail {
        let mail = self.mails().pop().expect("a mail");
        assert_eq!(mail.to, to, "{}", mail.text);
        mail
    }

    /// What is to be said to a recipient.
    fn answer(&self, to: &str) -> &'static str {
        let mut put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        if to.starts_with("nobody@") {
            "550 no such mailbox"
        } else if to.starts_with("later@") && !put_off.iter().any(|before| before == to) {
            put_off.push(to.to_owned());
            "451 try again"
        } else {
            "250 ok"
        }
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut to = String::new();
        if stream.write_all(b"220 mailbox\r\n").await.is_err() {
            return;
        }
        let mut line = String::new();
        while matches!(
            {
                line.clear();
                stream.read_line(&mut line).await
            },
            Ok(1..)
        ) {
            let command = line.trim_end().to_owned();
            let greeting = format!("250-mailbox\r\n{}", self.skills);
            let answer = match command.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
                "EHLO" => &*greeting,
                "RCPT" => {
                    let address = command.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
                    to = address.map(|(address, _)| address.to_owned()).unwrap_or_default();
                    self.answer(&to)
                }
                "DATA" => {
                    let _ = stream.write_all(b"354 go on\r\n").await;
                    let text = data(&mut stream).await;
                    let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
                    mails.push(Mail { to: to.clone(), text: readable(&text) });
                    "250 kept"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// The text behind quoted-printable (RFC 2045).
fn readable(text: &str) -> String {
    let joined = text.replace("=\n", "");
    let mut parts = joined.split('=');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(b'='));
        bytes.extend_from_slice(&part.as_bytes()[if byte.is_some() { 2 } else { 0 }..]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn data(stream: &mut BufReader<TcpStream>) -> String {
    let (mut text, mut line) = (String::new(), String::new());
    while matches!(
        {
            line.clear();
            stream.read_line(&mut line).await
        },
        Ok(1..)
    ) {
        match line.trim_end() {
            "." => break,
            line => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// What is asked of `…/email/requestToken`.
pub fn wanting(address: &str, secret: &str) -> Value {
    json!({ "email": address, "client_secret": secret, "send_attempt": 1 })
}

/// Goes to the page of a link, relative to the server; answers status and text.
pub async fn page(server: &Server, link: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let reply = client.get(format!("{}{link}", server.base)).send().await.expect("a page");
    (reply.status().as_u16(), reply.text().await.expect("text"))
}

/// Presses the button on that page; answers status, `Location` and text.
pub async fn press(server: &Server, link: &str) -> (u16, Option<String>, String) {
    let redirect = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().no_proxy().redirect(redirect).build().expect("an HTTP client");
    let (path, query) = link.split_once('?').expect("a query");
    let form = client.post(format!("{}{path}", server.base)).body(query.to_owned());
    let reply =
        form.header("content-type", "application/x-www-form-urlencoded").send().await.expect("a page");
    let location = reply.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
    (reply.status().as_u16(), location, reply.text().await.expect("text"))
}

/// Has somebody confirm `address` for what `path` is for (`/v3/account/3pid`); answers the credentials.
pub async fn confirmed(server: &Server, mailbox: &Mailbox, path: &str, address: &str) -> Value {
    let secret = format!("secret{}", mailbox.mails().len());
    let path = format!("{path}/email/requestToken");
    let begun = server.stranger().post(&path, wanting(address, &secret)).await.ok();
    let (status, _, text) = press(server, &mailbox.newest(address).link()).await;
    assert_eq!(status, 200, "{text}");
    json!({ "sid": begun["sid"], "client_secret": secret })
}

/// Registers with these credentials of an address.
pub async fn register(server: &Server, username: &str, credentials: &Value) -> Reply {
    let auth = json!({ "type": "m.login.email.identity", "threepid_creds": credentials });
    let body = json!({ "username": username, "password": "secret", "auth": auth });
    server.stranger().post("/v3/register", body).await
}

/// Gives `user`, whose password is `secret`, an address.
pub async fn add(server: &Server, mailbox: &Mailbox, user: &User, address: &str) {
    let credentials = confirmed(server, mailbox, "/v3/account/3pid", address).await;
    crate::account::with_password(user, "/v3/account/3pid/add", credentials).await;
}
