"""Push rules through the SDKs: what is loud, what is quiet, and how it follows its user around."""

import nio

from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    (second,) = await stage.enter(NioActor("second", of=ada))
    room = await ben.create_room(preset="public_chat", name="The street")
    await ada.join(room)
    await ada.sees_itself(room, "join")
    await hear_a_word(ada, ben, second, room)
    await mute(ada, ben, room)
    await order(ada, second)


async def rules_of(actor: NioActor) -> nio.PushRulesEvent | None:
    return actor.account_data.get("PushRulesEvent")


async def counts(ada, room: str) -> tuple[int, int]:
    seen = await ada.observed(room)
    return seen["unread"], seen["highlights"]


async def hear_a_word(ada, ben, second, room: str) -> None:
    loud = ["notify", {"set_tweak": "highlight"}]
    await ada.sdk("addPushRule", "global", "content", "tea", {"pattern": "tea", "actions": loud})
    await second.until(
        "the new rule",
        lambda: known_words(second),
        lambda words: "tea" in words,
    )
    await ben.say(room, "Steam")
    cup = await ben.say(room, "Tea for two")
    await ada.sees_message(room, cup)
    await ada.until("a loud word", lambda: counts(ada, room), lambda found: found == (2, 1))
    good(await second.client.enable_pushrule("global", nio.PushRuleKind.content, "tea", False))
    await ada.read(room, cup)
    more = await ben.say(room, "More tea")
    await ada.sees_message(room, more)
    await ada.until("a quiet word", lambda: counts(ada, room), lambda found: found == (1, 0))
    good(await second.client.delete_pushrule("global", nio.PushRuleKind.content, "tea"))
    await second.until("the rule gone", lambda: known_words(second), lambda words: "tea" not in words)
    await ada.read(room, more)
    await ada.until("nothing new", lambda: counts(ada, room), lambda found: found == (0, 0))


async def known_words(actor: NioActor) -> list[str]:
    rules = await rules_of(actor)
    return [rule.id for rule in rules.global_rules.content] if rules else []


async def mute(ada, ben, room: str) -> None:
    """A muted room counts nothing; one that is loud again counts what comes from then on."""
    await ada.sdk("setRoomMutePushRule", "global", room, True)
    knock = await ben.say(room, "Knock, knock")
    await ada.sees_message(room, knock)
    await ada.until("silence", lambda: counts(ada, room), lambda found: found == (0, 0))
    await ada.read(room, knock)
    await ada.sdk("setRoomMutePushRule", "global", room, False)
    bang = await ben.say(room, "Bang!")
    await ada.sees_message(room, bang)
    await ada.until("noise", lambda: counts(ada, room), lambda found: found == (1, 0))


async def order(ada, second) -> None:
    """Rules of one's own are put before and after each other."""
    kind = nio.PushRuleKind.override
    for rule, place in (("b", {}), ("a", {"before": "b"}), ("c", {"after": "b"})):
        condition = [nio.PushEventMatch("type", f"test.{rule}")]
        good(await second.client.set_pushrule("global", kind, rule, actions=[], conditions=condition, **place))
    rules = await ada.sdk("getPushRules")
    own = [rule["rule_id"] for rule in rules["global"]["override"] if not rule["default"]]
    assert own == ["a", "b", "c"], own
    await ada.sdk("setPushRuleActions", "global", "override", "b", ["notify"])
    await second.until(
        "the changed actions",
        lambda: actions_of(second, "b"),
        lambda actions: actions == ["PushNotify"],
    )


async def actions_of(actor: NioActor, wanted: str) -> list[str]:
    rules = await rules_of(actor)
    found = [rule for rule in rules.global_rules.override if rule.id == wanted] if rules else []
    return [type(action).__name__ for action in found[0].actions] if found else []
