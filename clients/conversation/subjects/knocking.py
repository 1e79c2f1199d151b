"""Knocking: heard by those inside, let in, sent away, thought better of."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    for host, guest in ((ada, ben), (ben, ada)):
        await let_in(host, guest)
        await send_away(host, guest)


async def closed_room(host, name: str) -> str:
    room = await host.create_room(preset="private_chat", name=name)
    if isinstance(host, NioActor):
        good(await host.client.room_enable_knocking(room))
    else:
        await host.set_state(room, "m.room.join_rules", "", {"join_rule": "knock"})
    await host.sees_state(room, "m.room.join_rules", join_rule="knock")
    return room


async def hears_knock(host, guest, room: str) -> None:
    await host.sees_member(room, guest.user_id, membership="knock")
    await host.sees_state(room, "m.room.member", guest.user_id, membership="knock", reason="It rains")


async def sees_own_knock(guest, room: str) -> None:
    # matrix-nio does not read the knocked rooms of /sync.
    if isinstance(guest, JsActor):
        await guest.sees_itself(room, "knock")
        await guest.sees_state(room, "m.room.name", name=await name_of(guest, room))


async def name_of(guest, room: str) -> str:
    return (await guest.observed(room))["name"]


async def let_in(host, guest) -> None:
    room = await closed_room(host, "The parlour")
    await refused(guest.join(room), "M_FORBIDDEN")
    await guest.knock(room, "It rains")
    await hears_knock(host, guest, room)
    await sees_own_knock(guest, room)
    await refused(guest.join(room), "M_FORBIDDEN")
    await host.invite(room, guest.user_id)
    await guest.sees_itself(room, "invite")
    await guest.join(room)
    await host.sees_member(room, guest.user_id, membership="join")
    thanks = await guest.say(room, "Thank you")
    await host.sees_message(room, thanks)


async def send_away(host, guest) -> None:
    room = await closed_room(host, "The study")
    await guest.knock(room, "It rains")
    await hears_knock(host, guest, room)
    await guest.leave(room)
    await host.sees_member(room, guest.user_id, membership="leave")
    await guest.sees_itself_out(room)

    await guest.knock(room, "It rains")
    await hears_knock(host, guest, room)
    await sees_own_knock(guest, room)
    await host.kick(room, guest.user_id, "I am reading")
    await host.sees_member(room, guest.user_id, membership="leave")
    await guest.sees_itself_out(room)
    await refused(guest.join(room), "M_FORBIDDEN")

    await host.ban(room, guest.user_id, "and stay away")
    await host.sees_member(room, guest.user_id, membership="ban")
    await refused(guest.knock(room, "It snows"), "M_FORBIDDEN")
