"""A user at a client made of matrix-nio."""

import asyncio

import nio
from nio.api import RelationshipType, ThreadInclusion

from .actor import PASSWORD, Actor

SYNC_MS = 20_000
PAGE_EVENTS = 20
# Counts of threads come to those who ask for them.
SYNC_FILTER = {"room": {"timeline": {"limit": 20, "unread_thread_notifications": True}}}


def good(response):
    """What the server answered, if it did not refuse."""
    if isinstance(response, nio.ErrorResponse):
        raise RuntimeError(f"{response.status_code}: {response.message}")
    return response


class NioActor(Actor):
    """See Actor. `of` makes it another client of that person."""

    def __init__(self, name: str, of: Actor | None = None):
        self.name = f"{name} (matrix-nio)"
        self.localpart = of.localpart if of else name
        self.of = of
        self.client: nio.AsyncClient
        self.rooms: dict[str, dict] = {}
        self.account_data: dict[str, object] = {}
        self.presence: dict[str, nio.PresenceEvent] = {}
        self.syncing = None

    async def enter(self, server) -> None:
        self.client = nio.AsyncClient(server.url, self.localpart)
        if self.of:
            answer = good(await self.client.login(PASSWORD, f"{self.name} beside {self.localpart}"))
        else:
            answer = good(await self.client.register(self.localpart, PASSWORD, f"{self.localpart}'s nio"))
        self.user_id = self.client.user_id = answer.user_id
        self.client.add_event_callback(self._on_event, nio.Event)
        self.client.add_ephemeral_callback(self._on_receipt, nio.ReceiptEvent)
        self.client.add_presence_callback(self._on_presence, nio.PresenceEvent)
        self.client.add_global_account_data_callback(self._on_account_data, nio.AccountDataEvent)
        self.client.add_response_callback(self._on_sync, nio.SyncResponse)
        self.syncing = asyncio.create_task(
            self.client.sync_forever(timeout=SYNC_MS, sync_filter=SYNC_FILTER, full_state=False)
        )

    async def log_in_again(self) -> None:
        """A second session beside the first, and out of it."""
        other = nio.AsyncClient(self.client.homeserver, self.user_id)
        good(await other.login(PASSWORD))
        good(await other.logout())
        await other.close()

    async def log_out(self) -> None:
        self.syncing.cancel()
        good(await self.client.logout())
        await self.client.close()

    async def end(self) -> None:
        """Ends the client, as a crash would."""
        if self.syncing:
            self.syncing.cancel()
            await self.client.close()

    async def create_room(self, **options) -> str:
        asked = {key: value for key, value in options.items() if key in ("name", "topic", "invite", "room_version")}
        answer = await self.client.room_create(
            visibility=nio.RoomVisibility[options.get("visibility", "private")],
            preset=nio.RoomPreset[options["preset"]] if "preset" in options else None,
            alias=options.get("room_alias_name"),
            room_type=options.get("creation_content", {}).get("type"),
            initial_state=options.get("initial_state", ()),
            power_level_override=options.get("power_level_content_override"),
            **asked,
        )
        return good(answer).room_id

    async def invite(self, room: str, user: str) -> None:
        good(await self.client.room_invite(room, user))

    async def join(self, room: str) -> str:
        # Who comes back is shown the newest messages again.
        self._kept(room)["messages"].clear()
        return good(await self.client.join(room)).room_id

    async def knock(self, room: str, reason: str) -> None:
        good(await self.client.room_knock(room, reason))

    async def leave(self, room: str) -> None:
        good(await self.client.room_leave(room))

    async def kick(self, room: str, user: str, reason: str) -> None:
        good(await self.client.room_kick(room, user, reason))

    async def ban(self, room: str, user: str, reason: str) -> None:
        good(await self.client.room_ban(room, user, reason))

    async def unban(self, room: str, user: str) -> None:
        good(await self.client.room_unban(room, user))

    async def send(self, room: str, event_type: str, content: dict) -> str:
        return good(await self.client.room_send(room, event_type, content)).event_id

    async def set_state(self, room: str, event_type: str, state_key: str, content: dict) -> str:
        return good(await self.client.room_put_state(room, event_type, content, state_key)).event_id

    async def say(self, room: str, body: str) -> str:
        return await self.send(room, "m.room.message", {"msgtype": "m.text", "body": body})

    async def reply_in_thread(self, room: str, root: str, body: str) -> str:
        relation = {"rel_type": "m.thread", "event_id": root, "is_falling_back": True}
        relation["m.in_reply_to"] = {"event_id": root}
        content = {"msgtype": "m.text", "body": body, "m.relates_to": relation}
        return await self.send(room, "m.room.message", content)

    async def edit(self, room: str, event_id: str, body: str) -> None:
        content = {
            "msgtype": "m.text",
            "body": f"* {body}",
            "m.new_content": {"msgtype": "m.text", "body": body},
            "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
        }
        await self.send(room, "m.room.message", content)

    async def react(self, room: str, event_id: str, key: str) -> str:
        relation = {"rel_type": "m.annotation", "event_id": event_id, "key": key}
        return await self.send(room, "m.reaction", {"m.relates_to": relation})

    async def redact(self, room: str, event_id: str) -> None:
        good(await self.client.room_redact(room, event_id, "a mistake"))

    async def type(self, room: str, typing: bool, timeout_ms: int = 30_000) -> None:
        good(await self.client.room_typing(room, typing, timeout=timeout_ms))

    async def read(self, room: str, event_id: str) -> None:
        good(await self.client.room_read_markers(room, event_id, event_id))

    async def rename(self, name: str) -> None:
        good(await self.client.set_displayname(name))

    async def threads(self, room: str, include: str = "all") -> list[str]:
        """The roots of the threads, a page of one after the other."""
        wanted = ThreadInclusion[include]
        return [root.event_id async for root in self.client.room_get_threads(room, wanted, limit=1)]

    async def relations(self, room: str, event_id: str, rel_type: str) -> list[str]:
        """The ids of the events that relate to one, newest first."""
        wanted = RelationshipType(rel_type)
        return [e.event_id async for e in self.client.room_get_event_relations(room, event_id, wanted, limit=2)]

    async def hierarchy(self, space: str, page_rooms: int, max_depth: int | None = None) -> list[dict]:
        """The rooms of a space, page by page."""
        rooms, start = [], None
        while True:
            page = good(await self.client.space_get_hierarchy(space, start, page_rooms, max_depth))
            assert len(page.rooms) <= page_rooms, f"a page of {len(page.rooms)} rooms"
            rooms += page.rooms
            start = page.next_batch
            if not start:
                return rooms

    async def history(self, room: str) -> list[str]:
        """The bodies of all messages, oldest first, by paging back."""
        bodies, start = [], ""
        while True:
            page = good(await self.client.room_messages(room, start, limit=PAGE_EVENTS))
            bodies += [e.body for e in page.chunk if isinstance(e, nio.RoomMessageText)]
            start = page.end
            if not start:
                return bodies[::-1]

    async def state_of(self, room: str, event_type: str, state_key: str = "") -> dict | None:
        return self._kept(room)["state"].get((event_type, state_key))

    async def observed(self, room: str) -> dict:
        if self.syncing and self.syncing.done():
            self.syncing.result()
        known = self.client.rooms.get(room)
        kept = self._kept(room)
        if known is None or kept["membership"] != "join":
            blank = {"members": {}, "messages": [], "typing": [], "receipts": {}}
            return blank | {"membership": kept["membership"]}
        members = {user: {"membership": "join", "name": m.display_name} for user, m in known.users.items()}
        members |= {user: {"membership": "invite", "name": m.display_name} for user, m in known.invited_users.items()}
        for user, membership in kept["others"].items():
            members[user] = {"membership": membership}
        return {
            "membership": "join",
            "name": known.name,
            "members": members,
            "typing": known.typing_users,
            "receipts": kept["receipts"],
            "unread": known.unread_notifications,
            "highlights": known.unread_highlights,
            "thread_unread": kept["thread_unread"],
            "messages": list(kept["messages"].values()),
        }

    def _kept(self, room: str) -> dict:
        empty = {"membership": "none", "state": {}, "messages": {}, "reactions": {}, "others": {}}
        return self.rooms.setdefault(room, empty | {"receipts": {}, "thread_unread": {}})

    async def _on_sync(self, response: nio.SyncResponse) -> None:
        # The SDK keeps rooms that its user is no longer in.
        for room in response.rooms.invite:
            self._kept(room)["membership"] = "invite"
        for room in response.rooms.leave:
            self._kept(room)["membership"] = "leave"
        for room, news in response.rooms.join.items():
            kept = self._kept(room)
            kept["membership"] = "join"
            for event in news.state + news.timeline.events:
                if "state_key" in event.source:
                    kept["state"][event.source["type"], event.source["state_key"]] = event.source["content"]
            kept["thread_unread"] = {
                root: counts.notification_count for root, counts in news.unread_thread_notifications.items()
            }

    async def _on_event(self, room: nio.MatrixRoom, event: nio.Event) -> None:
        kept, source = self._kept(room.room_id), event.source
        content, relation = source.get("content", {}), source.get("content", {}).get("m.relates_to", {})
        messages = kept["messages"]
        if source["type"] == "m.room.member":
            user, membership = source["state_key"], content.get("membership")
            kept["others"].pop(user, None)
            if membership in ("leave", "ban", "knock"):
                kept["others"][user] = membership
        elif isinstance(event, nio.RedactionEvent):
            self._on_redaction(kept, event.redacts)
        elif relation.get("rel_type") == "m.replace":
            original = messages.get(relation["event_id"])
            # Whose message is not one's own can not be edited, whatever a server lets through.
            if original and original["sender"] == event.sender:
                original["body"] = content["m.new_content"]["body"]
        elif source["type"] == "m.reaction" and relation.get("event_id") in messages:
            target, key = relation["event_id"], relation["key"]
            senders = messages[target]["reactions"].setdefault(key, [])
            senders.append(event.sender)
            senders.sort()
            kept["reactions"][event.event_id] = (target, key, event.sender)
        elif source["type"] == "m.room.message":
            assert event.event_id not in messages, f"{self.name} gets {event.event_id} twice"
            messages[event.event_id] = {
                "event_id": event.event_id,
                "sender": event.sender,
                "body": content.get("body"),
                "redacted": not content,
                "reactions": {},
            }

    def _on_redaction(self, kept: dict, redacted: str) -> None:
        if redacted in kept["messages"]:
            kept["messages"][redacted] |= {"redacted": True, "body": None}
        if redacted in kept["reactions"]:
            target, key, sender = kept["reactions"].pop(redacted)
            reactions = kept["messages"][target]["reactions"]
            reactions[key].remove(sender)
            if not reactions[key]:
                del reactions[key]

    async def _on_receipt(self, room: nio.MatrixRoom, event: nio.ReceiptEvent) -> None:
        for receipt in event.receipts:
            if receipt.receipt_type == "m.read":
                self._kept(room.room_id)["receipts"][receipt.user_id] = receipt.event_id

    async def _on_presence(self, event: nio.PresenceEvent) -> None:
        self.presence[event.user_id] = event

    async def _on_account_data(self, event: nio.AccountDataEvent) -> None:
        kind = event.type if isinstance(event, nio.UnknownAccountDataEvent) else type(event).__name__
        self.account_data[kind] = event
