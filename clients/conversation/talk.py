"""The first conversation: four people, two SDKs, from registering to logging out."""

from .actor import Actor, refused, together
from .stage import Stage

HISTORY_MESSAGES = 60


async def talk(stage: Stage, alice: Actor, bob: Actor, carol: Actor, dave: Actor) -> None:
    everybody = await stage.enter(alice, bob, carol, dave)
    room = await come_together(alice, bob, carol, dave, stage.alias("hearth"))
    await speak(everybody, room)
    await change_what_was_said(alice, bob, carol, dave, room)
    await notice_each_other(alice, bob, carol, dave, room)
    await look_back(everybody, room)
    await part(alice, bob, carol, dave, room)
    await together(actor.log_in_again() for actor in everybody)


async def come_together(alice: Actor, bob: Actor, carol: Actor, dave: Actor, place: str) -> str:
    options = {"preset": "public_chat", "visibility": "public", "room_alias_name": place}
    room = await alice.create_room(
        name="The hearth", topic="Where people meet", invite=[bob.user_id], **options
    )
    await bob.sees_itself(room, "invite")
    await bob.join(room)
    assert await carol.join(f"#{place}:hearth.test") == room
    await carol.sees_itself(room, "join")
    await alice.invite(room, dave.user_id)
    await dave.sees_itself(room, "invite")
    await dave.join(room)
    everybody = [alice, bob, carol, dave]
    for actor in everybody:
        await actor.sees(room, "the room's name", lambda seen: seen.get("name") == "The hearth")
        await together(actor.sees_member(room, other.user_id, membership="join") for other in everybody)
    return room


async def speak(everybody: list[Actor], room: str) -> None:
    said = await together(actor.say(room, f"I am {actor.name}") for actor in everybody)
    for actor in everybody:
        await together(actor.sees_message(room, event_id) for event_id in said)
    orders = [[m["event_id"] for m in (await actor.observed(room))["messages"]] for actor in everybody]
    assert all(order == orders[0] for order in orders), f"the order of messages differs: {orders}"


async def change_what_was_said(alice: Actor, bob: Actor, carol: Actor, dave: Actor, room: str) -> None:
    everybody = [alice, bob, carol, dave]
    lunch, mistake = await alice.say(room, "Lunch at one?"), await dave.say(room, "oops")
    for actor in everybody:
        await actor.sees_message(room, lunch, body="Lunch at one?")
        await actor.sees_message(room, mistake)
    await alice.edit(room, lunch, "Lunch at two?")
    await together(actor.sees_message(room, lunch, body="Lunch at two?") for actor in everybody)
    await bob.react(room, lunch, "👍")
    await together(actor.sees_message(room, lunch, reactions={"👍": [bob.user_id]}) for actor in everybody)
    await carol.react(room, lunch, "🎉")
    both = {"👍": [bob.user_id], "🎉": [carol.user_id]}
    await together(actor.sees_message(room, lunch, reactions=both) for actor in everybody)
    await dave.redact(room, mistake)
    await together(actor.sees_message(room, mistake, redacted=True, body=None) for actor in everybody)
    await refused(bob.redact(room, lunch), "M_FORBIDDEN")


async def notice_each_other(alice: Actor, bob: Actor, carol: Actor, dave: Actor, room: str) -> None:
    everybody = [alice, bob, carol, dave]
    for typist, others in ((alice, [bob, carol, dave]), (carol, [alice, bob, dave])):
        await typist.type(room, True)
        user = typist.user_id
        await together(o.sees(room, f"{user} typing", lambda seen: user in seen["typing"]) for o in others)
        await typist.type(room, False)
        await together(o.sees(room, f"{user} pause", lambda seen: user not in seen["typing"]) for o in others)

    last = await alice.say(room, "Have you all read this?")
    await together(actor.sees_message(room, last) for actor in everybody)
    for reader in (bob, dave):
        await reader.sees(room, "something unread", lambda seen: seen["unread"] > 0)
        await reader.read(room, last)
        user = reader.user_id
        for actor in everybody:
            await actor.sees(room, f"the receipt of {user}", lambda seen: seen["receipts"].get(user) == last)
        await reader.sees(room, "nothing unread", lambda seen: seen["unread"] == 0)

    for actor, name in ((bob, "Bob the builder"), (dave, "Dave of the lake")):
        await actor.rename(name)
        await together(o.sees_member(room, actor.user_id, membership="join", name=name) for o in everybody)


async def look_back(everybody: list[Actor], room: str) -> None:
    for number in range(HISTORY_MESSAGES):
        speaker = everybody[number % len(everybody)]
        last = await speaker.say(room, f"line {number}")
    await together(actor.sees_message(room, last) for actor in everybody)
    histories = await together(actor.history(room) for actor in everybody)
    lines = [f"line {number}" for number in range(HISTORY_MESSAGES)]
    for actor, history in zip(everybody, histories, strict=True):
        found = [body for body in history if body.startswith("line ")]
        assert found == lines, f"{actor.name} finds {found}"
        assert "Lunch at one?" in history, f"{actor.name} does not find the beginning in {history}"


async def part(alice: Actor, bob: Actor, carol: Actor, dave: Actor, room: str) -> None:
    await dave.leave(room)
    await together(a.sees_member(room, dave.user_id, membership="leave") for a in (alice, bob, carol))

    await alice.kick(room, carol.user_id, "to test it")
    await carol.sees_itself(room, "leave")
    await together(a.sees_member(room, carol.user_id, membership="leave") for a in (alice, bob))
    await refused(carol.say(room, "am I still here?"), "M_FORBIDDEN")
    await carol.join(room)
    await together(a.sees_member(room, carol.user_id, membership="join") for a in (alice, bob))

    await refused(bob.ban(room, carol.user_id, "without the power to"), "M_FORBIDDEN")
    await alice.ban(room, bob.user_id, "to test it")
    await bob.sees_itself_out(room)
    await together(a.sees_member(room, bob.user_id, membership="ban") for a in (alice, carol))
    await refused(bob.join(room), "M_FORBIDDEN")
    await alice.unban(room, bob.user_id)
    await bob.join(room)
    back = await bob.say(room, "I am back")
    await together(a.sees_message(room, back) for a in (alice, bob, carol))
