//! Push rules: which events notify a user.
//!
//! Spec: client-server API, «Push rules». A user's rules are kept as account data, where clients find
//! them; until the first change they are those that every account begins with. Rules that the server
//! brings along are taken from the server whenever they are read, with the user's actions and whether
//! they are on, so that a later version of the specification reaches old accounts too.

use std::{collections::BTreeMap, sync::Arc};

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    push::{
        Action, AnyPushRuleRef, ConditionalPushRule, InsertPushRuleError, NewConditionalPushRule,
        NewPatternedPushRule, NewPushRule, NewSimplePushRule, PushCondition, RemovePushRuleError, RuleKind,
        Ruleset,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Batch, PosRef, account_data as stored};

use crate::{
    Home, account_data,
    refusal::{Answer, Refusal},
    settings,
    who::Device,
};

/// The type under which clients find their push rules in the account data.
pub const ACCOUNT_DATA_TYPE: &str = "m.push_rules";

/// The kinds of push rules.
const KINDS: [&str; 5] = ["override", "content", "room", "sender", "underride"];

/// Rules that a user may add.
const RULES_MAX: usize = 1_000;

/// Bytes of all the rules of a user.
const RULES_BYTES_MAX: usize = 256 * 1024;

/// Bytes of the id of a rule.
const RULE_ID_BYTES_MAX: usize = 255;

/// Conditions, or actions, of one rule.
const PARTS_MAX: usize = 32;

/// Profile tags for which a user has rules.
const PROFILE_TAGS_MAX: usize = 20;

/// Bytes of a profile tag.
const PROFILE_TAG_BYTES_MAX: usize = 32;

/// How often a change is tried anew because another came between.
const ATTEMPTS_MAX: usize = 8;

/// For which of a user's clients a rule is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For all.
    Global,
    /// For those that gave themselves this `profile_tag` (API v1 of 2015).
    Device(String),
}

/// What a rule is known by.
#[derive(Clone, Debug)]
pub struct Name {
    /// For which clients.
    pub scope: Scope,
    /// Which kind of rule.
    pub kind: RuleKind,
    /// `rule_id`
    pub rule_id: String,
}

impl Name {
    /// A rule by the parts of a path.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` if there is no such kind or the profile tag is too long.
    pub fn new(scope: Scope, kind: &str, rule_id: String) -> Answer<Self> {
        if matches!(&scope, Scope::Device(tag) if tag.is_empty() || tag.len() > PROFILE_TAG_BYTES_MAX) {
            let message = format!("A profile tag has 1 to {PROFILE_TAG_BYTES_MAX} bytes");
            return Err(Refusal::invalid_param(message));
        }
        if !KINDS.contains(&kind) {
            return Err(Refusal::invalid_param(format!("The kinds of push rules are {}", KINDS.join(", "))));
        }
        Ok(Name { scope, kind: RuleKind::from(kind), rule_id })
    }
}

/// What a client says of a rule.
#[derive(Clone, Debug, Deserialize)]
pub struct Said {
    actions: Vec<Action>,
    #[serde(default)]
    conditions: Vec<PushCondition>,
    pattern: Option<String>,
}

/// The push rules of `user`.
///
/// # Errors
/// If the database does not answer.
pub async fn rules(home: &Home, user: &UserId) -> Answer<Arc<Ruleset>> {
    let settings = settings::of(home, user).await?;
    Ok(match settings.own_push_rules {
        true => settings.push_rules.clone(),
        false => Arc::new(rules::push::default_rules(user)),
    })
}

/// All the rules that are kept of a user.
#[derive(Deserialize)]
struct Kept {
    global: Ruleset,
    /// By profile tag.
    #[serde(default)]
    device: BTreeMap<String, Ruleset>,
}

impl Kept {
    fn read(user: &UserId, content: Option<&str>) -> Self {
        let defaults = rules::push::default_rules(user);
        // Rules that can not be read any more must not keep a user from being notified at all.
        match content.and_then(|content| serde_json::from_str::<Kept>(content).ok()) {
            Some(mut kept) => {
                kept.global.update_with_server_default(defaults);
                kept
            }
            None => Kept { global: defaults, device: BTreeMap::new() },
        }
    }

    /// The content of the account data.
    fn content(&self) -> Value {
        let mut content = json!({ "global": global(&self.global) });
        if !self.device.is_empty() {
            content["device"] = self.by_tag();
        }
        content
    }

    fn by_tag(&self) -> Value {
        self.device.iter().map(|(tag, rules)| (tag.clone(), global(rules))).collect()
    }

    /// The rules of a scope, to change them.
    fn of(&mut self, scope: &Scope) -> &mut Ruleset {
        match scope {
            Scope::Global => &mut self.global,
            Scope::Device(tag) => self.device.entry(tag.clone()).or_default(),
        }
    }

    async fn load(home: &Home, user: &UserId) -> Answer<Self> {
        let content = stored::get(&home.db, user.as_str(), stored::GLOBAL, ACCOUNT_DATA_TYPE).await?;
        Ok(Kept::read(user, content.as_deref()))
    }
}

/// Reads what is kept of the rules of `user`: those for all clients, and by profile tag those for some.
pub(crate) fn read(user: &UserId, content: &str) -> (Ruleset, BTreeMap<String, Ruleset>) {
    let kept = Kept::read(user, Some(content));
    (kept.global, kept.device)
}

/// Has everything judged anew once `batch`, which changes what notifies `user` at `pos`, is durable.
pub(crate) fn judged_anew(home: &Home, batch: &mut Batch, pos: PosRef, user: &UserId) {
    let (home, user) = (home.clone(), user.to_owned());
    batch.then(move |at| {
        home.unread.judged_anew(&user);
        home.pushers.judged_anew(&user, at.at(pos));
    });
}

/// The rules of `user` as v1 of 2015 has them: `global`, and in `device` those by profile tag.
///
/// # Errors
/// If the database does not answer.
pub async fn by_scope(home: &Home, user: &UserId) -> Answer<Value> {
    let kept = Kept::load(home, user).await?;
    Ok(json!({ "device": kept.by_tag(), "global": global(&kept.global) }))
}

/// Push rules as clients get them. All kinds, those without a rule too: not every client takes their
/// absence well.
pub fn global(rules: &Ruleset) -> Value {
    let mut global = serde_json::to_value(rules).unwrap_or_else(|_| json!({}));
    for kind in KINDS {
        if global.get(kind).is_none() {
            global[kind] = json!([]);
        }
    }
    global
}

/// One rule, as clients get it.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn rule(home: &Home, who: &Device, name: &Name) -> Answer<Value> {
    let mut all = match &name.scope {
        Scope::Global => global(&*rules(home, who.user()).await?),
        Scope::Device(tag) => {
            Kept::load(home, who.user()).await?.device.get(tag).map(global).ok_or_else(unknown)?
        }
    };
    let of_kind = all.get_mut(name.kind.as_str()).and_then(Value::as_array_mut);
    let found = of_kind.into_iter().flatten().find(|rule| rule["rule_id"] == *name.rule_id);
    found.map(Value::take).ok_or_else(unknown)
}

fn unknown() -> Refusal {
    Refusal::not_found("There is no such push rule")
}

/// Adds a rule, or changes one that the user added, and puts it behind or before another.
///
/// # Errors
/// `M_INVALID_PARAM`, `M_BAD_JSON`, `M_UNKNOWN` if the other rule is not there, `M_TOO_LARGE`.
pub async fn set_rule(
    home: &Home,
    who: &Device,
    name: &Name,
    said: Said,
    after: Option<&str>,
    before: Option<&str>,
) -> Answer<()> {
    if name.rule_id.is_empty() || name.rule_id.len() > RULE_ID_BYTES_MAX {
        let message = format!("The id of a push rule has 1 to {RULE_ID_BYTES_MAX} bytes");
        return Err(Refusal::invalid_param(message));
    }
    check_actions(&said.actions)?;
    if [after, before].contains(&Some(&*name.rule_id)) {
        return Err(not_inserted(&InsertPushRuleError::UnknownRuleId));
    }
    let new = new_rule(name, said)?;
    change(home, who, &name.scope, |rules| {
        let known = rules.get(name.kind.clone(), &name.rule_id);
        let enabled = known.map(|rule| rule.enabled());
        if enabled.is_some() && (after.is_some() || before.is_some()) {
            // What is taken out first can be put anywhere: the rules' own move does not reach the end.
            rules.remove(name.kind.clone(), &name.rule_id).map_err(|error| not_removed(&error))?;
        }
        insert(rules, new.clone(), after, before).map_err(|error| not_inserted(&error))?;
        if let Some(enabled) = enabled {
            rules.set_enabled(name.kind.clone(), &name.rule_id, enabled).map_err(|_| unknown())?;
        }
        if rules.iter().filter(|rule| !rule.is_server_default()).count() > RULES_MAX {
            return Err(Refusal::unknown(format!("A user may add {RULES_MAX} push rules")));
        }
        Ok(())
    })
    .await
}

/// Puts a rule into its place. The first place among the overrides is that of the rule that turns all
/// others off; rules for some clients only are without it, but for this moment.
fn insert(
    rules: &mut Ruleset,
    new: NewPushRule,
    after: Option<&str>,
    before: Option<&str>,
) -> Result<(), InsertPushRuleError> {
    let master = ConditionalPushRule::master();
    let was_without = !rules.override_.contains(&master);
    if was_without {
        rules.override_.shift_insert(0, master.clone());
    }
    let inserted = rules.insert(new, after, before);
    if was_without {
        rules.override_.shift_remove(&master);
    }
    inserted
}

fn new_rule(name: &Name, said: Said) -> Answer<NewPushRule> {
    let rule_id = name.rule_id.clone();
    let malformed = |_| Refusal::invalid_param("The id of such a rule is that of a room or a user");
    let conditional = |said: Said, rule_id: String| {
        if said.conditions.len() > PARTS_MAX {
            return Err(Refusal::too_large(format!("A push rule has at most {PARTS_MAX} conditions")));
        }
        Ok(NewConditionalPushRule::new(rule_id, said.conditions, said.actions))
    };
    Ok(match name.kind {
        RuleKind::Override => NewPushRule::Override(conditional(said, rule_id)?),
        RuleKind::Underride => NewPushRule::Underride(conditional(said, rule_id)?),
        RuleKind::Content => {
            let pattern = said.pattern;
            let pattern = pattern.ok_or_else(|| Refusal::bad_json("A rule about content has a `pattern`"))?;
            if pattern.chars().count() > rules::push::PATTERN_CHARS_MAX {
                return Err(Refusal::too_large("The pattern is longer than any that is looked for"));
            }
            NewPushRule::Content(NewPatternedPushRule::new(rule_id, pattern, said.actions))
        }
        // Ids of the server's own rules are refused for what they are, not for being no rooms.
        _ if rule_id.starts_with('.') => {
            return Err(not_inserted(&InsertPushRuleError::ServerDefaultRuleId));
        }
        RuleKind::Room => {
            let room_id = OwnedRoomId::try_from(rule_id).map_err(malformed)?;
            NewPushRule::Room(NewSimplePushRule::new(room_id, said.actions))
        }
        RuleKind::Sender => {
            let user_id = OwnedUserId::try_from(rule_id).map_err(malformed)?;
            NewPushRule::Sender(NewSimplePushRule::new(user_id, said.actions))
        }
        _ => return Err(unknown()),
    })
}

fn check_actions(actions: &[Action]) -> Answer<()> {
    if actions.len() > PARTS_MAX {
        return Err(Refusal::too_large(format!("A push rule has at most {PARTS_MAX} actions")));
    }
    Ok(())
}

fn not_inserted(error: &InsertPushRuleError) -> Refusal {
    match error {
        InsertPushRuleError::ServerDefaultRuleId | InsertPushRuleError::InvalidRuleId => {
            Refusal::invalid_param(
                "The id of a push rule has no dot at its beginning, no slash and no backslash",
            )
        }
        InsertPushRuleError::UnknownRuleId => Refusal::unknown("before/after: there is no such push rule"),
        error => Refusal::unknown(format!("before/after: {error}")),
    }
}

fn not_removed(error: &RemovePushRuleError) -> Refusal {
    match error {
        RemovePushRuleError::ServerDefault => {
            Refusal::invalid_param("The server's own push rules can be turned off, not removed")
        }
        _ => unknown(),
    }
}

/// Removes a rule that the user added.
///
/// # Errors
/// `M_NOT_FOUND`, `M_INVALID_PARAM` for one of the server's own.
pub async fn remove_rule(home: &Home, who: &Device, name: &Name) -> Answer<()> {
    change(home, who, &name.scope, |rules| {
        rules.remove(name.kind.clone(), &name.rule_id).map_err(|error| not_removed(&error))
    })
    .await
}

/// Turns a rule on or off.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn set_enabled(home: &Home, who: &Device, name: &Name, enabled: bool) -> Answer<()> {
    change(home, who, &name.scope, |rules| {
        rules.set_enabled(name.kind.clone(), &name.rule_id, enabled).map_err(|_| unknown())
    })
    .await
}

/// Has a rule do something else.
///
/// # Errors
/// `M_NOT_FOUND`, `M_TOO_LARGE`
pub async fn set_actions(home: &Home, who: &Device, name: &Name, actions: Vec<Action>) -> Answer<()> {
    check_actions(&actions)?;
    change(home, who, &name.scope, |rules| {
        rules.set_actions(name.kind.clone(), &name.rule_id, actions.clone()).map_err(|_| unknown())
    })
    .await
}

/// The content of m.push_rules with what it says of the room `old` said of the room `new` as well; `None`
/// if that changes nothing, or would be too much.
pub(crate) fn rules_too(user: &UserId, content: &str, old: &RoomId, new: &RoomId) -> Option<String> {
    let (mut rules, _) = read(user, content);
    let before = rules.clone();
    for rule in before.iter().filter(|rule| !rule.is_server_default()) {
        let Some(copy) = copied(rule, old, new) else { continue };
        let kind = copy.kind();
        let rule_id = copy.rule_id().to_owned();
        let is_known = rules.get(kind.clone(), &rule_id).is_some();
        if is_known
            || rule_id.len() > RULE_ID_BYTES_MAX
            || rules.insert(copy, Some(rule.rule_id()), None).is_err()
        {
            continue;
        }
        // It is there now.
        let _ = rules.set_enabled(kind, &rule_id, rule.enabled());
    }
    let all = rules.iter().filter(|rule| !rule.is_server_default()).count();
    let changed = all != before.iter().filter(|rule| !rule.is_server_default()).count();
    let content = json!({ "global": global(&rules) }).to_string();
    (changed && all <= RULES_MAX && content.len() <= RULES_BYTES_MAX).then_some(content)
}

/// A rule about the room `old` as one about the room `new`.
fn copied(rule: AnyPushRuleRef<'_>, old: &RoomId, new: &RoomId) -> Option<NewPushRule> {
    let names_old = |condition: &PushCondition| matches!(condition, PushCondition::EventMatch(data) if data.key == "room_id" && data.pattern == old.as_str());
    let conditional = |rule: &ConditionalPushRule| {
        rule.conditions.iter().any(names_old).then(|| {
            let mut conditions = rule.conditions.clone();
            for condition in &mut conditions {
                if let PushCondition::EventMatch(data) = condition
                    && data.key == "room_id"
                    && data.pattern == old.as_str()
                {
                    data.pattern = new.to_string();
                }
            }
            let rule_id = match rule.rule_id.contains(old.as_str()) {
                true => rule.rule_id.replace(old.as_str(), new.as_str()),
                false => format!("{} {new}", rule.rule_id),
            };
            NewConditionalPushRule::new(rule_id, conditions, rule.actions.clone())
        })
    };
    match rule {
        AnyPushRuleRef::Room(rule) if rule.rule_id == old => {
            Some(NewPushRule::Room(NewSimplePushRule::new(new.to_owned(), rule.actions.clone())))
        }
        AnyPushRuleRef::Override(rule) => conditional(rule).map(NewPushRule::Override),
        AnyPushRuleRef::Underride(rule) => conditional(rule).map(NewPushRule::Underride),
        _ => None,
    }
}

/// Changes the rules of a user: all at once, on what they are when it is written.
async fn change(
    home: &Home,
    who: &Device,
    scope: &Scope,
    change: impl Fn(&mut Ruleset) -> Answer<()>,
) -> Answer<()> {
    let user = who.user();
    for _ in 0..ATTEMPTS_MAX {
        let before = stored::get(&home.db, user.as_str(), stored::GLOBAL, ACCOUNT_DATA_TYPE).await?;
        let mut kept = Kept::read(user, before.as_deref());
        change(kept.of(scope))?;
        kept.device.retain(|_, rules| rules.iter().next().is_some());
        if kept.device.len() > PROFILE_TAGS_MAX {
            return Err(Refusal::too_large(format!("Push rules are for at most {PROFILE_TAGS_MAX} tags")));
        }
        let after = kept.content().to_string();
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        if after.len() > RULES_BYTES_MAX {
            return Err(Refusal::too_large(format!(
                "Push rules have at most {RULES_BYTES_MAX} bytes in all"
            )));
        }
        let mut batch = Batch::new();
        let pos = batch.pos();
        let place = (user.as_str(), stored::GLOBAL, ACCOUNT_DATA_TYPE);
        stored::replace(&mut batch, pos, place, before, after);
        account_data::told(home, &mut batch, pos, user);
        // After the new rules are in force: what is judged in between is not kept.
        judged_anew(home, &mut batch, pos, user);
        match home.db.commit(batch).await {
            Ok(_) => return Ok(()),
            Err(store::Error::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::unavailable("The push rules change too often; try again in a moment"))
}
