//! The addresses of an account: which it has, getting one more, losing one.

use ruma::UserId;
use serde_json::{Map, Value};
use store::{
    Batch,
    threepids::{self as stored, BindingRow, ThreepidRow},
};

use super::{
    Medium, Purpose, Validated,
    credentials::{self, Credentials, text},
    identity, sessions,
};
use crate::{
    Home,
    accounts::{own, uia},
    refusal::{Answer, Refusal},
    who::Device,
};

/// Addresses of one account.
pub const ADDRESSES_MAX: i64 = 50;

/// Addresses of one account that are bound at identity servers.
const BINDINGS_MAX: i64 = 100;

/// The addresses of `who`.
///
/// # Errors
/// If the database does not answer.
pub async fn list(home: &Home, who: &Device) -> Answer<Vec<ThreepidRow>> {
    Ok(stored::of_user(&home.db, who.user_id.as_str()).await?)
}

/// Whether `who` can add addresses to the account, and remove them.
pub fn can_change(home: &Home, who: &Device) -> bool {
    let validated = [Medium::Email, Medium::Msisdn].iter().any(|medium| medium.can_be_validated(home));
    who.kind == crate::who::Kind::User && !who.suspended && validated
}

/// Adds the address of the session that the body names to the account of `who`, who proves to be that.
///
/// # Errors
/// `M_THREEPID_AUTH_FAILED` if nobody has shown that the address is theirs, `M_THREEPID_IN_USE`,
/// `M_MISSING_PARAM`, `M_BAD_JSON`, those of [`own::prove`].
pub async fn add(home: &Home, who: &Device, ask: own::Ask<'_>) -> Answer<()> {
    who.may_act()?;
    let proof = own::prove(home, who.user(), "account/3pid/add", ask).await?;
    let credentials = Credentials::read(ask.body)?;
    let validated = must_be_validated(home, &credentials).await?;
    let mut batch = Batch::new();
    uia::use_up(&mut batch, &proof);
    keep(home, batch, who.user(), &validated).await
}

/// `add` as in 2015, without a proof: the credentials of an address, and perhaps `bind`, which has the
/// identity server tell others.
///
/// # Errors
/// As [`add`], and those of [`bind`].
pub async fn add_unproved(home: &Home, who: &Device, body: &Map<String, Value>) -> Answer<()> {
    who.may_act()?;
    let credentials = Credentials::inside(body)?;
    let binds = match body.get("bind") {
        None | Some(Value::Null) => false,
        Some(binds) => binds.as_bool().ok_or_else(|| Refusal::bad_json("bind must be true or false"))?,
    };
    let validated = must_be_validated(home, &credentials).await?;
    keep(home, Batch::new(), who.user(), &validated).await?;
    if binds { bind(home, who.user(), &credentials).await } else { Ok(()) }
}

async fn must_be_validated(home: &Home, credentials: &Credentials) -> Answer<Validated> {
    let validated = sessions::validated(home, Purpose::Add, credentials).await?;
    validated.ok_or_else(|| {
        Refusal::threepid_auth_failed(
            "Nobody has confirmed this address: follow the link that was sent to it",
        )
    })
}

async fn keep(home: &Home, mut batch: Batch, user: &UserId, validated: &Validated) -> Answer<()> {
    validated.use_up(&mut batch);
    give(home, &mut batch, user, validated);
    match home.db.commit(batch).await {
        Ok(_) => {
            tracing::info!(%user, medium = validated.medium.as_str(), "address added");
            Ok(())
        }
        Err(store::Error::Refused { .. }) => Err(why_not(home, user, validated).await?),
        Err(error) => Err(error.into()),
    }
}

/// Adds to `batch` that `user` has the address. Refuses the batch if it is somebody else's, or `user` has
/// too many.
pub fn give(home: &Home, batch: &mut Batch, user: &UserId, validated: &Validated) {
    let new = ThreepidRow {
        medium: validated.medium.as_str().to_owned(),
        address: validated.address.clone(),
        validated_ts: validated.validated_ts,
        added_ts: home.clock.now_ms(),
    };
    stored::add(batch, user.as_str(), new, ADDRESSES_MAX - 1);
}

/// Why `user` could not be given an address.
///
/// # Errors
/// If the database does not answer.
pub async fn why_not(home: &Home, user: &UserId, validated: &Validated) -> Answer<Refusal> {
    let owner = super::user(home, validated.medium, &validated.address).await?;
    if owner.is_some_and(|owner| owner != user) {
        return Ok(Refusal::threepid_in_use("This address belongs to an account already"));
    }
    if list_of(home, user).await?.len() as i64 >= ADDRESSES_MAX {
        return Ok(Refusal::threepid_denied(format!("An account has at most {ADDRESSES_MAX} addresses")));
    }
    Ok(Refusal::threepid_auth_failed("This confirmation has been used already: ask for another one"))
}

async fn list_of(home: &Home, user: &UserId) -> Answer<Vec<ThreepidRow>> {
    Ok(stored::of_user(&home.db, user.as_str()).await?)
}

/// Has an identity server tell others that an address is that of `user`.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED`, `M_MISSING_PARAM`, what the identity server refuses with.
pub async fn bind(home: &Home, user: &UserId, credentials: &Credentials) -> Answer<()> {
    let binding = identity::bind(home, user, credentials).await?;
    let mut batch = Batch::new();
    stored::bind(&mut batch, user.as_str(), binding, BINDINGS_MAX);
    home.db.commit(batch).await?;
    Ok(())
}

/// An address that a client names, and perhaps where it is bound.
#[derive(Clone, Debug)]
pub struct Named {
    medium: Medium,
    address: String,
    id_server: Option<String>,
}

impl Named {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// `M_MISSING_PARAM`, `M_BAD_JSON`, `M_INVALID_PARAM`
    pub fn read(body: &Map<String, Value>) -> Answer<Self> {
        let required = |name: &'static str| {
            let missing = || Refusal::missing_param(format!("{name} is missing"));
            text(body, &[name])?.ok_or_else(missing)
        };
        let medium = Medium::named(required("medium")?)
            .ok_or_else(|| Refusal::invalid_param("medium is \"email\" or \"msisdn\""))?;
        let address = medium.canonical(required("address")?);
        let address = address.ok_or_else(|| Refusal::invalid_param("address is none of that medium"))?;
        Ok(Named { medium, address, id_server: credentials::id_server(body)?.map(str::to_owned) })
    }
}

/// Takes an address from the account of `who`, and has identity servers tell nobody of it any more.
/// Answers whether those do so that it is bound at.
///
/// # Errors
/// If the database does not answer.
pub async fn remove(home: &Home, who: &Device, named: &Named) -> Answer<bool> {
    who.may_act()?;
    let mut batch = Batch::new();
    stored::remove(&mut batch, who.user_id.as_str(), named.medium.as_str(), &named.address);
    home.db.commit(batch).await?;
    tracing::info!(user = %who.user_id, medium = named.medium.as_str(), "address removed");
    unbind(home, who, named).await
}

/// Has identity servers tell nobody any more that an address is that of `who`: the named one, or all where
/// it was bound through this server. Answers whether all do so; if none is known, they do not.
///
/// # Errors
/// If the database does not answer.
pub async fn unbind(home: &Home, who: &Device, named: &Named) -> Answer<bool> {
    let bindings = match &named.id_server {
        Some(id_server) => vec![BindingRow {
            medium: named.medium.as_str().to_owned(),
            address: named.address.clone(),
            id_server: id_server.clone(),
        }],
        None => {
            let mut bindings = stored::bindings(&home.db, who.user_id.as_str()).await?;
            bindings.retain(|bound| bound.medium == named.medium.as_str() && bound.address == named.address);
            bindings
        }
    };
    Ok(!bindings.is_empty() && unbind_all(home, who.user(), &bindings).await?)
}

/// What identity servers are to forget of somebody who goes.
pub(crate) struct Farewell(Vec<BindingRow>);

impl Farewell {
    /// All addresses of `user`, at the server that is named, or where they were bound. To be asked before
    /// the account is gone.
    pub(crate) async fn of(home: &Home, user: &UserId, id_server: Option<&str>) -> Answer<Self> {
        let mut bindings = stored::bindings(&home.db, user.as_str()).await?;
        if let Some(id_server) = id_server {
            let addresses = list_of(home, user).await?.into_iter();
            let bound = addresses.map(|ThreepidRow { medium, address, .. }| BindingRow {
                medium,
                address,
                id_server: id_server.to_owned(),
            });
            bindings = bound.collect();
        }
        Ok(Farewell(bindings))
    }

    /// Has the identity servers forget it. Answers whether all do so, also if there is nothing to forget.
    pub(crate) async fn say(self, home: &Home, user: &UserId) -> Answer<bool> {
        unbind_all(home, user, &self.0).await
    }
}

async fn unbind_all(home: &Home, user: &UserId, bindings: &[BindingRow]) -> Answer<bool> {
    let asked = bindings.iter().map(|binding| identity::unbind(home, user, binding));
    let unbound = futures_util::future::join_all(asked).await;
    let mut batch = Batch::new();
    for (binding, _) in bindings.iter().zip(&unbound).filter(|(_, unbound)| **unbound) {
        stored::unbind(&mut batch, user.as_str(), binding);
    }
    if !batch.is_empty() {
        home.db.commit(batch).await?;
    }
    Ok(unbound.iter().all(|unbound| *unbound))
}
