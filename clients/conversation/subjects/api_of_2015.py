"""A client of v1, a client of v2_alpha and one of today talk in one room: the whole of the document
`client_server_api-2015.rst`, each side seeing what the other does."""

import asyncio

from ..actor import PASSWORD, refused, together
from ..js_actor import JsActor
from ..old_actor import StreamActor, SyncActor
from ..old_client import V1, V2, OldClient, OldError
from ..stage import Stage

LINES = 25


async def play(stage: Stage) -> None:
    ada, cat, ben = await stage.enter(StreamActor("ada"), SyncActor("cat"), JsActor("ben"))
    await identify(stage, ada)
    await open_pages(stage)
    room = await come_together(stage, ada, cat, ben)
    await speak(ada, cat, ben, room)
    await listen(ada, ben, room)
    await decorate(ada, cat, ben, room)
    await notice_each_other(ada, cat, ben, room)
    await take_back(ada, cat, ben, room)
    await be_somebody(ada, cat, ben, room)
    await be_in_two_places(stage, ada, room)
    await look_back(ada, ben, room)
    await look_around(ada, cat, ben, room)
    await list_rooms(stage, ada, ben, room)
    await find_words(ada, cat, room)
    await let_guests_in(stage, ada, room)
    await do_things_once(stage, ada, cat, ben)
    await part(ada, cat, ben, room)
    await change_password(stage, cat)


async def identify(stage: Stage, ada: StreamActor) -> None:
    """Another session of the same user; and who has no token, or a wrong one."""
    async with OldClient(stage.server.url) as other:
        await refused(other.login(ada.localpart, "wrong"), "403 M_FORBIDDEN")
        await other.login(ada.localpart, PASSWORD)
        assert other.user_id == ada.user_id and other.token != ada.client.token
        await other.initial_sync()
        spent = other.refresh_token
        await other.refresh()
        await other.initial_sync()
        fresh, other.refresh_token = other.refresh_token, spent
        await refused(other.refresh(), "403 M_FORBIDDEN")
        assert fresh != spent
        other.token = None
        await refused(other.initial_sync(), "401 M_MISSING_TOKEN")
        other.token = "nonsense"
        await refused(other.initial_sync(), "401 M_UNKNOWN_TOKEN")
        other.token = None
        await refused(other.register(ada.localpart, PASSWORD), "400 M_USER_IN_USE")


async def open_pages(stage: Stage) -> None:
    """What a client shows in a browser because it does not know how to do it."""
    async with OldClient(stage.server.url) as nobody:
        assert "onLogin" in await nobody.page("static/client/login/", prefix="/_matrix")
        assert "onLogin" in await nobody.page("login/fallback", prefix=V1)
        try:
            await nobody.ask("POST", V2, "register", body={"username": "nobody", "password": PASSWORD})
        except OldError as refusal:
            session = refusal.body["session"]
        page = await nobody.page("auth", "m.login.dummy", "fallback", "web", session=session)
        assert "<form" in page, page


async def come_together(stage: Stage, ada, cat, ben) -> str:
    place = stage.alias("pub")
    room = await ada.client.create_room(
        preset="public_chat",
        visibility="public",
        room_alias_name=place,
        name="The Grand Duke Pub",
        topic="All about happy hour",
        invite=[cat.user_id],
    )
    await ada.sees_itself(room, "join")
    create = await ada.client.state_of(room, "m.room.create")
    assert create["creator"] == ada.user_id, create
    await cat.sees_itself(room, "invite")
    await cat.sees_state(room, "m.room.name", name="The Grand Duke Pub")
    assert await cat.client.join_room(room) == room
    assert await ben.join(f"#{place}:hearth.test") == room
    everybody = (ada, cat, ben)
    for actor in everybody:
        await actor.sees(room, "the name", lambda seen: seen.get("name") == "The Grand Duke Pub")
        await together(actor.sees_member(room, other.user_id, membership="join") for other in everybody)
    # A room of today, found by its alias, and one to which a client of today invites.
    private = await ben.create_room(preset="private_chat", name="The snug", room_version="12", invite=[ada.user_id])
    await ada.sees_itself(private, "invite")
    # An invitation says what it is to, in the stream and in the snapshot.
    assert named(ada.invitations[private]) == "The snug", ada.invitations
    snapshot = await ada.client.initial_sync()
    (invited,) = (found for found in snapshot["rooms"] if found["membership"] == "invite")
    assert invited["room_id"] == private and "messages" not in invited, invited
    assert invited["invite"]["user_id"] == ben.user_id, invited
    assert named(invited["invite"]["invite_room_state"]) == "The snug", invited
    assert await ada.client.join(private) == private
    await ben.sees_member(private, ada.user_id, membership="join")
    hello = await ada.say(private, "Cosy")
    await ben.sees_message(private, hello, body="Cosy", sender=ada.user_id)
    return room


def named(state: list[dict]) -> str | None:
    """The name of the room of which this is some state."""
    return next((event["content"]["name"] for event in state if event["type"] == "m.room.name"), None)


async def speak(ada, cat, ben, room: str) -> None:
    everybody = (ada, cat, ben)
    said = [await actor.say(room, f"I am {actor.name}") for actor in everybody]
    for reader in everybody:
        for speaker, event_id in zip(everybody, said, strict=True):
            body = f"I am {speaker.name}"
            await reader.sees_message(room, event_id, sender=speaker.user_id, body=body)
    pint = {"msgtype": "m.text", "body": "A pint, please"}
    once = await ada.client.send(room, "m.room.message", pint, txn_id="pint")
    assert await ada.client.send(room, "m.room.message", pint, txn_id="pint") == once
    careless = [await ada.client.send_carelessly(room, "m.room.message", pint) for _ in range(2)]
    assert len({once, *careless}) == 3, "two requests without a transaction id are two events"
    await together(reader.sees_message(room, event) for reader in everybody for event in (once, *careless))
    orders = [[m["event_id"] for m in (await actor.observed(room))["messages"]] for actor in everybody]
    assert orders[0] == orders[1] == orders[2], f"the order of messages differs: {orders}"


async def listen(ada, ben, room: str) -> None:
    """The stream waits for what is to come, tells it again from where one asks, and ends in time."""
    start = (await ada.client.initial_sync(limit=1))["end"]
    waiting = asyncio.create_task(follow_until(ada, start, "Anybody listening?"))
    await ben.say(room, "Anybody listening?")
    end = await waiting
    assert await follow_until(ada, start, "Anybody listening?"), "a token may be used again"
    page = await ada.client.events(end, 1)
    assert page["start"] == end, page
    await refused(ada.client.events("nonsense", 1), "400 M_")


async def follow_until(ada, token: str, body: str) -> str:
    """Polls until a message comes; gives the token after it."""
    while True:
        page = await ada.client.events(token, 10_000)
        assert page["start"] == token, page
        token = page["end"]
        if body in [event["content"].get("body") for event in page["chunk"]]:
            return token


async def decorate(ada, cat, ben, room: str) -> None:
    """State, set by each and seen by all."""
    everybody = (ada, cat, ben)
    changes = (
        (ada.client.set_state, "Happy hour is over"),
        (ben.set_state, "It is always happy hour"),
    )
    await ada.client.set_state(room, "m.room.power_levels", "", await powers(ada, room, ben.user_id, 50))
    for change, topic in changes:
        await change(room, "m.room.topic", "", {"topic": topic})
        await together(actor.sees_state(room, "m.room.topic", topic=topic) for actor in everybody)
    snapshot = await ada.client.room_initial_sync(room, limit=1)
    (topic,) = snapshot["messages"]["chunk"]
    assert topic["prev_content"] == {"topic": "Happy hour is over"}, topic
    for state in (snapshot["state"], await ada.client.state(room)):
        (found,) = (event for event in state if event["type"] == "m.room.topic")
        assert found["event_id"] == topic["event_id"], found
        assert found["replaces_state"] == topic["replaces_state"], found
    await ada.client.set_state(room, "m.favorite.animal.event", ada.user_id, {"animal": "cat"})
    await ben.sees_state(room, "m.favorite.animal.event", ada.user_id, animal="cat")
    await refused(ada.client.state_of(room, "m.room.bgd.color"), "404 M_NOT_FOUND")


async def powers(ada, room: str, user: str, level: int) -> dict:
    levels = await ada.client.state_of(room, "m.room.power_levels")
    return levels | {"users": levels["users"] | {user: level}}


async def notice_each_other(ada, cat, ben, room: str) -> None:
    everybody = (ada, cat, ben)
    for typist, start, stop in (
        (ada, ada.client.type(room, True), ada.client.type(room, False)),
        (ben, ben.type(room, True), ben.type(room, False)),
    ):
        await start
        user = typist.user_id
        others = [actor for actor in everybody if actor is not typist]
        await together(o.sees(room, f"{user} typing", lambda seen: user in seen["typing"]) for o in others)
        await stop
        await together(o.sees(room, f"{user} pause", lambda seen: user not in seen["typing"]) for o in others)
    last = await ada.say(room, "Have you all read this?")
    await together(actor.sees_message(room, last) for actor in everybody)
    await cat.client.receipt(room, last)
    await ben.read(room, last)
    for reader in (cat, ben):
        for actor in everybody:
            user = reader.user_id
            await actor.sees(room, f"the receipt of {user}", lambda seen: seen["receipts"].get(user) == last)
    # Who begins anew finds the receipts by themselves, and in a room who is about.
    for snapshot in (await ada.client.initial_sync(limit=1), await ada.client.room_initial_sync(room)):
        (receipts,) = (event for event in snapshot["receipts"] if event["room_id"] == room)
        assert {cat.user_id, ben.user_id} <= set(receipts["content"][last]["m.read"]), receipts
        about = {event["content"]["user_id"] for event in snapshot["presence"]}
        assert {ada.user_id, cat.user_id, ben.user_id} <= about, about


async def take_back(ada, cat, ben, room: str) -> None:
    everybody = (ada, cat, ben)
    for author, redact in ((ada, ada.client.redact), (ben, lambda room, event, _: ben.redact(room, event))):
        slip = await author.say(room, "oops")
        await together(actor.sees_message(room, slip) for actor in everybody)
        await redact(room, slip, "a slip of the tongue")
        await together(actor.sees_message(room, slip, redacted=True, body=None) for actor in everybody)
        event = await ada.client.event(slip)
        assert event["content"] == {} and event["user_id"] == author.user_id, event
        because = event["redacted_because"]
        assert because["type"] == "m.room.redaction" and because["user_id"] == author.user_id, event
    twice = [await ada.client.put("slip", "rooms", room, "redact", slip, reason="again") for _ in range(2)]
    assert twice[0] == twice[1], twice
    mine = await ada.say(room, "mine")
    await refused(cat.client.redact(room, mine, "no power"), "403 M_FORBIDDEN")


async def presence_of(actor, user: str) -> dict | None:
    return actor.presence.get(user)


async def be_somebody(ada, cat, ben, room: str) -> None:
    """Profiles and presence, either way."""
    await ada.client.set_profile("displayname", "Ada of 2015")
    await ada.client.set_profile("avatar_url", "mxc://hearth.test/ada")
    await ben.sees_member(room, ada.user_id, name="Ada of 2015")
    # Presence, too, says how somebody is called now.
    await cat.until(
        "ada's new name and picture",
        lambda: presence_of(cat, ada.user_id),
        lambda found: found and (found.get("displayname"), found.get("avatar_url")) == ("Ada of 2015", "mxc://hearth.test/ada"),
    )
    await cat.sees_member(room, ada.user_id, name="Ada of 2015")
    await ben.rename("Ben of today")
    await ada.sees_member(room, ben.user_id, name="Ben of today")
    assert (await ada.client.profile(ben.user_id))["displayname"] == "Ben of today"
    assert await ada.client.profile(ada.user_id, "avatar_url") == {"avatar_url": "mxc://hearth.test/ada"}
    assert (await ben.sdk("getProfileInfo", ada.user_id))["displayname"] == "Ada of 2015"
    await refused(ada.client.profile("@nobody:hearth.test"), "404 M_NOT_FOUND")

    await ada.client.set_presence("unavailable", "at the bar")
    await ben.until(
        "ada's presence",
        lambda: ben.presence_of(ada.user_id),
        lambda found: found and (found["presence"], found["status_msg"]) == ("unavailable", "at the bar"),
    )
    await ben.sdk("setPresence", {"presence": "unavailable", "status_msg": "at the piano"})
    for reader in (ada, cat):
        await reader.until(
            "ben's presence",
            lambda reader=reader: presence_of(reader, ben.user_id),
            lambda found: found and found.get("status_msg") == "at the piano",
        )
    assert ada.presence[ben.user_id]["displayname"] == "Ben of today", ada.presence[ben.user_id]
    assert (await ada.client.presence(ben.user_id))["status_msg"] == "at the piano"
    await ada.client.change_presence_list([ben.user_id, cat.user_id], [])
    await ada.client.change_presence_list([], [cat.user_id])
    listed = await ada.client.presence_list()
    assert [event["content"]["user_id"] for event in listed] == [ben.user_id], listed


async def be_in_two_places(stage: Stage, ada, room: str) -> None:
    """One person, at a client of 2015 and at one of today."""
    (today,) = await stage.enter(JsActor("today", of=ada))
    await today.sees_itself(room, "join")
    there = await today.say(room, "From my telephone")
    here = await ada.say(room, "From my old computer")
    for actor in (ada, today):
        await actor.sees_message(room, there, sender=ada.user_id, body="From my telephone")
        await actor.sees_message(room, here, sender=ada.user_id, body="From my old computer")
    # A device that is logged in lets in another one, once.
    proof = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": ada.user_id}, "password": PASSWORD}
    handed = (await today.sdk("requestLoginToken", proof))["login_token"]
    for _ in range(2):
        async with OldClient(stage.server.url) as third:
            await third.login_by_token(ada.localpart, handed, "nonce")
            assert third.user_id == ada.user_id
    async with OldClient(stage.server.url) as thief:
        await refused(thief.login_by_token(ada.localpart, handed, "another nonce"), "403 M_FORBIDDEN")
    # What one client says of what is loud, the other one knows.
    await ada.client.set_push_rule("content", "tea", {"pattern": "tea", "actions": ["notify"]})

    async def words() -> list[str]:
        return [rule["rule_id"] for rule in (await today.sdk("getPushRules"))["global"]["content"]]

    assert "tea" in await words()
    assert "tea" in [rule["rule_id"] for rule in (await ada.client.push_rules())["global"]["content"]]
    await ada.client.enable_push_rule("content", "tea", False)
    (tea,) = (rule for rule in (await today.sdk("getPushRules"))["global"]["content"] if rule["rule_id"] == "tea")
    assert tea["enabled"] is False, tea
    await ada.client.delete_push_rule("content", "tea")
    assert "tea" not in await words()
    # What is for some devices only is no business of the others.
    loud = {"conditions": [{"kind": "event_match", "key": "content.body", "pattern": "beer"}], "actions": ["notify"]}
    await ada.client.set_push_rule_for("phone", "override", "beer", loud)
    (beer,) = (await ada.client.push_rules())["device"]["phone"]["override"]
    assert beer["rule_id"] == "beer" and beer["conditions"] == loud["conditions"], beer
    assert "device" not in await today.sdk("getPushRules")
    assert isinstance(await ada.client.turn_server(), dict)


async def look_back(ada, ben, room: str) -> None:
    """A room's history by pages from its end to its beginning, and forwards again."""
    for number in range(LINES):
        last = await (ada, ben)[number % 2].say(room, f"line {number}")
    await ada.sees_message(room, last)
    snapshot = await ada.client.room_initial_sync(room, limit=5)
    assert snapshot["room_id"] == room and snapshot["membership"] == "join", snapshot
    newest = snapshot["messages"]["chunk"]
    assert [e["content"]["body"] for e in newest] == [f"line {n}" for n in range(LINES - 5, LINES)], newest
    found, token = list(reversed(newest)), snapshot["messages"]["start"]
    while True:
        page = await ada.client.messages(room, token, "b", 7)
        assert page["start"] == token and len(page["chunk"]) <= 7, page
        if not page["chunk"]:
            break
        found += page["chunk"]
        token = page["end"]
    for event in found:
        ada.check(event)
    ids = [event["event_id"] for event in found]
    assert len(ids) == len(set(ids)), "an event comes twice"
    assert found[-1]["type"] == "m.room.create", found[-1]
    lines = [e["content"]["body"] for e in reversed(found) if e["content"].get("body", "").startswith("line ")]
    assert lines == [f"line {n}" for n in range(LINES)] == [b for b in await ben.history(room) if b.startswith("line ")]
    everything = await ada.client.messages(room, "START", "f", 4, to="END")
    assert [e["event_id"] for e in everything["chunk"]] == ids[::-1][:4], everything
    await refused(ada.client.messages(room, "nonsense", "b", 1), "400 M_BAD_PAGINATION")
    forwards = await ada.client.messages(room, token, "f", 4)
    assert [e["event_id"] for e in forwards["chunk"]] == ids[::-1][:4], forwards


async def look_around(ada, cat, ben, room: str) -> None:
    everybody = {ada.user_id, cat.user_id, ben.user_id}
    members = await ada.client.members(room)
    joined = {e["state_key"] for e in members if e["content"]["membership"] == "join"}
    assert joined == everybody, joined
    for event in [*members, *await ada.client.state(room)]:
        ada.check(event)
    snapshot = await ada.client.initial_sync(limit=3)
    rooms = {found["room_id"]: found for found in snapshot["rooms"]}
    assert rooms[room]["membership"] == "join" and rooms[room]["visibility"] == "public", rooms[room]
    assert len(rooms[room]["messages"]["chunk"]) == 3, rooms[room]["messages"]
    # A filter of v2_alpha is kept as it was, and only lets through what it names.
    wanted = {"room": {"timeline": {"limit": 2, "types": ["m.room.message"]}, "state": {"types": ["m.room.name"]}}}
    filter_id = await cat.client.make_filter(wanted)
    assert await cat.client.filter(filter_id) == wanted
    synced = await cat.client.sync(filter_id, None, 0)
    news = synced["room_map"][room]
    assert room in synced["rooms"]["default"]["joined"], synced["rooms"]
    assert len(news["timeline"]["events"]) == 2 and news["timeline"]["limited"], news["timeline"]
    kinds = {news["event_map"][event]["type"] for event in news["timeline"]["events"]}
    assert kinds == {"m.room.message"}, kinds
    states = {news["event_map"][event]["type"] for event in news["state"]["events"]}
    assert states == {"m.room.name"}, states


async def list_rooms(stage: Stage, ada, ben, room: str) -> None:
    alias = f"#{stage.alias('tavern')}:hearth.test"
    await ada.client.set_alias(alias, room)
    found = await ada.client.room_of(alias)
    assert found["room_id"] == room and "hearth.test" in found["servers"], found
    assert (await ben.sdk("getRoomIdForAlias", alias))["room_id"] == room
    await ada.client.delete_alias(alias)
    await refused(ada.client.room_of(alias), "404 M_NOT_FOUND")
    listed = {found["room_id"]: found for found in await ada.client.public_rooms()}
    assert listed[room]["name"] == "The Grand Duke Pub" and listed[room]["num_joined_members"] == 3, listed[room]
    assert listed[room]["aliases"] == [f"#{stage.alias('pub')}:hearth.test"], listed[room]


async def find_words(ada, cat, room: str) -> None:
    said = await cat.say(room, "Martians and men drink here")
    await ada.sees_message(room, said)
    found = await ada.client.search("martians", "content.body")
    assert list(found) == [said] and found[said]["result"]["content"]["body"].startswith("Martians"), found
    ada.check(found[said]["result"])
    assert not await ada.client.search("martians", "content.topic")
    bad = {"type": "seen", "target_event_id": said}
    await refused(ada.client.send(room, "m.room.message.feedback", bad), "400 M_BAD_JSON")
    await ada.client.send(room, "m.room.message.feedback", bad | {"type": "read"})


async def let_guests_in(stage: Stage, ada, room: str) -> None:
    """Who has no account reads what everybody may read, and speaks where guests may."""
    async with OldClient(stage.server.url) as guest:
        await guest.register_as_guest()
        await refused(guest.state(room), "403 M_FORBIDDEN")
        await ada.client.set_state(room, "m.room.history_visibility", "", {"history_visibility": "world_readable"})
        token = (await guest.room_initial_sync(room, limit=1))["messages"]["end"]
        said = await ada.say(room, "Strangers are welcome")
        heard = await guest.events(token, 10_000, room=room)
        assert said in [event.get("event_id") for event in heard["chunk"]], heard
        assert (await guest.state_of(room, "m.room.name"))["name"] == "The Grand Duke Pub"
        await refused(guest.join_room(room), "403 M_GUEST_ACCESS_FORBIDDEN")
        await ada.client.set_state(room, "m.room.guest_access", "", {"guest_access": "can_join"})
        assert await guest.join_room(room) == room
        await guest.set_profile("displayname", "A stranger")
        thanks = await guest.send(room, "m.room.message", {"msgtype": "m.text", "body": "Thanks"})
        await ada.sees_message(room, thanks, sender=guest.user_id)
        await ada.sees_member(room, guest.user_id, membership="join", name="A stranger")
        # Where guests are not wanted any more they are made to leave.
        await ada.client.set_state(room, "m.room.guest_access", "", {"guest_access": "forbidden"})
        await ada.sees_member(room, guest.user_id, membership="leave")
        await refused(guest.send(room, "m.room.message", {"msgtype": "m.text", "body": "Hello?"}), "403 M_FORBIDDEN")


async def do_things_once(stage: Stage, ada, cat, ben) -> None:
    """A request whose answer was lost is repeated, with its transaction id."""
    place = stage.alias("once")
    options = {"preset": "private_chat", "room_alias_name": place, "creation_content": {"m.federate": False}}
    options["initial_state"] = [{"type": "m.room.bgd.color", "state_key": "", "content": {"color": "red"}}]
    rooms = [await ada.client.put("t1", "createRoom", **options) for _ in range(2)]
    assert rooms[0] == rooms[1] and rooms[0]["room_alias"] == f"#{place}:hearth.test", rooms
    room = rooms[0]["room_id"]
    assert (await ada.client.state_of(room, "m.room.create"))["m.federate"] is False
    assert (await ada.client.state_of(room, "m.room.bgd.color"))["color"] == "red"
    await refused(ada.client.put("t2", "createRoom", **options), "400 M_ROOM_IN_USE")
    await ada.client.put("t3", "rooms", room, "invite", user_id=cat.user_id)
    await cat.sees_itself(room, "invite")
    assert await cat.client.put("t1", "join", f"#{place}:hearth.test") == {"room_id": room}
    await ada.client.put("t3", "rooms", room, "invite", user_id=cat.user_id)
    await refused(ada.client.put("t4", "rooms", room, "invite", user_id=cat.user_id), "403 M_FORBIDDEN")
    await ada.client.invite(room, ben.user_id)
    await ben.sees_itself(room, "invite")
    await ben.leave(room)
    for _ in range(2):
        await cat.client.put("t2", "rooms", room, "leave")
    await ada.sees_member(room, cat.user_id, membership="leave")
    for _ in range(2):
        await ada.client.put("t5", "rooms", room, "ban", user_id=cat.user_id, reason="noise")
    await ada.sees_member(room, cat.user_id, membership="ban")
    await ada.client.put("t1", "rooms", room, "leave")
    left = {found["room_id"]: found for found in (await ada.client.initial_sync(limit=1, archived=True))["rooms"]}
    assert left[room]["membership"] == "leave" and left[room]["state"], left[room]


async def part(ada, cat, ben, room: str) -> None:
    # To kick was to set somebody's membership.
    await ada.client.set_state(room, "m.room.member", cat.user_id, {"membership": "leave", "reason": "closing"})
    await cat.sees_itself(room, "leave")
    await ben.sees_member(room, cat.user_id, membership="leave")
    await refused(cat.say(room, "am I still here?"), "403 M_FORBIDDEN")
    await cat.client.join(room)
    await ada.sees_member(room, cat.user_id, membership="join")
    await refused(cat.client.ban(room, ben.user_id, "without the power to"), "403 M_FORBIDDEN")
    await ada.client.ban(room, cat.user_id, "singing")
    await ben.sees_member(room, cat.user_id, membership="ban")
    await cat.sees_itself_out(room)
    await refused(cat.client.join(room), "403 M_FORBIDDEN")
    await ada.client.leave(room)
    await ben.sees_member(room, ada.user_id, membership="leave")
    await ada.sees_itself(room, "leave")
    assert room not in [found["room_id"] for found in (await ada.client.initial_sync(limit=1))["rooms"]]
    # Who has left still reads what was said before.
    assert (await ada.client.state_of(room, "m.room.name"))["name"] == "The Grand Duke Pub"


async def change_password(stage: Stage, cat) -> None:
    assert await cat.client.addresses() == []
    await cat.client.change_password(PASSWORD, "the new secret")
    async with OldClient(stage.server.url) as again:
        await refused(again.login(cat.localpart, PASSWORD), "403 M_FORBIDDEN")
        await again.login(cat.localpart, "the new secret")
        assert again.user_id == cat.user_id
