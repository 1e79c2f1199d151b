"""A guest, who has no account: looks into a room that the world may read, comes in where guests may, and
is kept out of everything else."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..stage import Stage


async def play(stage: Stage) -> None:
    ben, gus = await stage.enter(NioActor("ben"), JsActor("gus", guest=True))
    assert (await gus.sdk("whoami"))["is_guest"] is True
    garden = await ben.create_room(
        preset="public_chat",
        name="The garden",
        initial_state=[
            state("m.room.history_visibility", history_visibility="world_readable"),
            state("m.room.guest_access", guest_access="can_join"),
        ],
    )
    house = await ben.create_room(
        preset="public_chat", name="The house", initial_state=[state("m.room.guest_access", guest_access="forbidden")]
    )
    await look(ben, gus, garden, house)
    await come_in(ben, gus, garden, house)
    await be_sent_out(ben, gus, garden)


def state(event_type: str, **content) -> dict:
    return {"type": event_type, "state_key": "", "content": content}


async def look(ben, gus, garden: str, house: str) -> None:
    hello = await ben.say(garden, "Look at the roses")
    await ben.say(house, "Shut the door")
    await gus.sdk("peekInRoom", garden)
    await gus.sees_message(garden, hello, body="Look at the roses")
    more = await ben.say(garden, "And at the lilies")
    await gus.sees_message(garden, more, body="And at the lilies")
    await gus.sdk("stopPeeking")
    await refused(gus.sdk("peekInRoom", house), "403")


async def come_in(ben, gus, garden: str, house: str) -> None:
    await refused(gus.join(house), "403")
    assert await gus.join(garden) == garden
    await gus.sees_itself(garden, "join")
    await ben.sees_member(garden, gus.user_id, membership="join")
    thanks = await gus.say(garden, "What a garden!")
    await ben.sees_message(garden, thanks, sender=gus.user_id)
    answer = await ben.say(garden, "Stay for tea")
    await gus.sees_message(garden, answer)
    await refused(gus.create_room(preset="private_chat"), "M_GUEST_ACCESS_FORBIDDEN")
    await refused(gus.invite(garden, "@somebody:hearth.test"), "M_GUEST_ACCESS_FORBIDDEN")
    await refused(gus.sdk("searchUserDirectory", {"term": "ben"}), "M_GUEST_ACCESS_FORBIDDEN")


async def be_sent_out(ben, gus, garden: str) -> None:
    """A room that does not admit guests any more keeps none of them."""
    await ben.set_state(garden, "m.room.guest_access", "", {"guest_access": "forbidden"})
    await gus.sees_itself(garden, "leave")
    await ben.sees_member(garden, gus.user_id, membership="leave")
    await refused(gus.join(garden), "403")
