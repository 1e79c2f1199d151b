//! Making accounts.

use std::net::IpAddr;

use ruma::{DeviceId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::Batch;

use super::{
    names,
    oauth2::{self, Identity},
    opening,
    opening::Opened,
    passwords,
    uia::{self, Operation, Proof, stages},
};
use crate::{
    Home,
    config::Requirement,
    refusal::{Answer, Refusal},
    threepids::{self, Medium, Validated},
    who::Kind,
};

/// Characters of a registration token.
pub const TOKEN_CHARACTERS_MAX: usize = 64;

/// The operation of making an account.
pub const OPERATION: &str = "register";

/// What a session remembers of the account that it made.
const MADE: &str = "user_id";

/// The account that a client asks for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Wish {
    /// Its localpart; if there is none the server makes one up.
    pub username: Option<String>,
    /// Its password; without one nobody logs in by password.
    pub password: Option<String>,
    /// Whether no session is wanted.
    pub inhibit_login: Option<bool>,
    /// `m.login.application_service`, from application services.
    #[serde(rename = "type")]
    pub login_type: Option<String>,
    /// Whether the identity server that knows the mail address is to tell others of it, as in 2015.
    #[serde(skip)]
    pub bind_email: bool,
    /// The session.
    #[serde(flatten)]
    pub session: opening::Wish,
}

/// An account that was made.
pub struct Registered {
    /// The user.
    pub user_id: OwnedUserId,
    /// The session, if one was wanted.
    pub session: Option<Opened>,
}

/// Makes the account that `wish` asks for, once everything is done that the operator requires.
/// Asked again with the same session, it answers with a new session of the same account.
///
/// # Errors
/// `M_FORBIDDEN` if registration is closed, `M_INVALID_USERNAME`, `M_USER_IN_USE`, `M_EXCLUSIVE`,
/// those of [`uia::prove`] and of [`passwords::hash`].
pub async fn user(
    home: &Home,
    wish: &Wish,
    auth: Option<&Map<String, Value>>,
    address: Option<IpAddr>,
) -> Answer<Registered> {
    if wish.login_type.as_deref() == Some("m.login.application_service") {
        return Err(Refusal::forbidden("This server has no application service with that token"));
    }
    must_be_open(home)?;
    wish.session.check()?;
    let (user_id, taken) = match &wish.username {
        None => (names::made_up(home)?, false),
        Some(username) => {
            let user_id = names::new_user_id(home.server_name(), username)?;
            names::must_not_be_exclusive(home, &user_id)?;
            let taken = store::accounts::exists(&home.db, user_id.as_str()).await?;
            (user_id, taken)
        }
    };
    let proof = match uia::prove(home, &operation(home, address), auth).await {
        Err(_) if taken => return Err(in_use()),
        proof => proof?,
    };
    match proof.fact(MADE) {
        Some(made) if wish.username.is_none() || made == user_id => again(home, made, wish).await,
        Some(_) => Err(Refusal::unknown("This session has made another account already")),
        None if taken => Err(in_use()),
        None => make(home, user_id, wish, &proof).await,
    }
}

pub(super) fn operation(home: &Home, address: Option<IpAddr>) -> Operation<'static> {
    Operation { name: OPERATION, flows: flows(home), address, ..Operation::default() }
}

/// What somebody must do to get an account: first what the operator requires, and if that is
/// nothing, nothing.
pub(super) fn flows(home: &Home) -> Vec<Vec<&'static str>> {
    let required = home.config.registration.require.iter().map(|requirement| match requirement {
        Requirement::Token => stages::REGISTRATION_TOKEN,
        Requirement::Terms => stages::TERMS,
        Requirement::Recaptcha => stages::RECAPTCHA,
        Requirement::OAuth2 => stages::OAUTH2,
        Requirement::Email => stages::EMAIL,
    });
    let mut flow: Vec<_> = required.collect();
    if flow.is_empty() {
        flow.push(stages::DUMMY);
    }
    // Who wants to may give an address as well; it comes first, so that no flow ends before it.
    let media = [(Medium::Email, stages::EMAIL), (Medium::Msisdn, stages::MSISDN)];
    let wanted = media.iter().filter(|(medium, stage)| medium.is_served(home) && !flow.contains(stage));
    let with_address = wanted.map(|(_, stage)| [&[*stage], &flow[..]].concat()).collect::<Vec<_>>();
    [vec![flow], with_address].concat()
}

async fn make(home: &Home, user_id: OwnedUserId, wish: &Wish, proof: &Proof) -> Answer<Registered> {
    let hash = match &wish.password {
        Some(password) => Some(passwords::hash(home, password).await?),
        None => None,
    };
    let mut batch = Batch::new();
    let now_ms = home.clock.now_ms();
    store::accounts::create(&mut batch, user_id.as_str(), Kind::User.as_str(), hash, false, now_ms);
    uia::remember(home, &mut batch, proof, MADE, user_id.as_str());
    if let Some(who) = proof.object(stages::OAUTH2).and_then(Identity::of) {
        oauth2::account::link(&mut batch, &who, &user_id);
    }
    if let Some(token) = proof.fact(stages::REGISTRATION_TOKEN) {
        store::registration_tokens::count(&mut batch, token, now_ms);
    }
    if let Some(agreed) = proof.object(stages::TERMS) {
        store::accounts::set_agreed(&mut batch, user_id.as_str(), Value::Object(agreed.clone()).to_string());
    }
    let shown: Vec<_> = [stages::EMAIL, stages::MSISDN]
        .iter()
        .filter_map(|stage| Validated::of_fact(proof.object(stage)?))
        .collect();
    for validated in &shown {
        validated.use_up(&mut batch);
        threepids::own::give(home, &mut batch, &user_id, validated);
    }
    let session =
        (wish.inhibit_login != Some(true)).then(|| opening::open(home, &mut batch, &user_id, &wish.session));
    if let Err(error) = home.db.commit(batch).await {
        return Err(why_not(home, &user_id, proof, &shown, error).await?);
    }
    tracing::info!(user = %user_id, "registered");
    if wish.bind_email {
        bind_email(home, &user_id, proof).await;
    }
    Ok(Registered { user_id, session })
}

/// Binds the mail address at the identity server that showed it. The account is there whatever becomes of
/// that.
async fn bind_email(home: &Home, user_id: &UserId, proof: &Proof) {
    let Some(credentials) = proof.object(stages::EMAIL).and_then(uia::address::elsewhere) else { return };
    if let Err(refusal) = threepids::own::bind(home, user_id, &credentials).await {
        tracing::warn!(user = %user_id, %refusal, "a mail address was not bound");
    }
}

/// Why an account could not be made.
async fn why_not(
    home: &Home,
    user_id: &UserId,
    proof: &Proof,
    shown: &[Validated],
    error: store::Error,
) -> Answer<Refusal> {
    match error {
        store::Error::Refused { statement: 0 } => return Ok(in_use()),
        store::Error::Refused { statement: 1 } if proof.session.is_some() => {
            return Ok(Refusal::unknown("This session is making an account already: ask again"));
        }
        // Nobody proves who they are elsewhere without a session.
        store::Error::Refused { statement: 2 } if proof.object(stages::OAUTH2).is_some() => {
            return Ok(Refusal::forbidden("You have an account already: log in"));
        }
        store::Error::Refused { .. } => {}
        error => return Ok(error.into()),
    }
    for validated in shown {
        let refusal = threepids::own::why_not(home, user_id, validated).await?;
        if refusal.errcode == "M_THREEPID_IN_USE" {
            return Ok(refusal);
        }
    }
    Ok(Refusal::forbidden("The registration token or the confirmation of the address has been used up"))
}

/// Answers a request again whose answer may have been lost.
async fn again(home: &Home, made: &str, wish: &Wish) -> Answer<Registered> {
    let account = store::accounts::get(&home.db, made).await?.filter(|account| !account.deactivated);
    let account = account.ok_or_else(in_use)?;
    let same = match (&wish.password, account.password_hash) {
        (Some(password), hash) => passwords::verify(home, password, hash).await?,
        (None, hash) => hash.is_none(),
    };
    if !same {
        return Err(Refusal::unknown("This session has made an account already, with another password"));
    }
    let user_id = UserId::parse(made).map_err(|_| in_use())?;
    let mut batch = Batch::new();
    let session =
        (wish.inhibit_login != Some(true)).then(|| opening::open(home, &mut batch, &user_id, &wish.session));
    home.db.commit(batch).await?;
    Ok(Registered { user_id, session })
}

/// Makes a guest, who has no password and no name.
///
/// # Errors
/// `M_FORBIDDEN` if guests are not let in.
pub async fn guest(home: &Home, wish: &Wish) -> Answer<Registered> {
    if !home.config.registration.guests {
        return Err(Refusal::forbidden("This server does not let guests in"));
    }
    let user_id = names::made_up(home)?;
    let name = wish.session.initial_device_display_name.clone();
    let session = opening::Wish { initial_device_display_name: name, ..opening::Wish::default() };
    session.check()?;
    let mut batch = Batch::new();
    let now_ms = home.clock.now_ms();
    store::accounts::create(&mut batch, user_id.as_str(), Kind::Guest.as_str(), None, false, now_ms);
    let session = opening::open(home, &mut batch, &user_id, &session);
    home.db.commit(batch).await.map_err(taken)?;
    Ok(Registered { user_id, session: Some(session) })
}

/// Whether an account called `username` could be made.
///
/// # Errors
/// Why not: `M_INVALID_USERNAME`, `M_USER_IN_USE`, `M_EXCLUSIVE`, `M_FORBIDDEN`.
pub async fn available(home: &Home, username: &str) -> Answer<()> {
    must_be_open(home)?;
    let user_id = names::new_user_id(home.server_name(), username)?;
    names::must_not_be_exclusive(home, &user_id)?;
    if store::accounts::exists(&home.db, user_id.as_str()).await? { Err(in_use()) } else { Ok(()) }
}

/// Whether somebody could register with this registration token now.
///
/// # Errors
/// If the database does not answer.
pub async fn token_is_valid(home: &Home, token: &str) -> Answer<bool> {
    if token.len() > TOKEN_CHARACTERS_MAX || token.contains('\0') {
        return Ok(false);
    }
    Ok(store::registration_tokens::is_valid(&home.db, token, home.clock.now_ms()).await?)
}

/// Makes an account without asking anything: the caller has decided that it may be made.
///
/// # Errors
/// `M_USER_IN_USE`
pub async fn create(
    home: &Home,
    user_id: &UserId,
    kind: Kind,
    password_hash: Option<String>,
    admin: bool,
) -> Answer<()> {
    let mut batch = Batch::new();
    let now_ms = home.clock.now_ms();
    store::accounts::create(&mut batch, user_id.as_str(), kind.as_str(), password_hash, admin, now_ms);
    home.db.commit(batch).await.map(drop).map_err(taken)
}

/// Opens a session of `device_id` without end, and answers its access token.
///
/// # Errors
/// If the database does not answer.
pub async fn open_session(
    home: &Home,
    user_id: &UserId,
    device_id: &DeviceId,
    name: Option<&str>,
) -> Answer<String> {
    let wish = opening::Wish {
        device_id: Some(device_id.to_owned()),
        initial_device_display_name: name.map(str::to_owned),
        refresh_token: None,
        lasting: false,
    };
    let mut batch = Batch::new();
    let opened = opening::open(home, &mut batch, user_id, &wish);
    home.db.commit(batch).await?;
    Ok(opened.access_token)
}

/// Refuses to make accounts if the operator wants none.
///
/// # Errors
/// `M_FORBIDDEN`
pub(crate) fn must_be_open(home: &Home) -> Answer<()> {
    if home.config.registration.enabled {
        return Ok(());
    }
    Err(Refusal::forbidden("Registration is closed on this server: ask its administrator for an account"))
}

fn taken(error: store::Error) -> Refusal {
    match error {
        store::Error::Refused { .. } => in_use(),
        error => error.into(),
    }
}

fn in_use() -> Refusal {
    Refusal::user_in_use("This user id is taken")
}
