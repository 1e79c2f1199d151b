"""Power: given, used, exceeded and taken away; kicks, bans and invitations with their reasons."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben, eve = await stage.enter(JsActor("ada"), NioActor("ben"), JsActor("eve"))
    await rise_and_fall(ada, ben, eve, version="12")
    await rise_and_fall(ada, ben, eve, version="10")
    await rise_and_fall(ben, ada, eve, version="11")
    await turn_down(ada, ben)
    await turn_down(ben, ada)


async def set_power(host, room: str, user: str, level: int) -> None:
    if isinstance(host, JsActor):
        await host.sdk("setPowerLevel", room, user, level)
    else:
        levels = await host.sees_state(room, "m.room.power_levels")
        users = {**levels["users"], user: level}
        await host.set_state(room, "m.room.power_levels", "", {**levels, "users": users})


async def rise_and_fall(host, deputy, guest, version: str) -> None:
    levels = {"events": {"m.room.power_levels": 50}}
    room = await host.create_room(
        preset="public_chat",
        name=f"The court {version}",
        room_version=version,
        power_level_content_override=levels,
    )
    for actor in (deputy, guest):
        await actor.join(room)
        await actor.sees_itself(room, "join")
    for actor in (host, deputy):
        await actor.sees_member(room, guest.user_id, membership="join")

    await refused(deputy.kick(room, guest.user_id, "no power yet"), "M_FORBIDDEN")
    await refused(deputy.set_state(room, "m.room.topic", "", {"topic": "Mine"}), "M_FORBIDDEN")
    await set_power(host, room, deputy.user_id, 50)
    levels = await deputy.sees_state(room, "m.room.power_levels")
    await deputy.until(
        "its power",
        lambda: deputy.state_of(room, "m.room.power_levels"),
        lambda levels: levels["users"].get(deputy.user_id) == 50,
    )
    assert (host.user_id in levels["users"]) == (version != "12"), f"{version}: {levels}"
    if isinstance(deputy, NioActor):
        assert deputy.client.rooms[room].power_levels.can_user_kick(deputy.user_id)
    await deputy.set_state(room, "m.room.topic", "", {"topic": "Order!"})
    await guest.sees_state(room, "m.room.topic", topic="Order!")

    await deputy.kick(room, guest.user_id, "shouting")
    await guest.sees_itself(room, "leave")
    await host.sees_state(room, "m.room.member", guest.user_id, membership="leave", reason="shouting")
    await guest.join(room)
    await deputy.ban(room, guest.user_id, "shouting again")
    await host.sees_state(room, "m.room.member", guest.user_id, membership="ban", reason="shouting again")
    await guest.sees_itself_out(room)
    await refused(guest.join(room), "M_FORBIDDEN")
    await refused(deputy.invite(room, guest.user_id), "M_FORBIDDEN")
    await deputy.unban(room, guest.user_id)
    await host.sees_member(room, guest.user_id, membership="leave")
    await refused(deputy.kick(room, host.user_id, "above oneself"), "M_FORBIDDEN")
    await refused(set_power(deputy, room, deputy.user_id, 90), "M_FORBIDDEN")

    await set_power(deputy, room, deputy.user_id, 0)
    await refused(deputy.set_state(room, "m.room.topic", "", {"topic": "Again"}), "M_FORBIDDEN")


async def turn_down(host, guest) -> None:
    """An invitation is turned down, and one is taken back."""
    room = await host.create_room(preset="private_chat", name="The dungeon", invite=[guest.user_id])
    await guest.sees_itself(room, "invite")
    await host.sees_member(room, guest.user_id, membership="invite")
    await guest.leave(room)
    await host.sees_member(room, guest.user_id, membership="leave")
    await guest.sees_itself(room, "leave")
    await refused(guest.join(room), "M_FORBIDDEN")
    await host.invite(room, guest.user_id)
    await guest.sees_itself(room, "invite")
    await host.kick(room, guest.user_id, "changed my mind")
    await guest.sees_itself(room, "leave")
    await refused(guest.join(room), "M_FORBIDDEN")
