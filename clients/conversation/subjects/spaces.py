"""Spaces: rooms in them, rooms that say where they belong, and the walk through them by page."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..stage import Stage

SPACE = {"creation_content": {"type": "m.space"}}
VIA = ["hearth.test"]


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    for host, guest in ((ada, ben), (ben, ada)):
        await build_and_walk(host, guest)


async def build_and_walk(host, guest) -> None:
    house = await host.create_room(preset="public_chat", name="House", **SPACE)
    floor = await host.create_room(preset="public_chat", name="Upper floor", **SPACE)
    kitchen = await host.create_room(preset="public_chat", name="Kitchen")
    study = await host.create_room(preset="public_chat", name="Study")
    vault = await host.create_room(preset="private_chat", name="Vault")
    children = ((house, floor, "b"), (house, kitchen, "a"), (floor, study, "a"), (house, vault, "c"))
    for parent, child, order in children:
        await put_into(host, parent, child, order)

    await guest.join(house)
    await guest.sees_itself(house, "join")
    await guest.sees_state(house, "m.space.child", kitchen, via=VIA, order="a")
    await host.sees_state(study, "m.space.parent", floor, via=VIA, canonical=True)
    await host.sees_state(house, "m.space.child", vault, via=VIA)
    # In the order that the space gives them, two at a time; what is closed to the guest is not there.
    assert await walk(guest, house) == [house, kitchen, floor, study]
    assert await walk(guest, house, max_depth=1) == [house, kitchen, floor]
    assert await walk(host, house) == [house, kitchen, floor, study, vault]
    rooms = {room["room_id"]: room for room in await guest.hierarchy(house, 2)}
    assert rooms[floor]["room_type"] == "m.space" and rooms[floor]["name"] == "Upper floor", rooms[floor]
    assert [child["state_key"] for child in rooms[floor]["children_state"]] == [study], rooms[floor]
    assert rooms[kitchen]["num_joined_members"] == 1 and rooms[kitchen]["join_rule"] == "public", rooms[kitchen]

    await refused(put_into(guest, house, kitchen, "a"), "M_FORBIDDEN")
    # A child without via is none any more.
    await host.set_state(house, "m.space.child", floor, {})
    await guest.sees_state(house, "m.space.child", floor, via=None)
    assert await walk(guest, house) == [house, kitchen]


async def put_into(host, space: str, room: str, order: str) -> None:
    await host.set_state(space, "m.space.child", room, {"via": VIA, "order": order})
    await host.set_state(room, "m.space.parent", space, {"via": VIA, "canonical": True})


async def walk(actor, space: str, max_depth: int | None = None) -> list[str]:
    return [room["room_id"] for room in await actor.hierarchy(space, 2, max_depth)]
