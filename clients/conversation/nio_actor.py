"""A user at a client made of matrix-nio."""

import asyncio

import nio

from .actor import PASSWORD, Actor

SYNC_MS = 20_000
PAGE_EVENTS = 20


def _good(response):
    if isinstance(response, nio.ErrorResponse):
        raise RuntimeError(f"{response.status_code}: {response.message}")
    return response


class NioActor(Actor):
    """See Actor."""

    def __init__(self, server_url: str, name: str):
        self.name = f"{name} (matrix-nio)"
        self.localpart = name
        self.client = nio.AsyncClient(server_url, name)
        self.rooms: dict[str, dict] = {}
        self.syncing = None

    async def register(self) -> None:
        answer = _good(await self.client.register(self.localpart, PASSWORD, f"{self.localpart}'s nio"))
        self.user_id = answer.user_id
        self.client.user_id = answer.user_id
        self.client.add_event_callback(self._on_event, nio.Event)
        self.client.add_ephemeral_callback(self._on_receipt, nio.ReceiptEvent)
        self.client.add_response_callback(self._on_sync, nio.SyncResponse)
        self.syncing = asyncio.create_task(self.client.sync_forever(timeout=SYNC_MS, full_state=False))

    async def log_in_again(self) -> None:
        """A second session beside the first, and out of it."""
        other = nio.AsyncClient(self.client.homeserver, self.user_id)
        _good(await other.login(PASSWORD))
        _good(await other.logout())
        await other.close()

    async def log_out(self) -> None:
        self.syncing.cancel()
        _good(await self.client.logout())
        await self.client.close()

    async def create_room(self, alias: str, name: str, topic: str, invite: list[str]) -> str:
        answer = await self.client.room_create(
            visibility=nio.RoomVisibility.public,
            preset=nio.RoomPreset.public_chat,
            alias=alias,
            name=name,
            topic=topic,
            invite=invite,
        )
        return _good(answer).room_id

    async def invite(self, room: str, user: str) -> None:
        _good(await self.client.room_invite(room, user))

    async def join(self, room: str) -> str:
        # Who comes back is shown the newest messages again.
        self._kept(room)["messages"].clear()
        return _good(await self.client.join(room)).room_id

    async def leave(self, room: str) -> None:
        _good(await self.client.room_leave(room))

    async def kick(self, room: str, user: str, reason: str) -> None:
        _good(await self.client.room_kick(room, user, reason))

    async def ban(self, room: str, user: str, reason: str) -> None:
        _good(await self.client.room_ban(room, user, reason))

    async def unban(self, room: str, user: str) -> None:
        _good(await self.client.room_unban(room, user))

    async def _send(self, room: str, event_type: str, content: dict) -> str:
        return _good(await self.client.room_send(room, event_type, content)).event_id

    async def say(self, room: str, body: str) -> str:
        return await self._send(room, "m.room.message", {"msgtype": "m.text", "body": body})

    async def edit(self, room: str, event_id: str, body: str) -> None:
        content = {
            "msgtype": "m.text",
            "body": f"* {body}",
            "m.new_content": {"msgtype": "m.text", "body": body},
            "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
        }
        await self._send(room, "m.room.message", content)

    async def react(self, room: str, event_id: str, key: str) -> None:
        relation = {"rel_type": "m.annotation", "event_id": event_id, "key": key}
        await self._send(room, "m.reaction", {"m.relates_to": relation})

    async def redact(self, room: str, event_id: str) -> None:
        _good(await self.client.room_redact(room, event_id, "a mistake"))

    async def type(self, room: str, typing: bool) -> None:
        _good(await self.client.room_typing(room, typing, timeout=30_000))

    async def read(self, room: str, event_id: str) -> None:
        _good(await self.client.room_read_markers(room, event_id, event_id))

    async def rename(self, name: str) -> None:
        _good(await self.client.set_displayname(name))

    async def history(self, room: str) -> list[str]:
        """The bodies of all messages, oldest first, by paging back."""
        bodies, start = [], ""
        while True:
            page = _good(await self.client.room_messages(room, start, limit=PAGE_EVENTS))
            bodies += [e.body for e in page.chunk if isinstance(e, nio.RoomMessageText)]
            start = page.end
            if not start:
                return bodies[::-1]

    async def observed(self, room: str) -> dict:
        if self.syncing and self.syncing.done():
            self.syncing.result()
        known = self.client.rooms.get(room)
        kept = self._kept(room)
        if known is None or kept["out"]:
            invited = room in self.client.invited_rooms
            membership = "invite" if invited else "leave" if kept["out"] else "none"
            return {"membership": membership, "members": {}, "messages": [], "typing": [], "receipts": {}}
        members = {user: {"membership": "join", "name": m.display_name} for user, m in known.users.items()}
        members |= {user: {"membership": "invite", "name": m.display_name} for user, m in known.invited_users.items()}
        for user, membership in kept["gone"].items():
            members[user] = {"membership": membership}
        return {
            "membership": "join",
            "name": known.name,
            "members": members,
            "typing": known.typing_users,
            "receipts": kept["receipts"],
            "unread": known.unread_notifications,
            "messages": list(kept["messages"].values()),
        }

    def _kept(self, room: str) -> dict:
        return self.rooms.setdefault(room, {"messages": {}, "receipts": {}, "gone": {}, "out": False})

    async def _on_sync(self, response: nio.SyncResponse) -> None:
        # The SDK keeps rooms that its user is no longer in.
        for room in response.rooms.join:
            self._kept(room)["out"] = False
        for room in response.rooms.leave:
            self._kept(room)["out"] = True

    async def _on_event(self, room: nio.MatrixRoom, event: nio.Event) -> None:
        kept, source = self._kept(room.room_id), event.source
        content, relation = source.get("content", {}), source.get("content", {}).get("m.relates_to", {})
        messages = kept["messages"]
        if source["type"] == "m.room.member":
            user, membership = source["state_key"], content.get("membership")
            kept["gone"].pop(user, None)
            if membership in ("leave", "ban"):
                kept["gone"][user] = membership
        elif isinstance(event, nio.RedactionEvent):
            if event.redacts in messages:
                messages[event.redacts] |= {"redacted": True, "body": None}
        elif relation.get("rel_type") == "m.replace":
            if relation["event_id"] in messages:
                messages[relation["event_id"]]["body"] = content["m.new_content"]["body"]
        elif source["type"] == "m.reaction" and relation:
            reactions = messages[relation["event_id"]]["reactions"]
            reactions.setdefault(relation["key"], []).append(event.sender)
        elif source["type"] == "m.room.message":
            assert event.event_id not in messages, f"{self.name} gets {event.event_id} twice"
            messages[event.event_id] = {
                "event_id": event.event_id,
                "sender": event.sender,
                "body": content.get("body"),
                "redacted": not content,
                "reactions": {},
            }

    async def _on_receipt(self, room: nio.MatrixRoom, event: nio.ReceiptEvent) -> None:
        for receipt in event.receipts:
            if receipt.receipt_type == "m.read":
                self._kept(room.room_id)["receipts"][receipt.user_id] = receipt.event_id
