"""Who types, who has read what, and what is left to read."""

from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    room = await ada.create_room(preset="public_chat", name="The office")
    await ben.join(room)
    await ben.sees_itself(room, "join")
    await ada.sees_member(room, ben.user_id, membership="join")
    for worker, other in ((ada, ben), (ben, ada)):
        await type_and_forget(worker, other, room)
        await count(worker, other, room)
    await read_in_secret(ada, ben, room)
    await mark(stage, ada, ben, room)


async def type_and_forget(typist, other, room: str) -> None:
    """Typing ends by itself, without a word from who began it."""
    await typist.type(room, True, 700)
    await other.sees(room, "the typist", lambda seen: typist.user_id in seen["typing"])
    await other.sees(room, "nobody typing", lambda seen: not seen["typing"])


async def count(speaker, reader, room: str) -> None:
    hello = await speaker.say(room, "Hello")
    mention = {"msgtype": "m.text", "body": "You there", "m.mentions": {"user_ids": [reader.user_id]}}
    await speaker.send(room, "m.room.message", mention)
    quiet = await speaker.send(room, "m.room.message", {"msgtype": "m.notice", "body": "beep"})
    await reader.sees_message(room, quiet)
    await reader.sees(room, "two to read, one loud", lambda seen: (seen["unread"], seen["highlights"]) == (2, 1))
    await reader.read(room, hello)
    await reader.sees(room, "one loud", lambda seen: (seen["unread"], seen["highlights"]) == (1, 1))
    await speaker.sees(room, "the receipt", lambda seen: seen["receipts"].get(reader.user_id) == hello)
    answer = await reader.say(room, "Here I am")
    await reader.sees(room, "nothing to read", lambda seen: (seen["unread"], seen["highlights"]) == (0, 0))
    await read_for_all_to_see(speaker, reader, room, answer)


async def read_for_all_to_see(reader, other, room: str, event_id: str) -> None:
    await reader.sees_message(room, event_id)
    await reader.read(room, event_id)
    await other.sees(room, "the receipt", lambda seen: seen["receipts"].get(reader.user_id) == event_id)


async def read_in_secret(ada, ben, room: str) -> None:
    """A private receipt clears the counts, and nobody else learns of it."""
    for speaker, reader in ((ben, ada), (ada, ben)):
        before = (await speaker.observed(room))["receipts"].get(reader.user_id)
        secret = await speaker.say(room, "Psst")
        await reader.sees(room, "something to read", lambda seen: seen["unread"] == 1)
        if reader is ada:
            await ada.read_privately(room, secret)
        else:
            good(await ben.client.room_read_markers(room, secret, private_read_event=secret))
        await reader.sees(room, "nothing to read", lambda seen: seen["unread"] == 0)
        after = await reader.say(room, "What is it?")
        await speaker.sees_message(room, after)
        shown = (await speaker.observed(room))["receipts"].get(reader.user_id)
        assert shown == before, f"{speaker.name} sees that {reader.name} read {shown}, not {before}"
        await read_for_all_to_see(speaker, reader, room, after)


async def mark(stage: Stage, ada, ben, room: str) -> None:
    """The read marker follows its user to every client, and no further."""
    (second,) = await stage.enter(NioActor("second", of=ada))
    here = await ben.say(room, "The minutes")
    there = await ben.say(room, "The agenda")
    await ada.sees_message(room, there)
    await ada.sdk("setRoomReadMarkers", room, here)

    async def marker() -> str | None:
        return second.client.rooms[room].fully_read_marker if room in second.client.rooms else None

    await second.until("the marker", marker, lambda found: found == here)
    good(await second.client.room_read_markers(room, there))
    await ada.until(
        "the marker moved", lambda: ada.account_data("m.fully_read", room), lambda found: found == {"event_id": there}
    )
    assert ben.client.rooms[room].fully_read_marker not in (here, there), "ben sees another's marker"
