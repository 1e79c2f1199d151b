"""What clients ask for beside a conversation: moments, contexts, common rooms, sessions, reports."""

from ..actor import PASSWORD, refused
from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage

LINES = 30


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    room = await ben.create_room(preset="public_chat", name="The archive")
    await ada.join(room)
    await ada.sees_itself(room, "join")
    lines = [await ben.say(room, f"line {number}") for number in range(LINES)]
    await ada.sees_message(room, lines[-1])
    await find_a_moment(ada, ben, room, lines)
    await find_each_other(ada, ben, room)
    await complain(ada, room, lines)
    await look_at_the_server(ada)
    await look_at_sessions(stage, ada, ben, room)
    await forget(ada, ben)


async def find_a_moment(ada, ben, room: str, lines: list[str]) -> None:
    first = await ada.sdk("fetchRoomEvent", room, lines[0])
    found = await ada.sdk("timestampToEvent", room, first["origin_server_ts"], "f")
    assert found["origin_server_ts"] == first["origin_server_ts"], found
    around = await ada.timeline_around(room, lines[3])
    assert lines[3] in around and around == sorted(around, key=lines.index), around
    context = good(await ben.client.room_context(room, lines[10], limit=4))
    before = [event.event_id for event in context.events_before]
    after = [event.event_id for event in context.events_after]
    assert (before, after) == (lines[8:10][::-1], lines[11:13]), (before, after)


async def find_each_other(ada, ben, room: str) -> None:
    assert await ada.sdk("_unstable_getSharedRooms", ben.user_id) == [room]
    assert good(await ben.client.joined_rooms()).rooms == [room]
    assert set((await ada.sdk("getJoinedRoomMembers", room))["joined"]) == {ada.user_id, ben.user_id}
    members = good(await ben.client.joined_members(room)).members
    assert {member.user_id for member in members} == {ada.user_id, ben.user_id}
    await ada.sdk("setAccountData", "m.direct", {ben.user_id: [room]})


async def complain(ada, room: str, lines: list[str]) -> None:
    await ada.sdk("reportEvent", room, lines[0], -100, "too many lines")
    await refused(ada.sdk("reportEvent", room, "$nothing", -100, "not even there"), "M_NOT_FOUND")


async def look_at_the_server(ada) -> None:
    capabilities = await ada.sdk("fetchCapabilities")
    assert capabilities["m.room_versions"]["default"] == "12", capabilities
    assert capabilities["m.change_password"]["enabled"] is True, capabilities
    assert "v1.19" in (await ada.sdk("getVersions"))["versions"]
    assert await ada.sdk("getThirdpartyProtocols") == {}
    assert await ada.sdk("isUsernameAvailable", "somebody.nobody.has.thought.of") is True
    token = await ada.sdk("getOpenIdToken")
    assert token["matrix_server_name"] == "hearth.test" and token["token_type"] == "Bearer", token


async def look_at_sessions(stage: Stage, ada, ben, room: str) -> None:
    """Named, listed, and ended from another one."""
    (second,) = await stage.enter(NioActor("second", of=ben))
    # matrix-nio reads the list only if every device has been seen since it logged in.
    await second.sees_itself(room, "join")
    devices = {device.id: device for device in good(await ben.client.devices()).devices}
    assert set(devices) == {ben.client.device_id, second.client.device_id}, devices
    good(await second.client.update_device(ben.client.device_id, {"display_name": "The old one"}))
    devices = {device.id: device for device in good(await ben.client.devices()).devices}
    assert devices[ben.client.device_id].display_name == "The old one", devices
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": ben.user_id}, "password": PASSWORD}
    asked = await ben.client.delete_devices([second.client.device_id])
    good(await ben.client.delete_devices([second.client.device_id], auth | {"session": asked.session}))
    await refused(whoami(second), "M_UNKNOWN_TOKEN")
    stage.people.remove(second)
    await second.end()
    assert (await ada.sdk("whoami"))["user_id"] == ada.user_id


async def whoami(actor: NioActor) -> None:
    good(await actor.client.whoami())


async def forget(ada, ben) -> None:
    """A room that is left and forgotten can not be read any more."""
    room = await ben.create_room(preset="private_chat", name="The bin", invite=[ada.user_id])
    await ada.sees_itself(room, "invite")
    await ada.join(room)
    secret = await ben.say(room, "Paper")
    await ada.sees_message(room, secret)
    await refused(forgotten_by(ben, room), "M_UNKNOWN")
    await ada.leave(room)
    await ada.sees_itself_out(room)
    assert (await ada.sdk("fetchRoomEvent", room, secret))["event_id"] == secret
    await ada.sdk("forget", room)
    await refused(ada.sdk("fetchRoomEvent", room, secret), "M_NOT_FOUND")
    await ada.sees_itself(room, "none")


async def forgotten_by(actor: NioActor, room: str) -> None:
    good(await actor.client.room_forget(room))
