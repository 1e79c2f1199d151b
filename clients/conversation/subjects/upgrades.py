"""Rooms that move on: by the server's upgrade, and by the one that matrix-nio makes itself."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben, cat = await stage.enter(JsActor("ada"), NioActor("ben"), JsActor("cat"))
    await by_the_server(stage, ada, ben, cat)
    await by_the_client(stage, ada, ben, cat)


async def old_room(stage: Stage, host, guests, alias: str) -> str:
    room = await host.create_room(
        preset="public_chat",
        name="The old hall",
        topic="Draughty",
        room_version="10",
        room_alias_name=stage.alias(alias),
        power_level_content_override={"users": {host.user_id: 100, guests[0].user_id: 50}},
    )
    for guest in guests:
        await guest.join(room)
        await guest.sees_itself(room, "join")
    return room


async def by_the_server(stage: Stage, ada, ben, cat) -> None:
    old = await old_room(stage, ada, (ben, cat), "hall")
    alias = f"#{stage.alias('hall')}:hearth.test"
    await refused(cat.sdk("upgradeRoom", old, "12"), "M_FORBIDDEN")
    await refused(ada.sdk("upgradeRoom", old, "1234"), "M_UNSUPPORTED_ROOM_VERSION")
    for actor in (ada, cat):
        await actor.sdk("setRoomTag", old, "m.favourite", {"order": 0.5})
        await actor.sdk("setRoomMutePushRule", "global", old, True)
    new = (await ada.sdk("upgradeRoom", old, "12"))["replacement_room"]

    await ben.sees_state(old, "m.room.tombstone", replacement_room=new)
    assert ben.client.rooms[old].replacement_room == new
    await refused(cat.say(old, "Is anybody here?"), "M_FORBIDDEN")
    await ada.sees_itself(new, "join")
    for guest in (ben, cat):
        assert await guest.join(alias) == new, "the alias did not move"
        await guest.sees_itself(new, "join")
        await guest.sees_state(new, "m.room.topic", topic="Draughty")
        await guest.sees_state(new, "m.room.name", name="The old hall")
    create = await ben.sees_state(new, "m.room.create", room_version="12")
    assert create["predecessor"]["room_id"] == old, create
    levels = await cat.sees_state(new, "m.room.power_levels")
    assert levels["users"] == {ben.user_id: 50}, levels
    # What people had set for the old room holds for the new one.
    for actor in (ada, cat):
        await actor.until(
            "its tag on the new room",
            lambda actor=actor: actor.tags(new),
            lambda tags: tags == {"m.favourite": {"order": 0.5}},
        )
        rules = await actor.sdk("getPushRules")
        assert new in [rule["rule_id"] for rule in rules["global"]["room"]], f"{actor.name}: {rules['global']['room']}"
    # The SDK finds from each room to the other.
    await cat.until("both rooms", lambda: cat.upgrade_history(old), lambda rooms: rooms == [old, new])
    assert await cat.upgrade_history(new) == [old, new]


async def by_the_client(stage: Stage, ada, ben, cat) -> None:
    old = await old_room(stage, ben, (cat, ada), "barn")
    new = good(await ben.client.room_upgrade(old, "11")).room_id
    await cat.sees_state(old, "m.room.tombstone", replacement_room=new)
    await cat.join(new)
    await cat.sees_itself(new, "join")
    create = await cat.sees_state(new, "m.room.create", room_version="11")
    assert create["predecessor"]["room_id"] == old, create
    await cat.sees_state(new, "m.room.topic", topic="Draughty")
    await cat.until("both rooms", lambda: cat.upgrade_history(new), lambda rooms: rooms == [old, new])
