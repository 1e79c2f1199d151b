"""Threads: sent, listed, counted and read by both SDKs."""

from nio.api import ReceiptType

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben = JsActor("ada", threadSupport=True), NioActor("ben")
    cat = JsActor("cat", threadSupport=True)
    await stage.enter(ada, ben, cat)
    room = await ada.create_room(preset="private_chat", name="The garden", invite=[ben.user_id, cat.user_id])
    for guest in (ben, cat):
        await guest.sees_itself(room, "invite")
        await guest.join(room)
        await guest.sees_itself(room, "join")
        await ada.sees_member(room, guest.user_id, membership="join")

    fence, roses = await write(ada, ben, cat, room)
    await list_them(ada, ben, cat, room, fence, roses)
    await read_them(ben, cat, room, fence, roses)
    await come_late(stage, ada, room, fence)


async def write(ada, ben, cat, room: str) -> tuple[str, str]:
    """Two threads; gives their roots."""
    fence = await ben.say(room, "Shall we paint the fence?")
    await ada.sees_message(room, fence)
    green = await ada.reply_in_thread(room, fence, "Green!")
    white = await ben.reply_in_thread(room, fence, "White.")
    roses = await ada.say(room, "The roses are out")
    red = await ben.reply_in_thread(room, roses, "All red")
    last = await ben.say(room, "Back in the room")

    for reader in (ada, cat):
        # The SDK moves the replies out of the room: the timeline has the roots alone.
        await reader.does_not_see(room, green, white, red, after=last)
        thread = await reader.until(
            "both replies of the fence",
            lambda reader=reader: reader.thread(room, fence),
            lambda thread: thread and thread["replies"] == [green, white] and thread["length"] == 2,
        )
        assert thread["latest"] == white, thread
    for actor, participated in ((ada, True), (cat, False)):
        bundled = (await actor.original(room, fence))["bundled"]["m.thread"]
        assert bundled["current_user_participated"] is participated, f"{actor.name}: {bundled}"
    await ben.sees_message(room, red, body="All red")

    reply = {"rel_type": "m.thread", "event_id": green}
    nested = {"msgtype": "m.text", "body": "a thread in a thread", "m.relates_to": reply}
    await refused(ben.send(room, "m.room.message", nested), "M_UNKNOWN")
    return fence, roses


async def list_them(ada, ben, cat, room: str, fence: str, roses: str) -> None:
    for reader in (ada, ben, cat):
        assert await reader.threads(room, "all") == [roses, fence], f"{reader.name}: {await reader.threads(room)}"
    assert await cat.threads(room, "participated") == []
    assert await ada.threads(room, "participated") == [roses, fence]
    assert await ben.threads(room, "participated") == [roses, fence]
    newest_first = [event for event in reversed((await ada.thread(room, fence))["replies"])]
    for reader in (ada, ben):
        assert await reader.relations(room, fence, "m.thread") == newest_first
    # An older thread that is answered comes first again.
    await cat.reply_in_thread(room, fence, "Let it be grey")
    assert await ben.threads(room) == [fence, roses]
    assert await cat.threads(room, "participated") == [fence]


async def read_them(ben, cat, room: str, fence: str, roses: str) -> None:
    """What is read in one thread stays unread in the others."""
    question = await ben.reply_in_thread(room, roses, "Do you like them, cat?")
    main = await ben.say(room, "Tea is ready")
    await cat.sees_message(room, main)

    async def counts() -> dict:
        seen = await cat.observed(room)
        return {"room": seen["unread"]} | seen["thread_unread"]

    # What one writes oneself is read up to there: the fence has nothing new for the cat.
    before = await cat.until("what is new", counts, lambda now: now["room"] and now[roses] == 2 and not now[fence])
    await cat.read(room, question)
    await cat.until("the roses read", counts, lambda now: now == before | {roses: 0})
    await ben.until(
        "the cat's receipt in the thread",
        lambda: receipt_in(ben, room, cat.user_id, roses),
        lambda receipt: receipt == question,
    )
    again = await ben.reply_in_thread(room, roses, "And the smell!")
    await cat.until("the roses unread", counts, lambda now: now[roses] == 1)
    await cat.read(room, main)
    await cat.until("the room read", counts, lambda now: now == {"room": 0, roses: 1, fence: 0})
    await cat.read_unthreaded(room, again)
    await cat.until("everything read", counts, lambda now: not any(now.values()))

    smell = await cat.reply_in_thread(room, roses, "Like honey")
    await ben.sees(room, "an unread reply", lambda seen: seen["thread_unread"].get(roses) == 1)
    good(await ben.client.update_receipt_marker(room, smell, ReceiptType.read, roses))
    await ben.sees(room, "no unread reply", lambda seen: not seen["thread_unread"].get(roses))
    await cat.until(
        "ben's receipt in the thread",
        lambda: cat.thread(room, roses),
        lambda thread: thread["receipts"].get(ben.user_id) == smell,
    )


async def receipt_in(reader: NioActor, room: str, user: str, root: str) -> str | None:
    receipts = reader.client.rooms[room].threaded_read_receipts.get(user, {})
    return receipts[root].event_id if root in receipts else None


async def come_late(stage: Stage, ada, room: str, fence: str) -> None:
    """Who was not there learns of a thread from what is bundled with its root."""
    (dan,) = await stage.enter(JsActor("dan", threadSupport=True))
    await ada.invite(room, dan.user_id)
    await dan.sees_itself(room, "invite")
    await dan.join(room)
    await dan.sees_itself(room, "join")
    bundled = (await dan.original(room, fence))["bundled"]["m.thread"]
    assert bundled["count"] == 3, bundled
    assert bundled["latest_event"]["content"]["body"] == "Let it be grey", bundled
    assert bundled["current_user_participated"] is False, bundled
    assert fence in await dan.threads(room)
