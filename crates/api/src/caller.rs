//! Who asks: the one place where it is decided.
//!
//! A verb says by the type of its second argument who may call it:
//! [`Device`] (a user with a session, no guest), [`DeviceOrGuest`], `Option<DeviceOrGuest>` (the
//! token may be missing), [`Leaving`] (also a locked account), [`Administrator`], [`Anyone`].

use std::{future::Future, net::IpAddr};

use homeserver::{
    Answer, Home, Refusal, accounts,
    who::{Anyone, Device, Kind},
};
use http::{header, request::Parts};

/// The address that a connection came from; put into each request by the listener.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

/// What a request shows of who sends it.
#[derive(Debug)]
pub struct Knock {
    /// The access token, from the header or the query.
    pub token: Option<String>,
    /// The client's address, through proxies that are trusted.
    pub address: Option<IpAddr>,
}

impl Knock {
    /// Looks at the head of a request.
    pub fn of(home: &Home, parts: &Parts) -> Self {
        Knock { token: token(parts), address: client_address(home, parts) }
    }
}

/// The token of the `Authorization` header or, as v1.19 still allows, of the query.
fn token(parts: &Parts) -> Option<String> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    let query = parts.uri.query().filter(|query| query.contains("access_token="))?;
    let pairs: Vec<(String, String)> = serde_html_form::from_str(query).ok()?;
    pairs.into_iter().find(|(name, _)| name == "access_token").map(|(_, token)| token)
}

/// The last address in `X-Forwarded-For` that is not a trusted proxy, if a trusted proxy sent it.
fn client_address(home: &Home, parts: &Parts) -> Option<IpAddr> {
    let trusted = |address: &IpAddr| {
        home.config.limits.trusted_proxies.iter().any(|network| network.contains(*address))
    };
    let mut address = parts.extensions.get::<PeerAddress>()?.0;
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().rev();
    let hops = forwarded.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
    for hop in hops.map_while(|hop| hop.trim().parse::<IpAddr>().ok()) {
        if !trusted(&address) {
            break;
        }
        address = hop;
    }
    Some(address)
}

/// Who a verb may be called by.
pub trait Caller: Sized + Send + 'static {
    /// Finds out.
    fn identify(home: &Home, knock: &Knock) -> impl Future<Output = Answer<Self>> + Send;

    /// The device, if it is known.
    fn device(&self) -> Option<&Device>;
}

/// A device of a user or of a guest.
#[derive(Clone, Debug)]
pub struct DeviceOrGuest(pub Device);

/// A device whose account may be locked: it can only log out.
#[derive(Clone, Debug)]
pub struct Leaving(pub Device);

/// A device of an administrator of this server.
#[derive(Clone, Debug)]
pub struct Administrator(pub Device);

async fn session(home: &Home, knock: &Knock) -> Answer<accounts::Session> {
    let token = knock.token.as_deref();
    let token = token.ok_or_else(|| Refusal::missing_token("This needs an access token: log in first"))?;
    accounts::session(home, token, knock.address).await
}

/// What guests are told.
pub fn no_guests() -> Refusal {
    Refusal::guest_access_forbidden("Guests can not do that: make an account")
}

impl Caller for Anyone {
    async fn identify(_: &Home, knock: &Knock) -> Answer<Self> {
        Ok(Anyone { address: knock.address })
    }

    fn device(&self) -> Option<&Device> {
        None
    }
}

impl Caller for Leaving {
    async fn identify(home: &Home, knock: &Knock) -> Answer<Self> {
        Ok(Leaving(session(home, knock).await?.device))
    }

    fn device(&self) -> Option<&Device> {
        Some(&self.0)
    }
}

impl Caller for DeviceOrGuest {
    async fn identify(home: &Home, knock: &Knock) -> Answer<Self> {
        let session = session(home, knock).await?;
        if session.locked { Err(Refusal::user_locked()) } else { Ok(DeviceOrGuest(session.device)) }
    }

    fn device(&self) -> Option<&Device> {
        Some(&self.0)
    }
}

impl Caller for Option<DeviceOrGuest> {
    async fn identify(home: &Home, knock: &Knock) -> Answer<Self> {
        if knock.token.is_none() {
            return Ok(None);
        }
        DeviceOrGuest::identify(home, knock).await.map(Some)
    }

    fn device(&self) -> Option<&Device> {
        self.as_ref().map(|who| &who.0)
    }
}

impl Caller for Device {
    async fn identify(home: &Home, knock: &Knock) -> Answer<Self> {
        let DeviceOrGuest(device) = DeviceOrGuest::identify(home, knock).await?;
        if device.kind == Kind::Guest {
            return Err(no_guests());
        }
        Ok(device)
    }

    fn device(&self) -> Option<&Device> {
        Some(self)
    }
}

impl Caller for Administrator {
    async fn identify(home: &Home, knock: &Knock) -> Answer<Self> {
        let device = Device::identify(home, knock).await?;
        if !device.admin {
            return Err(Refusal::forbidden("Only administrators of this server can do that"));
        }
        Ok(Administrator(device))
    }

    fn device(&self) -> Option<&Device> {
        Some(&self.0)
    }
}
