"""Push notifications: an SDK of today and a client of 2015 have them sent to a gateway, whoever talks."""

from ..gateway import Gateway
from ..js_actor import JsActor
from ..nio_actor import NioActor
from ..old_actor import StreamActor
from ..stage import Stage

APP = "test.pushers"


def wish(gateway: Gateway, pushkey: str) -> dict:
    return {
        "app_display_name": "Pushers",
        "app_id": APP,
        "append": False,
        "data": {"url": gateway.url, "colour": "red"},
        "device_display_name": "A phone",
        "kind": "http",
        "lang": "en",
        "profile_tag": "phone",
        "pushkey": pushkey,
    }


async def play(stage: Stage) -> None:
    ada, cat, ben = await stage.enter(JsActor("ada"), StreamActor("cat"), NioActor("ben"))
    async with Gateway() as gateway, Gateway() as old_gateway:
        await ada.sdk("setPusher", wish(gateway, "ada's phone"))
        await cat.client.set_pusher(wish(old_gateway, "cat's phone"))
        room = await be_invited(ada, ben, gateway)
        await cat.client.join(room)
        await be_told(ada, ben, room, gateway, old_gateway)
        await read_elsewhere(ada, ben, room, gateway)
        await be_rejected(ada, ben, room, gateway, old_gateway)


async def be_invited(ada, ben, gateway: Gateway) -> str:
    room = await ben.create_room(preset="public_chat", name="The street", invite=[ada.user_id])
    told = (await gateway.next())["notification"]
    assert told["type"] == "m.room.member" and told["user_is_target"] and told["prio"] == "high", told
    assert (told["room_id"], told["room_name"], told["sender"]) == (room, "The street", ben.user_id), told
    await ada.join(room)
    await ada.sees_itself(room, "join")
    return room


async def be_told(ada, ben, room: str, gateway: Gateway, old_gateway: Gateway) -> None:
    hello = await ben.say(room, "Hello, is anybody there?")
    told = (await gateway.next())["notification"]
    assert (told["event_id"], told["room_id"]) == (hello, room), told
    assert told["content"] == {"msgtype": "m.text", "body": "Hello, is anybody there?"}, told
    assert told["counts"] == {"unread": 1} and told["prio"] == "low", told
    (device,) = told["devices"]
    assert (device["app_id"], device["pushkey"], device["data"]) == (APP, "ada's phone", {"colour": "red"}), device
    old = await old_gateway.next()
    assert old["notification"]["id"] and old["notification"]["sender"] == ben.user_id, old
    assert old["counts"] == {"unread": 1} and old["devices"][0]["pushkey"] == "cat's phone", old


async def read_elsewhere(ada, ben, room: str, gateway: Gateway) -> None:
    """Whoever has read it at another client is not told of it any longer."""
    more = await ben.say(room, "Anybody?")
    assert (await gateway.next())["notification"]["counts"] == {"unread": 2}
    await ada.sees_message(room, more)
    await ada.read(room, more)
    told = (await gateway.next())["notification"]
    assert told["counts"] == {"unread": 0} and "event_id" not in told, told


async def be_rejected(ada, ben, room: str, gateway: Gateway, old_gateway: Gateway) -> None:
    assert [pusher["pushkey"] for pusher in (await ada.sdk("getPushers"))["pushers"]] == ["ada's phone"]
    gateway.rejected = ["ada's phone", "cat's phone"]
    await ben.say(room, "Nobody.")
    await gateway.next()

    async def pushers() -> list:
        return (await ada.sdk("getPushers"))["pushers"]

    await ada.until("no pusher left", pushers, lambda left: left == [])
    await ben.say(room, "Good bye.")
    while (await old_gateway.next())["notification"].get("content", {}).get("body") != "Good bye.":
        pass
    assert gateway.told.empty()
