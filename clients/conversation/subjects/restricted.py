"""Rooms for the members of a space, and those that strangers may also knock at."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    for host, guest in ((ada, ben), (ben, ada)):
        club = await host.create_room(preset="public_chat", name="Club", creation_content={"type": "m.space"})
        await for_members(host, guest, club)
        await for_members_and_who_knocks(host, guest, club)


def rule(join_rule: str, space: str) -> list[dict]:
    allow = [{"type": "m.room_membership", "room_id": space}]
    return [{"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": join_rule, "allow": allow}}]


async def for_members(host, guest, club: str) -> None:
    room = await host.create_room(preset="private_chat", name="Bar", initial_state=rule("restricted", club))
    await host.set_state(club, "m.space.child", room, {"via": ["hearth.test"]})
    await refused(guest.join(room), "M_FORBIDDEN")
    await guest.join(club)
    await guest.sees_itself(club, "join")
    # Whoever may come in is shown the door, and that it is one of this kind.
    listed = {found["room_id"]: found for found in await guest.hierarchy(club, 5)}
    assert listed[room]["join_rule"] == "restricted", listed
    await guest.join(room)
    await host.sees_member(room, guest.user_id, membership="join")
    await host.sees_state(
        room, "m.room.member", guest.user_id, membership="join", join_authorised_via_users_server=host.user_id
    )
    # Membership of the space opens the door; it does not hold one inside.
    await guest.leave(club)
    await host.sees_member(club, guest.user_id, membership="leave")
    hello = await guest.say(room, "Still here")
    await host.sees_message(room, hello)
    await guest.leave(room)
    await host.sees_member(room, guest.user_id, membership="leave")
    await guest.sees_itself_out(room)
    await refused(guest.join(room), "M_FORBIDDEN")


async def for_members_and_who_knocks(host, guest, club: str) -> None:
    room = await host.create_room(
        preset="private_chat", name="Terrace", initial_state=rule("knock_restricted", club)
    )
    await refused(guest.join(room), "M_FORBIDDEN")
    await guest.knock(room, "A thirst")
    await host.sees_member(room, guest.user_id, membership="knock")
    await guest.sees_itself_out(club)
    await guest.join(club)
    await guest.join(room)
    await host.sees_member(room, guest.user_id, membership="join")
