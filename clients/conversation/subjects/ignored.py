"""Ignored users: what they say does not arrive, nor do their invitations; and blocked invitations."""

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..stage import Stage

PERMISSION = "m.invite_permission_config"


async def play(stage: Stage) -> None:
    ada, ben, cat = await stage.enter(JsActor("ada"), NioActor("ben"), NioActor("cat"))
    room = await cat.create_room(preset="public_chat", name="The market")
    for actor in (ada, ben):
        await actor.join(room)
        await actor.sees_itself(room, "join")

    before = await ben.say(room, "Fresh fish!")
    await ada.sees_message(room, before)
    await ada.sdk("setIgnoredUsers", [ben.user_id])
    assert await ada.sdk("getIgnoredUsers") == [ben.user_id]
    noise = [await ben.say(room, "FRESH FISH!"), await ben.say(room, "FISH!!")]
    await ben.react(room, before, "🐟")
    quiet = await cat.say(room, "Finally some quiet")
    await cat.sees_message(room, noise[1])
    await ada.does_not_see(room, *noise, after=quiet)
    # State is sent all the same, for who is where must be known.
    await ben.rename("Ben the fishmonger")
    await ada.sees_member(room, ben.user_id, name="Ben the fishmonger")

    shop = await ben.create_room(preset="private_chat", name="The shop", invite=[ada.user_id])
    stall = await cat.create_room(preset="private_chat", name="The stall", invite=[ada.user_id])
    await ada.sees_itself(stall, "invite")
    await ada.sees_itself(shop, "none")

    (second,) = await stage.enter(JsActor("second", of=ada))
    await second.does_not_see(room, *noise, after=quiet)

    await ada.sdk("setIgnoredUsers", [])
    sorry = await ben.say(room, "Sorry for the noise")
    for actor in (ada, cat):
        await actor.sees_message(room, sorry)
    await ask_nobody_in(ada, ben, cat)


async def ask_nobody_in(ada, ben, cat) -> None:
    """Invitations may be blocked altogether."""
    await ada.sdk("setAccountData", PERMISSION, {"default_action": "block"})
    yard = await ben.create_room(preset="private_chat", name="The yard")
    await refused(ben.invite(yard, ada.user_id), "M_INVITE_BLOCKED")
    await ada.sdk("setAccountData", PERMISSION, {})
    await ben.invite(yard, ada.user_id)
    await ada.sees_itself(yard, "invite")
    await ada.leave(yard)
    await ben.sees_member(yard, ada.user_id, membership="leave")
