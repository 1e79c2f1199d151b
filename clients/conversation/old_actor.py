"""Users at clients of 2015: one follows the event stream of v1, one the /sync of v2_alpha."""

import asyncio

from .actor import PASSWORD, Actor
from .old_client import OldClient

POLL_MS = 20_000
SYNC_FILTER = {
    "room": {"timeline": {"limit": 20}, "ephemeral": {"types": ["m.receipt", "m.typing"]}},
    "presence": {"types": ["m.presence"]},
    "event_format": "client",
}


class OldActor(Actor):
    """See Actor. What both have: what they make of events."""

    kind: str
    sender_key: str

    def __init__(self, name: str):
        self.name = f"{name} ({self.kind})"
        self.localpart = name
        self.of = None
        self.client: OldClient
        self.rooms: dict[str, dict] = {}
        self.presence: dict[str, dict] = {}
        self.invitations: dict[str, list] = {}
        self.seen: set[str] = set()
        self.following = None

    async def enter(self, server) -> None:
        self.client = OldClient(server.url)
        await self.register()
        self.user_id = self.client.user_id
        self.following = asyncio.create_task(self.follow())

    async def register(self) -> None:
        raise NotImplementedError

    async def follow(self) -> None:
        raise NotImplementedError

    async def log_out(self) -> None:
        """There was no logging out in 2015: one throws the token away."""
        if self.following.done():
            self.following.result()
        await self.end()

    async def end(self) -> None:
        if self.following:
            self.following.cancel()
            await asyncio.wait([self.following])
        await self.client.close()

    async def say(self, room: str, body: str) -> str:
        return await self.client.send(room, "m.room.message", {"msgtype": "m.text", "body": body})

    async def state_of(self, room: str, event_type: str, state_key: str = "") -> dict | None:
        return self.kept(room)["state"].get((event_type, state_key))

    async def observed(self, room: str) -> dict:
        if self.following.done():
            self.following.result()
        kept = self.kept(room)
        members = {
            user: {"membership": content["membership"], "name": content.get("displayname")}
            for (kind, user), content in kept["state"].items()
            if kind == "m.room.member"
        }
        return {
            "membership": kept["membership"],
            "name": kept["state"].get(("m.room.name", ""), {}).get("name"),
            "members": members,
            "typing": kept["typing"],
            "receipts": kept["receipts"],
            "messages": list(kept["messages"].values()),
        }

    def kept(self, room: str) -> dict:
        empty = {"membership": "none", "state": {}, "messages": {}, "typing": [], "receipts": {}}
        return self.rooms.setdefault(room, empty)

    def take_state(self, room: str, event: dict) -> None:
        self.check(event)
        kept, content = self.kept(room), event["content"]
        kept["state"][event["type"], event["state_key"]] = content
        if event["type"] == "m.room.member" and event["state_key"] == self.user_id:
            kept["membership"] = content["membership"]
            self.invitations[room] = event.get("invite_room_state", [])

    def take(self, room: str, event: dict) -> None:
        """An event of the timeline. A client that asks in two ways gets some twice, and looks at the ids."""
        if event["event_id"] in self.seen:
            return
        self.seen.add(event["event_id"])
        if "state_key" in event:
            return self.take_state(room, event)
        self.check(event)
        messages = self.kept(room)["messages"]
        if event["type"] == "m.room.redaction" and event["redacts"] in messages:
            messages[event["redacts"]] |= {"redacted": True, "body": None}
        elif event["type"] == "m.room.message":
            messages[event["event_id"]] = {
                "event_id": event["event_id"],
                "sender": event[self.sender_key],
                "body": event["content"].get("body"),
                "redacted": not event["content"],
            }

    def take_ephemeral(self, room: str, event: dict) -> None:
        assert "event_id" not in event, event
        if event["type"] == "m.typing":
            self.kept(room)["typing"] = event["content"]["user_ids"]
        elif event["type"] == "m.receipt":
            for event_id, kinds in event["content"].items():
                for user, receipt in kinds.get("m.read", {}).items():
                    assert isinstance(receipt["ts"], int), event
                    self.kept(room)["receipts"][user] = event_id

    def check(self, event: dict) -> None:
        """The form of an event of a room."""
        raise NotImplementedError


class StreamActor(OldActor):
    """Registers by v1, begins with /initialSync and polls /events."""

    kind, sender_key = "v1 of 2015", "user_id"

    async def register(self) -> None:
        await self.client.register(self.localpart, PASSWORD)

    async def follow(self) -> None:
        snapshot = await self.client.initial_sync(limit=20)
        for event in snapshot["presence"]:
            self.take_presence(event)
        for room in snapshot["rooms"]:
            self.take_room(room)
        token = snapshot["end"]
        while True:
            page = await self.client.events(token, POLL_MS)
            assert page["start"] == token, f"{page['start']} is not where the stream was asked from: {token}"
            for event in page["chunk"]:
                self.take_any(event)
            token = page["end"]

    def take_room(self, room: dict) -> None:
        for event in room.get("state", []):
            self.take_state(room["room_id"], event)
        for event in room.get("messages", {}).get("chunk", []):
            self.take(room["room_id"], event)
        self.kept(room["room_id"])["membership"] = room["membership"]

    def take_any(self, event: dict) -> None:
        if event["type"] == "m.presence":
            self.take_presence(event)
        elif event["type"] in ("m.typing", "m.receipt"):
            self.take_ephemeral(event["room_id"], event)
        else:
            self.take(event["room_id"], event)

    def take_presence(self, event: dict) -> None:
        assert set(event) == {"type", "content"}, event
        self.presence[event["content"]["user_id"]] = event["content"]

    def check(self, event: dict) -> None:
        there = {"event_id", "room_id", "user_id", "type", "content", "origin_server_ts", "age"}
        assert there <= set(event), f"{there - set(event)} missing in {event}"
        later = {"sender", "unsigned", "hashes", "signatures", "auth_events", "prev_events", "depth"}
        assert not later & set(event), f"{later & set(event)} in {event}"
        assert isinstance(event["age"], int), event


class SyncActor(OldActor):
    """Registers by v2_alpha and follows its /sync, with a filter."""

    kind, sender_key = "v2_alpha of 2015", "sender"

    async def register(self) -> None:
        await self.client.register_v2(self.localpart, PASSWORD)

    async def follow(self) -> None:
        filter_id = await self.client.make_filter(SYNC_FILTER)
        since = None
        while True:
            answer = await self.client.sync(filter_id, since, POLL_MS)
            for groups in answer["rooms"].values():
                for group, membership in (("invited", "invite"), ("joined", "join"), ("archived", "leave")):
                    for room in groups[group]:
                        self.take_room(room, membership, answer["room_map"][room])
            for event in answer["presence"]["events"]:
                self.presence[event["sender"]] = event["content"]
            since = answer["next_batch"]

    def take_room(self, room: str, membership: str, news: dict) -> None:
        self.kept(room)["membership"] = membership
        if membership == "invite":
            assert not {"timeline", "state", "ephemeral"} & set(news), news
            for event in news["invite_state"]["events"]:
                self.kept(room)["state"][event["type"], event["state_key"]] = event["content"]
            return
        for event_id in news["state"]["events"]:
            self.take_state(room, news["event_map"][event_id])
        for event_id in news["timeline"]["events"]:
            self.take(room, news["event_map"][event_id] | {"event_id": event_id})
        assert isinstance(news["timeline"]["limited"], bool), news["timeline"]
        assert ("ephemeral" in news) == (membership == "join"), news
        for event in news.get("ephemeral", {"events": []})["events"]:
            self.take_ephemeral(room, event)
        self.kept(room)["membership"] = membership

    def check(self, event: dict) -> None:
        there = {"sender", "type", "content", "origin_server_ts", "unsigned"}
        assert there <= set(event), f"{there - set(event)} missing in {event}"
        assert not {"user_id", "hashes", "signatures", "depth"} & set(event), event
        assert "age" in event["unsigned"], event
