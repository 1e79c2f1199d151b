"""A client that does not want to know everybody: members come with what they say, or when asked for."""

from ..actor import together
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..stage import Stage

# Five are told for the room's name, and one of them speaks.
SILENT_PEOPLE = 5


async def play(stage: Stage) -> None:
    ben, *silent = await stage.enter(NioActor("ben"), *(NioActor(f"silent{n}") for n in range(SILENT_PEOPLE)))
    room = await ben.create_room(preset="public_chat")
    for actor in silent:
        await actor.join(room)
        await ben.sees_member(room, actor.user_id, membership="join")
    for number in range(25):
        last = await ben.say(room, f"line {number}")

    (ada,) = await stage.enter(JsActor("ada", lazyLoadMembers=True))
    await ada.join(room)
    await ada.sees_message(room, last)
    seen = await ada.observed(room)
    known = set(seen["members"]) - {ada.user_id}
    assert ben.user_id in known and len(known) < 1 + SILENT_PEOPLE, f"knows {known}"
    # A room without a name is called after some of its people, who are told for that alone.
    assert seen["name"] not in (None, "", "Empty room"), seen["name"]

    unheard = next(actor for actor in silent if actor.user_id not in known)
    word = await unheard.say(room, "I am here too")
    await ada.sees_message(room, word)
    await ada.sees_member(room, unheard.user_id, membership="join")

    everybody = {actor.user_id for actor in (ada, ben, *silent)}
    assert set(await ada.members_loaded(room)) == everybody
    await together(actor.leave(room) for actor in silent[1:])
    for actor in silent[1:]:
        await ada.sees_member(room, actor.user_id, membership="leave")
    await ben.rename("Benedict")
    await ada.sees_member(room, ben.user_id, name="Benedict")
