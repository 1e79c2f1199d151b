"""Delayed events (MSC4140), by the calls of matrix-js-sdk: sent, cancelled, put off, sent early, and
kept by a server that is restarted."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..stage import Stage

ALONE = True
LONG_MS = 600_000
TEXT = {"msgtype": "m.text"}


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    room = await ada.create_room(preset="public_chat", name="The post office")
    await ben.join(room)
    await ben.sees_itself(room, "join")
    await ben.sees_member(room, ada.user_id, membership="join")
    await by_itself(ada, ben, room)
    await at_will(ada, ben, room)
    await state(ada, ben, room)
    await over_a_restart(stage, ada, ben, room)


async def later(actor, room: str, body: str, delay_ms: int) -> str:
    """Sends a message later; gives the id of the delay."""
    content = {**TEXT, "body": body}
    sent = await actor.sdk("_unstable_sendDelayedEvent", room, {"delay": delay_ms}, None, "m.room.message", content)
    assert set(sent) == {"delay_id"}, sent
    return sent["delay_id"]


async def waiting(actor) -> set[str]:
    return {event["delay_id"] for event in (await actor.sdk("_unstable_getDelayedEvents"))["delayed_events"]}


async def arrives(actor, room: str, body: str) -> None:
    await actor.sees(room, f"“{body}”", lambda seen: body in (message["body"] for message in seen["messages"]))


async def by_itself(ada, ben, room: str) -> None:
    await later(ada, room, "The letter", 300)
    for actor in (ada, ben):
        await arrives(actor, room, "The letter")
    assert await waiting(ada) == set()


async def at_will(ada, ben, room: str) -> None:
    """Sent at once, put off, cancelled."""
    parcel, card, bill = [await later(ada, room, body, LONG_MS) for body in ("The parcel", "The card", "The bill")]
    assert await waiting(ada) == {parcel, card, bill}
    await ada.sdk("_unstable_updateDelayedEvent", parcel, "send")
    await arrives(ben, room, "The parcel")
    await ada.sdk("_unstable_updateDelayedEvent", card, "restart")
    await ada.sdk("_unstable_updateDelayedEvent", bill, "cancel")
    assert await waiting(ada) == {card}
    await refused(ada.sdk("_unstable_updateDelayedEvent", bill, "send"), "M_")
    await ada.sdk("_unstable_updateDelayedEvent", card, "send")
    await arrives(ben, room, "The card")
    bodies = {message["body"] for message in (await ben.observed(room))["messages"]}
    assert "The bill" not in bodies, bodies


async def state(ada, ben, room: str) -> None:
    sent = await ada.sdk(
        "_unstable_sendDelayedStateEvent", room, {"delay": LONG_MS}, "m.room.topic", {"topic": "Closed"}
    )
    await ada.sdk("_unstable_updateDelayedEvent", sent["delay_id"], "send")
    for actor in (ada, ben):
        await actor.sees_state(room, "m.room.topic", topic="Closed")


async def over_a_restart(stage: Stage, ada, ben, room: str) -> None:
    kept = await later(ada, room, "The long journey", LONG_MS)
    # Due while the server is away: sent as soon as it is back.
    due = await later(ada, room, "The short journey", 1)
    await stage.server.stop()
    await stage.server.start()
    await ada.sdk("retryImmediately")
    for actor in (ada, ben):
        await arrives(actor, room, "The short journey")
    assert due not in await waiting(ada)
    assert await waiting(ada) == {kept}
    await ada.sdk("_unstable_updateDelayedEvent", kept, "send")
    for actor in (ada, ben):
        await arrives(actor, room, "The long journey")
