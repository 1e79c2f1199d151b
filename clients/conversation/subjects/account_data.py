"""What a user keeps: account data of the user and of a room, and tags, on two clients of one person."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    nio_of_ada, js_of_ada = await stage.enter(NioActor("second", of=ada), JsActor("third", of=ada))
    room = await ada.create_room(preset="public_chat", name="The attic", invite=[ben.user_id])
    for other in (nio_of_ada, js_of_ada):
        await other.sees_itself(room, "join")
    await keep(ada, nio_of_ada, js_of_ada, room)
    await tag(ada, nio_of_ada, js_of_ada, room)
    await ben.sees_itself(room, "invite")
    assert not any("hearth" in kind for kind in ben.account_data), "ben knows what ada keeps"


async def keep(ada, nio_of_ada, js_of_ada, room: str) -> None:
    await ada.sdk("setAccountData", "test.hearth.settings", {"theme": "dark"})
    kept = await nio_of_ada.until(
        "the settings", lambda: kept_by(nio_of_ada, "test.hearth.settings"), lambda found: found == {"theme": "dark"}
    )
    assert kept == await ada.sdk("getAccountDataFromServer", "test.hearth.settings")
    await js_of_ada.sdk("setAccountData", "test.hearth.settings", {"theme": "light"})
    await ada.until(
        "the new settings", lambda: ada.account_data("test.hearth.settings"), lambda found: found == {"theme": "light"}
    )
    await refused(ada.sdk("setAccountDataRaw", "m.fully_read", {"event_id": "$1"}), "M_BAD_JSON")

    await ada.sdk("setRoomAccountData", room, "test.hearth.draft", {"body": "Dear Ben"})
    await js_of_ada.until(
        "the draft",
        lambda: js_of_ada.account_data("test.hearth.draft", room),
        lambda found: found == {"body": "Dear Ben"},
    )
    # Direct chats are account data as well, and matrix-nio asks for them by name.
    await ada.sdk("setAccountData", "m.direct", {"@ben:hearth.test": [room]})
    assert good(await nio_of_ada.client.list_direct_rooms()).rooms == {"@ben:hearth.test": [room]}


async def kept_by(actor: NioActor, kind: str) -> dict | None:
    return actor.account_data[kind].content if kind in actor.account_data else None


async def tag(ada, nio_of_ada, js_of_ada, room: str) -> None:
    async def tags_of_nio() -> dict:
        return nio_of_ada.client.rooms[room].tags

    await ada.sdk("setRoomTag", room, "m.favourite", {"order": 0.25})
    await ada.sdk("setRoomTag", room, "u.dusty")
    both = {"m.favourite": {"order": 0.25}, "u.dusty": {}}
    await js_of_ada.until("both tags", lambda: js_of_ada.tags(room), lambda tags: tags == both)
    await nio_of_ada.until("both tags", tags_of_nio, lambda tags: set(tags) == set(both))
    assert (await ada.sdk("getRoomTags", room))["tags"] == both
    await js_of_ada.sdk("deleteRoomTag", room, "m.favourite")
    for reader, tags in ((ada, lambda: ada.tags(room)), (nio_of_ada, tags_of_nio)):
        await reader.until("one tag", tags, lambda found: set(found) == {"u.dusty"})
