"""Presence, profiles and the directory of users."""

import asyncio

from ..actor import refused
from ..js_actor import JsActor
from ..nio_actor import NioActor, good
from ..stage import Stage


async def play(stage: Stage) -> None:
    ada, ben = await stage.enter(JsActor("ada"), NioActor("ben"))
    room = await ada.create_room(preset="public_chat", name="The club")
    await ben.join(room)
    await ben.sees_itself(room, "join")
    await be_here_and_away(ada, ben)
    await change_profiles(ada, ben, room)
    await tell_more(ada, ben)
    await find(stage, ada, ben)


async def be_here_and_away(ada, ben) -> None:
    async def of_ada():
        found = ben.presence.get(ada.user_id)
        return found and {"presence": found.presence, "status_msg": found.status_msg}

    await ben.until("ada online", of_ada, lambda found: found and found["presence"] == "online")
    away = {"presence": "unavailable", "status_msg": "out for tea"}
    await asyncio.gather(ada.sdk("setSyncPresence", "unavailable"), ada.sdk("setPresence", away))
    await ben.until("ada away", of_ada, lambda found: found == away)
    asked = good(await ben.client.get_presence(ada.user_id))
    assert (asked.presence, asked.status_msg) == ("unavailable", "out for tea"), asked

    good(await ben.client.set_presence("unavailable", "asleep"))
    await ada.until(
        "ben asleep",
        lambda: ada.presence_of(ben.user_id),
        lambda found: found and (found["presence"], found["status_msg"]) == ("unavailable", "asleep"),
    )
    assert (await ada.sdk("getPresence", ben.user_id))["status_msg"] == "asleep"


async def change_profiles(ada, ben, room: str) -> None:
    for changing, other in ((ada, ben), (ben, ada)):
        await changing.rename("Somebody else")
        await other.sees_member(room, changing.user_id, name="Somebody else")
    picture = "mxc://hearth.test/picture"
    await ada.sdk("setAvatarUrl", picture)
    await ben.sees_state(room, "m.room.member", ada.user_id, avatar_url=picture, displayname="Somebody else")
    profile = good(await ben.client.get_profile(ada.user_id))
    assert (profile.displayname, profile.avatar_url) == ("Somebody else", picture), profile
    await refused(ada.sdk("getProfileInfo", "@nobody:hearth.test"), "M_NOT_FOUND")


async def tell_more(ada, ben) -> None:
    """The profile's other fields."""
    await ada.sdk("setExtendedProfileProperty", "m.tz", "Europe/London")
    await ada.sdk("setExtendedProfileProperty", "test.hearth.tea", {"milk": False})
    profile = await ada.sdk("getExtendedProfile", ada.user_id)
    assert profile["m.tz"] == "Europe/London" and profile["test.hearth.tea"] == {"milk": False}, profile
    await refused(ada.sdk("setExtendedProfileProperty", "m.tz", 7), "M_")
    await ada.sdk("deleteExtendedProfileProperty", "test.hearth.tea")
    seen = good(await ben.client.get_profile(ada.user_id))
    assert seen.other_info == {"m.tz": "Europe/London"}, seen


async def find(stage: Stage, ada, ben) -> None:
    """Who shares no room and no public room with one is not found."""
    (eve,) = await stage.enter(JsActor("eve"))
    await eve.rename("Quixotica")
    await ben.rename("Quixotic Ben")

    async def found_by(actor) -> list[str]:
        answer = await actor.sdk("searchUserDirectory", {"term": "quixotic"})
        return [user["user_id"] for user in answer["results"]]

    await ada.until("ben in the directory", lambda: found_by(ada), lambda found: found == [ben.user_id])
    room = await eve.create_room(preset="private_chat", invite=[ada.user_id])
    await ada.sees_itself(room, "invite")
    await ada.join(room)
    both = {ben.user_id, eve.user_id}
    await ada.until("eve in the directory too", lambda: found_by(ada), lambda found: set(found) == both)
