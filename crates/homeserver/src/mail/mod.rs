//! Mail: handed to the operator's mail server (SMTP), which is asked to deliver it.
//!
//! A mail is sent while the client waits: once it has its answer, the mail server has the mail and keeps
//! it, so there is no second queue here. A few are sent at once, some wait for their turn, and all of it
//! takes [`SEND_TIME_MAX`] at most.

mod letter;

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use tokio::sync::{OnceCell, Semaphore};

pub use self::letter::{Kind, Letter};
use crate::{
    Home,
    config::{Email, SmtpTls},
    refusal::{Answer, Refusal},
};

/// How long sending may take, with the time to wait for a turn.
pub const SEND_TIME_MAX: Duration = Duration::from_secs(20);

/// How long the mail server may take for one of its answers.
const REPLY_TIME_MAX: Duration = Duration::from_secs(10);

/// Mails sent at once.
const SENDING_MAX: usize = 8;

/// Mails that are sent or wait for their turn.
const WAITING_MAX: usize = 64;

/// When to try again if too many wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// What of mail is in memory.
pub struct Memory {
    transport: OnceCell<Transport>,
    sending: Semaphore,
    waiting: Semaphore,
}

impl Memory {
    /// Nothing is under way yet.
    pub(crate) fn new() -> Self {
        Memory {
            transport: OnceCell::new(),
            sending: Semaphore::new(SENDING_MAX),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }
}

/// Whether this server can send mail.
pub fn is_configured(home: &Home) -> bool {
    home.config.email.host.is_some()
}

/// Sends `letter` to `address`, which must be canonical. Answers once the mail server has it.
///
/// # Errors
/// `M_INVALID_PARAM` if the mail server does not take mail for that address, `M_LIMIT_EXCEEDED` if too
/// many wait, 503 if the mail server can not be reached or does not do its work.
pub async fn send(home: &Home, address: &str, letter: &Letter) -> Answer<()> {
    let busy = |_| Refusal::limit_exceeded(RETRY_AFTER);
    let _place = home.mail.waiting.try_acquire().map_err(busy)?;
    let sent = tokio::time::timeout(SEND_TIME_MAX, async {
        let _turn = home.mail.sending.acquire().await.map_err(|_| Refusal::limit_exceeded(RETRY_AFTER))?;
        let message = message(home, address, letter).await?;
        let transport = home.mail.transport.get_or_try_init(|| async { transport(&home.config.email) });
        let sent = transport.await?.send(message).await;
        sent.map(drop).map_err(|error| refusal(address, &error))
    });
    sent.await.unwrap_or_else(|_| Err(failed("the mail server takes too long".to_owned())))
}

async fn message(home: &Home, address: &str, letter: &Letter) -> Answer<Message> {
    let config = &home.config.email;
    let written = letter.write(config.templates.as_deref()).await;
    let wrong =
        |error: &dyn std::fmt::Display| Refusal::broken(format!("a mail can not be written: {error}"));
    let from: Mailbox = config.from.as_deref().unwrap_or_default().parse().map_err(|error| wrong(&error))?;
    let to = address.parse().map_err(|error| wrong(&error))?;
    let now = Duration::from_millis(u64::try_from(home.clock.now_ms()).unwrap_or(0));
    let id = format!("<{}@{}>", home.dice.letters(32), home.server_name().host());
    Message::builder()
        .date(UNIX_EPOCH + now)
        .from(from)
        .to(Mailbox::new(None, to))
        .subject(written.subject)
        .message_id(Some(id))
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(written.text, written.html))
        .map_err(|error| wrong(&error))
}

/// `Auto-Submitted: auto-generated` (RFC 3834): nobody's holiday is answered to it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn transport(config: &Email) -> Answer<Transport> {
    let host = config.host.as_deref().ok_or_else(|| Refusal::broken("email.host is not set"))?;
    let tls = || {
        let wrong = |error| Refusal::broken(format!("TLS with the mail server: {error}"));
        TlsParameters::new(host.to_owned()).map_err(wrong)
    };
    let tls = match config.tls {
        SmtpTls::Starttls => Tls::Required(tls()?),
        SmtpTls::Tls => Tls::Wrapper(tls()?),
        SmtpTls::None => Tls::None,
    };
    let mut transport =
        Transport::builder_dangerous(host).port(config.port()).tls(tls).timeout(Some(REPLY_TIME_MAX));
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        transport = transport.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
    }
    Ok(transport.build())
}

/// What to say if a mail to `address` could not be sent. The log does not learn the address.
fn refusal(address: &str, error: &lettre::transport::smtp::Error) -> Refusal {
    let code = error.status().map(u16::from).unwrap_or(0);
    match code {
        // No such mailbox, not here, not allowed: about the recipient.
        550 | 551 | 553 | 556 => Refusal::invalid_param("The mail server does not deliver to that address"),
        // A mail server that does not know SMTPUTF8 (RFC 6531) can not even be asked.
        _ if error.is_client() && !address.is_ascii() => {
            Refusal::invalid_param("The mail server takes addresses of plain letters only: a–z, no accents")
        }
        _ => failed(error.to_string().replace(address, "<address>")),
    }
}

fn failed(cause: String) -> Refusal {
    let mut refusal = Refusal::unavailable("The mail could not be sent; try again in a moment");
    refusal.cause = Some(format!("mail: {cause}").into());
    refusal
}
