"""Reactions, edits and references, as they come and as the server adds them up."""

from ..actor import refused, together
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    room = await ada.create_room(preset="public_chat", name="The kitchen")
    await ben.join(room)
    await ben.sees_itself(room, "join")
    for author, reader in ((ada, ben), (ben, ada)):
        await react(author, reader, room)
        await edit(author, reader, room)
    (late,) = await stage.enter(JsActor("late"))
    await look_at_what_is_bundled(ada, ben, late, room)


async def react(author, reader, room: str) -> None:
    cake = await author.say(room, "There is cake")
    await together(actor.sees_message(room, cake) for actor in (author, reader))
    first = await reader.react(room, cake, "🍰")
    second = await author.react(room, cake, "🍰")
    for actor in (author, reader):
        await actor.sees_message(room, cake, reactions={"🍰": sorted([reader.user_id, author.user_id])})
    await refused(reader.react(room, cake, "🍰"), "M_DUPLICATE_ANNOTATION")
    third = await reader.react(room, cake, "🎂")
    for actor in (author, reader):
        # Page by page, in the order of the room turned round.
        assert await actor.relations(room, cake, "m.annotation") == [third, second, first]
    await reader.redact(room, first)
    for actor in (author, reader):
        await actor.sees_message(room, cake, reactions={"🍰": [author.user_id], "🎂": [reader.user_id]})
        assert await actor.relations(room, cake, "m.annotation") == [third, second]
    # What was taken back may be said again.
    await reader.react(room, cake, "🍰")


async def edit(author, reader, room: str) -> None:
    plan = await author.say(room, "Lunch at noon")
    await author.edit(room, plan, "Lunch at one")
    await author.edit(room, plan, "Lunch at two")
    await reader.edit(room, plan, "Lunch never")
    after = await reader.say(room, "What is for lunch?")
    for actor in (author, reader):
        await actor.sees_message(room, after)
        await actor.sees_message(room, plan, body="Lunch at two")


async def look_at_what_is_bundled(ada, ben, late, room: str) -> None:
    story = await ben.say(room, "Once upon a time")
    await ben.edit(room, story, "Once, long ago")
    await ada.edit(room, story, "Never")
    reference = {"msgtype": "m.text", "body": "See above", "m.relates_to": {"rel_type": "m.reference", "event_id": story}}
    referring = await ada.send(room, "m.room.message", reference)
    await late.join(room)
    await late.sees_itself(room, "join")
    seen = await late.original(room, story)
    # The event itself stays as it was sent; the newest edit of its author comes with it.
    assert seen["content"]["body"] == "Once upon a time", seen
    assert seen["bundled"]["m.replace"]["content"]["m.new_content"]["body"] == "Once, long ago", seen
    assert seen["bundled"]["m.reference"] == {"chunk": [{"event_id": referring}]}, seen
    assert "m.annotation" not in seen["bundled"], seen
    await late.sees_message(room, story, body="Once, long ago")
