//! Names of users: which ones an account can have, and whom somebody means who logs in.

use ruma::{OwnedUserId, ServerName, UserId};
use serde::Deserialize;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    threepids::{self, Medium},
};

/// Bytes of a whole user id, with sigil and server name.
const USER_ID_BYTES_MAX: usize = 255;

/// Bytes of what is looked up at all.
const NAME_BYTES_MAX: usize = 1_024;

/// Characters of a localpart that the server makes up.
const MADE_UP_CHARACTERS: usize = 12;

/// The user id of a new account called `username`, which may also be the whole user id. Capitals
/// of ASCII become small letters, as the specification lets a server map names.
///
/// # Errors
/// `M_INVALID_USERNAME`
pub fn new_user_id(server: &ServerName, username: &str) -> Answer<OwnedUserId> {
    let whole = username.strip_prefix('@').and_then(|rest| rest.strip_suffix(server.as_str()));
    let localpart = whole.and_then(|rest| rest.strip_suffix(':')).unwrap_or(username).to_ascii_lowercase();
    let allowed =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'/' | b'+' | b'-');
    if localpart.is_empty() || !localpart.bytes().all(allowed) {
        let message = "A username has the characters a-z 0-9 . _ = - / + only, and at least one";
        return Err(Refusal::invalid_username(message));
    }
    let user_id = format!("@{localpart}:{server}");
    if user_id.len() > USER_ID_BYTES_MAX {
        let message = format!("A user id has at most {USER_ID_BYTES_MAX} bytes; {user_id:.40}… is longer");
        return Err(Refusal::invalid_username(message));
    }
    UserId::parse(user_id).map_err(|_| Refusal::invalid_username("That can not be a username"))
}

/// A user id for somebody who does not care.
///
/// # Errors
/// `M_INVALID_USERNAME` if the server name is so long that none fits.
pub fn made_up(home: &Home) -> Answer<OwnedUserId> {
    let localpart = home.dice.letters(MADE_UP_CHARACTERS).to_ascii_lowercase();
    new_user_id(home.server_name(), &localpart)
}

/// Refuses a user id that belongs to an application service.
///
/// # Errors
/// `M_EXCLUSIVE`
pub fn must_not_be_exclusive(_home: &Home, _user_id: &UserId) -> Answer<()> {
    // Application services are not there yet; their namespaces will be asked here.
    Ok(())
}

/// Whom a client means.
/// <https://spec.matrix.org/v1.19/client-server-api/#identifier-types>
#[derive(Clone, Debug, Deserialize)]
pub struct Identifier {
    /// `m.id.user`, `m.id.thirdparty`, `m.id.phone`
    #[serde(rename = "type")]
    pub kind: String,
    /// The localpart or the user id, for `m.id.user`.
    pub user: Option<String>,
    /// `email` or `msisdn`, for `m.id.thirdparty`.
    pub medium: Option<String>,
    /// The address, for `m.id.thirdparty`.
    pub address: Option<String>,
    /// Where the number is dialled, for `m.id.phone`.
    pub country: Option<String>,
    /// The number, for `m.id.phone`.
    #[serde(alias = "number")]
    pub phone: Option<String>,
}

impl Identifier {
    /// Whether it is an address, and no name.
    pub fn is_address(&self) -> bool {
        self.kind != "m.id.user"
    }

    /// Whoever has this address.
    pub fn by_address(medium: Option<String>, address: Option<String>) -> Self {
        let kind = "m.id.thirdparty".to_owned();
        Identifier { kind, user: None, medium, address, country: None, phone: None }
    }

    /// The address in canonical form; none if it is no address at all.
    fn address(&self) -> Answer<Option<(Medium, String)>> {
        let missing = |name: &str| Refusal::missing_param(format!("identifier.{name} is missing"));
        if self.kind == "m.id.phone" {
            let country = self.country.as_deref().ok_or_else(|| missing("country"))?;
            let phone = self.phone.as_deref().ok_or_else(|| missing("phone"))?;
            return Ok(threepids::phone(country, phone).ok().map(|number| (Medium::Msisdn, number)));
        }
        let medium = Medium::named(self.medium.as_deref().ok_or_else(|| missing("medium"))?);
        let address = self.address.as_deref().ok_or_else(|| missing("address"))?;
        Ok(medium.and_then(|medium| Some((medium, medium.canonical(address)?))))
    }
}

/// The account that is meant by `identifier`, or by `user` as in r0; `None` if there is none.
///
/// # Errors
/// `M_MISSING_PARAM` if nobody is named, `M_UNKNOWN` for a type that the specification does not
/// have.
pub async fn find(
    home: &Home,
    identifier: Option<&Identifier>,
    user: Option<&str>,
) -> Answer<Option<OwnedUserId>> {
    let name = match identifier {
        None => user,
        Some(identifier) => match &*identifier.kind {
            "m.id.user" => identifier.user.as_deref(),
            "m.id.thirdparty" | "m.id.phone" => {
                let Some((medium, address)) = identifier.address()? else { return Ok(None) };
                return threepids::user(home, medium, &address).await;
            }
            _ => return Err(Refusal::unknown("The type of the identifier is none of the specification")),
        },
    };
    let name = name.ok_or_else(|| Refusal::missing_param("Say who you are: identifier.user is missing"))?;
    for name in [Some(name.to_owned()), lower(name)].into_iter().flatten() {
        let Some(user_id) = local_user_id(home, &name) else { continue };
        if store::accounts::exists(&home.db, user_id.as_str()).await? {
            return Ok(Some(user_id));
        }
    }
    Ok(None)
}

/// The name in small letters, if it is another one then.
fn lower(name: &str) -> Option<String> {
    name.contains(|character: char| character.is_ascii_uppercase()).then(|| name.to_ascii_lowercase())
}

/// The user of this server that is called `name`, a localpart or a user id.
fn local_user_id(home: &Home, name: &str) -> Option<OwnedUserId> {
    if name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return None;
    }
    let user_id = UserId::parse_with_server_name(name, home.server_name()).ok()?;
    (user_id.server_name() == home.server_name()).then_some(user_id)
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn usernames_follow_the_grammar_of_new_user_ids() {
        let server = server_name!("hearth.test");
        for (username, user_id) in [
            ("alice", "@alice:hearth.test"),
            ("Alice", "@alice:hearth.test"),
            ("@alice:hearth.test", "@alice:hearth.test"),
            ("a.b_c=d-e/f+1", "@a.b_c=d-e/f+1:hearth.test"),
        ] {
            let made = new_user_id(server, username).expect("a legal username");
            assert_eq!(made, user_id);
        }
        let long = "a".repeat(USER_ID_BYTES_MAX - "@:hearth.test".len());
        assert!(new_user_id(server, &long).is_ok());
        for wrong in [
            "",
            "@",
            "@:hearth.test",
            "é",
            "a b",
            "a:b",
            "@alice:other.test",
            "a\0",
            "a!",
            &format!("{long}a"),
        ] {
            let refusal = new_user_id(server, wrong).expect_err(wrong);
            assert_eq!(refusal.errcode, "M_INVALID_USERNAME", "{wrong:?}");
        }
    }
}
