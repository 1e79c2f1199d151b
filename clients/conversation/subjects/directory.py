"""Aliases, the list of public rooms, and looking into a room from outside."""

import nio

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage

ROOMS = 5


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    await name_rooms(stage, ada, ben)
    await list_rooms(ada, ben)
    await look_in(ada, ben)


async def name_rooms(stage: Stage, ada, ben) -> None:
    room = await ada.create_room(preset="public_chat", name="The tower")
    first, second = (f"#{stage.alias(name)}:hearth.test" for name in ("tower", "turret"))
    await ada.sdk("createAlias", first, room)
    found = good(await ben.client.room_resolve_alias(first))
    assert found.room_id == room and "hearth.test" in found.servers, found
    assert await ben.join(first) == room
    await ben.sees_itself(room, "join")
    good(await ben.client.room_put_alias(second, room))
    assert set((await ada.sdk("getLocalAliases", room))["aliases"]) == {first, second}
    await refused(ada.sdk("createAlias", second, room), "409")
    await ada.set_state(room, "m.room.canonical_alias", "", {"alias": first, "alt_aliases": [second]})
    await ben.sees_state(room, "m.room.canonical_alias", alias=first)
    assert ben.client.rooms[room].canonical_alias == first
    wrong = {"alias": f"#{stage.alias('nowhere')}:hearth.test"}
    await refused(ada.set_state(room, "m.room.canonical_alias", "", wrong), "M_BAD_ALIAS")

    # Nobody deletes another's alias. (matrix-nio takes the refusal for an empty answer.)
    await ben.client.room_delete_alias(first)
    await ben.client.room_delete_alias(second)
    assert (await ada.sdk("getRoomIdForAlias", first))["room_id"] == room
    await refused(ada.sdk("getRoomIdForAlias", second), "M_NOT_FOUND")


async def list_rooms(ada, ben) -> None:
    """Found by a word, page by page, and by kind."""
    word = "Samovar"
    rooms = [
        await ada.create_room(preset="public_chat", visibility="public", name=f"{word} {number}")
        for number in range(ROOMS)
    ]
    space = await ada.create_room(
        preset="public_chat", visibility="public", name=f"{word} space", creation_content={"type": "m.space"}
    )
    hidden = await ada.create_room(preset="public_chat", name=f"{word} in the cellar")
    await ben.join(rooms[2])

    pages, since = [], None
    while True:
        page = good(await ben.client.list_public_rooms(2, since=since, filter_generic_search_term=word.lower()))
        assert len(page.public_rooms) <= 2, page
        pages += [room.room_id for room in page.public_rooms]
        since = page.next_batch
        if not since:
            break
    assert pages[0] == rooms[2] and sorted(pages) == sorted([*rooms, space]), "not every room once, the largest first"
    kinds = {"generic_search_term": word, "room_types": ["m.space"]}
    spaces = await ada.sdk("publicRooms", {"filter": kinds})
    assert [room["room_id"] for room in spaces["chunk"]] == [space], spaces

    assert good(await ben.client.room_get_visibility(hidden)).visibility == "private"
    await ada.sdk("setRoomDirectoryVisibility", hidden, "public")
    assert good(await ben.client.room_get_visibility(hidden)).visibility == "public"
    await refused(ben_lists(ben, rooms[0]), "M_FORBIDDEN")


async def ben_lists(ben, room: str) -> None:
    """What matrix-nio has no method for."""
    path = nio.Api._build_path(["directory", "list", "room", room])
    answer = await ben.client.send(
        "PUT", path, '{"visibility": "private"}', {"Authorization": f"Bearer {ben.client.access_token}"}
    )
    if answer.status != 200:
        raise RuntimeError(await answer.text())


async def look_in(ada, ben) -> None:
    """What is readable for the world is read without joining, and what is not is not."""
    glass = [{"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "world_readable"}}]
    window = await ben.create_room(preset="public_chat", name="The window", initial_state=glass)
    wall = await ben.create_room(preset="public_chat", name="The wall")
    shown, secret = await ben.say(window, "Look at me"), await ben.say(wall, "Do not look")
    await ada.sdk("peekInRoom", window)
    await ada.sees_message(window, shown, body="Look at me")
    more = await ben.say(window, "And at me")
    await ada.sees_message(window, more, body="And at me")
    await ada.sdk("stopPeeking")
    await refused(ada.sdk("peekInRoom", wall), "M_FORBIDDEN")
    await refused(ada.sdk("createMessagesRequest", wall, None, 5, "b"), "M_FORBIDDEN")
    await refused(ada.sdk("fetchRoomEvent", wall, secret), "M_NOT_FOUND")
    summary = await ada.sdk("getRoomSummary", wall)
    assert (summary["name"], summary["num_joined_members"], summary["join_rule"]) == ("The wall", 1, "public"), summary
