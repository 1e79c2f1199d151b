//! The rules of `m.room.member`. Numbers refer to rule 5 of rooms/v12 (4 or 5 in older versions).

use std::sync::Arc;

use ruma::{
    AnyKeyName, CanonicalJsonObject, CanonicalJsonValue, SigningKeyId, UserId,
    events::room::member::MembershipState,
    room::JoinRuleKind,
    serde::{Base64, base64::Standard},
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
    third_party_invite::IdentityServerBase64PublicKey,
};
use serde_json::{Map, Value};

use super::{Room, no};
use crate::{
    Refused, canonical,
    event::Event,
    power_levels::{Power, PowerLevels},
};

pub(super) fn check<F: Fn(&str, &str) -> Option<Arc<Event>>>(room: &Room<'_, F>) -> Result<(), Refused> {
    let content: Map<String, Value> = room.event.content_as()?;
    let Some(target) = room.event.state_key() else { return no("m.room.member has no state key") };
    let Ok(target) = <&UserId>::try_from(target) else {
        return no("the state key of m.room.member is not a user id");
    };
    let Some(membership) = content.get("membership").and_then(Value::as_str) else {
        return no("m.room.member has no membership");
    };
    let change = Change { room, target, content: &content };
    match membership {
        "join" => change.join(),
        "invite" => change.invite(),
        "leave" if room.event.sender() == target => change.leave(),
        "leave" => change.kick(),
        "ban" => change.ban(),
        "knock" if room.rules.authorization.knocking => change.knock(),
        other => no(format!("{other:?} is not a membership of this room version")),
    }
}

/// A membership that wants to become another.
struct Change<'a, 'b, F> {
    room: &'a Room<'b, F>,
    target: &'a UserId,
    content: &'a Map<String, Value>,
}

impl<F: Fn(&str, &str) -> Option<Arc<Event>>> Change<'_, '_, F> {
    /// Rule 5.3.
    fn join(&self) -> Result<(), Refused> {
        let event = self.room.event;
        if event.prev_events() == [self.room.create.event_id()] && self.is_first_creator()? {
            return Ok(());
        }
        if event.sender() != self.target {
            return no("nobody can join for somebody else");
        }
        let membership = self.room.membership(self.target)?;
        if membership == MembershipState::Ban {
            return Err(self.banned(self.target));
        }
        let rules = &self.room.rules.authorization;
        let welcome = matches!(membership, MembershipState::Join | MembershipState::Invite);
        match self.room.join_rule()? {
            JoinRuleKind::Public => Ok(()),
            JoinRuleKind::Invite if welcome => Ok(()),
            JoinRuleKind::Knock if rules.knocking && welcome => Ok(()),
            JoinRuleKind::Restricted if rules.restricted_join_rule => self.join_restricted(welcome),
            JoinRuleKind::KnockRestricted if rules.knock_restricted_join_rule => {
                self.join_restricted(welcome)
            }
            _ => {
                Err(Refused::NotInvited { user: self.target.to_owned(), room_id: event.room_id().to_owned() })
            }
        }
    }

    /// Rule 5.3.5.
    fn join_restricted(&self, welcome: bool) -> Result<(), Refused> {
        if welcome {
            return Ok(());
        }
        let authorising = self.content.get("join_authorised_via_users_server").and_then(Value::as_str);
        let Some(authorising) = authorising.and_then(|user| <&UserId>::try_from(user).ok()) else {
            return Err(Refused::NotInvited {
                user: self.target.to_owned(),
                room_id: self.room.event.room_id().to_owned(),
            });
        };
        if self.room.membership(authorising)? != MembershipState::Join {
            return no(format!("{authorising}, who should authorise the join, is not in the room"));
        }
        let power_levels = self.room.power_levels()?;
        let (needed, has) = (Power::Level(power_levels.invite()), power_levels.user(authorising));
        if has >= needed {
            return Ok(());
        }
        let action = format!("authorise the join of {}", self.target);
        Err(Refused::PowerLevelTooLow { user: authorising.to_owned(), action, needed, has })
    }

    /// Rule 5.4.
    fn invite(&self) -> Result<(), Refused> {
        if let Some(invite) = self.content.get("third_party_invite") {
            return self.invite_by_third_party(invite);
        }
        self.room.sender_must_be_joined()?;
        match self.room.membership(self.target)? {
            MembershipState::Ban => return Err(self.banned(self.target)),
            membership @ MembershipState::Join => {
                return Err(self.wrong_membership(membership, "be invited"));
            }
            _ => {}
        }
        let power_levels = self.room.power_levels()?;
        self.room.sender_must_have(&power_levels, power_levels.invite(), || "invite".to_owned())
    }

    /// Rule 5.4.1.
    fn invite_by_third_party(&self, invite: &Value) -> Result<(), Refused> {
        if self.room.membership(self.target)? == MembershipState::Ban {
            return Err(self.banned(self.target));
        }
        let Some(signed) = invite.get("signed").filter(|signed| signed.is_object()) else {
            return no("the third party invite is not signed");
        };
        let (Some(mxid), Some(token)) =
            (signed.get("mxid").and_then(Value::as_str), signed.get("token").and_then(Value::as_str))
        else {
            return no("the third party invite lacks its mxid or token");
        };
        if mxid != self.target.as_str() {
            return no("the third party invite is for somebody else");
        }
        let Some(offer) = (self.room.state)("m.room.third_party_invite", token) else {
            return no("the room has no third party invite with this token");
        };
        if offer.sender() != self.room.event.sender() {
            return no("the third party invite was made by somebody else");
        }
        let signed = canonical::canonical_object(signed.to_string().as_bytes())?;
        if signature_matches(&signed, &public_keys(&offer)?) {
            return Ok(());
        }
        no("no signature of the third party invite fits its public keys")
    }

    /// Rule 5.5.1.
    fn leave(&self) -> Result<(), Refused> {
        match self.room.membership(self.target)? {
            MembershipState::Join | MembershipState::Invite => Ok(()),
            MembershipState::Knock if self.room.rules.authorization.knocking => Ok(()),
            MembershipState::Ban => Err(self.banned(self.target)),
            membership => Err(self.wrong_membership(membership, "leave")),
        }
    }

    /// Rules 5.5.2 to 5.5.5: a kick, the end of a ban, or an invitation taken back.
    fn kick(&self) -> Result<(), Refused> {
        self.room.sender_must_be_joined()?;
        let power_levels = self.room.power_levels()?;
        if self.room.membership(self.target)? == MembershipState::Ban {
            self.room.sender_must_have(&power_levels, power_levels.ban(), || "unban".to_owned())?;
        }
        self.room.sender_must_have(&power_levels, power_levels.kick(), || "kick".to_owned())?;
        self.target_must_be_weaker(&power_levels)
    }

    /// Rule 5.6.
    fn ban(&self) -> Result<(), Refused> {
        self.room.sender_must_be_joined()?;
        let power_levels = self.room.power_levels()?;
        self.room.sender_must_have(&power_levels, power_levels.ban(), || "ban".to_owned())?;
        self.target_must_be_weaker(&power_levels)
    }

    /// Rule 5.7.
    fn knock(&self) -> Result<(), Refused> {
        let rules = &self.room.rules.authorization;
        match self.room.join_rule()? {
            JoinRuleKind::Knock => {}
            JoinRuleKind::KnockRestricted if rules.knock_restricted_join_rule => {}
            _ => return no("the join rule of this room does not allow knocking"),
        }
        if self.room.event.sender() != self.target {
            return no("nobody can knock for somebody else");
        }
        match self.room.membership(self.target)? {
            MembershipState::Ban => Err(self.banned(self.target)),
            membership @ (MembershipState::Invite | MembershipState::Join) => {
                Err(self.wrong_membership(membership, "knock"))
            }
            _ => Ok(()),
        }
    }

    fn target_must_be_weaker(&self, power_levels: &PowerLevels) -> Result<(), Refused> {
        let (sender, target) = (power_levels.user(self.room.event.sender()), power_levels.user(self.target));
        if target < sender {
            return Ok(());
        }
        Err(Refused::TargetTooPowerful {
            user: self.room.event.sender().to_owned(),
            has: sender,
            target: self.target.to_owned(),
            target_has: target,
        })
    }

    /// Whether the target is the one creator who may join an otherwise empty room: not an additional one.
    fn is_first_creator(&self) -> Result<bool, Refused> {
        if self.room.rules.authorization.use_room_create_sender {
            return Ok(self.room.create.sender() == self.target);
        }
        let create: Map<String, Value> = self.room.create.content_as()?;
        Ok(create.get("creator").and_then(Value::as_str) == Some(self.target.as_str()))
    }

    fn banned(&self, user: &UserId) -> Refused {
        Refused::Banned { user: user.to_owned(), room_id: self.room.event.room_id().to_owned() }
    }

    fn wrong_membership(&self, membership: MembershipState, action: &'static str) -> Refused {
        Refused::WrongMembership { user: self.target.to_owned(), membership, action }
    }
}

/// The keys of an `m.room.third_party_invite` event: `public_key` and those in `public_keys`.
fn public_keys(offer: &Event) -> Result<Vec<Vec<u8>>, Refused> {
    let content: Map<String, Value> = offer.content_as()?;
    let many = content.get("public_keys").and_then(Value::as_array).into_iter().flatten();
    let many = many.filter_map(|key| key.get("public_key"));
    let keys = content.get("public_key").into_iter().chain(many).filter_map(Value::as_str);
    Ok(keys.filter_map(|key| IdentityServerBase64PublicKey(key.to_owned()).decode().ok()).collect())
}

/// Whether any signature under `signatures` is by any of the keys. What is malformed matches nothing.
fn signature_matches(signed: &CanonicalJsonObject, public_keys: &[Vec<u8>]) -> bool {
    let Ok(message) = to_canonical_json_string_for_signing(signed) else { return false };
    let servers = signed.get("signatures").and_then(CanonicalJsonValue::as_object);
    let signatures = servers.into_iter().flat_map(|servers| servers.values());
    let signatures = signatures.filter_map(CanonicalJsonValue::as_object).flatten();
    let verifies = |(key_id, signature): (&String, &CanonicalJsonValue)| {
        let key_id = <&SigningKeyId<AnyKeyName>>::try_from(key_id.as_str()).ok()?;
        let signature = Base64::<Standard>::parse(signature.as_str()?).ok()?;
        let by = |key: &Vec<u8>| {
            let algorithm = key_id.algorithm();
            verify_canonical_json_bytes(&algorithm, key, signature.as_bytes(), message.as_bytes()).is_ok()
        };
        public_keys.iter().any(by).then_some(())
    };
    signatures.into_iter().any(|signature| verifies(signature).is_some())
}
