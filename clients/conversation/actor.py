"""What a person can do and see with a client, whichever SDK it is made of."""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable

SEEING_SECONDS_MAX = 20
PASSWORD = "correct horse battery staple"


class Actor(ABC):
    """A user at a client with its own sync loop.

    `observed(room)` is what the client knows of a room:
    {"membership", "name", "members": {user: {"membership", "name"}}, "typing": [user],
     "receipts": {user: event_id}, "unread": n, "highlights": n, "thread_unread": {root: n},
     "messages": [{"event_id", "sender", "body", "redacted", "reactions": {key: [user]}}]}
    where body is that after all edits, messages are in the order of the timeline, and users are sorted.
    `state_of(room, type, state_key)` is the content of the state that it knows, or None.

    Both clients do: create_room(**options) with the words of POST /createRoom, invite, join, knock,
    leave, kick, ban, unban, say, send, edit, react, redact, type, read, rename, history, set_state,
    reply_in_thread, threads, relations, hierarchy. All else that an SDK can do is asked of it alone:
    `NioActor.client` is the client itself, `JsActor.sdk(method, …)` calls any method of the other.
    """

    name: str
    user_id: str

    @abstractmethod
    async def enter(self, server) -> None:
        """Registers the account (or logs in to it, as another client of somebody), begins to sync."""

    @abstractmethod
    async def observed(self, room: str) -> dict: ...

    @abstractmethod
    async def state_of(self, room: str, event_type: str, state_key: str = "") -> dict | None: ...

    async def until(self, what: str, probe: Callable[[], Awaitable], condition: Callable) -> object:
        """Waits until what is probed meets a condition; fails with what was probed instead."""
        end = time.monotonic() + SEEING_SECONDS_MAX
        while True:
            seen = await probe()
            if condition(seen):
                return seen
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} does not see {what}:\n{json.dumps(seen, indent=1)}")
            await asyncio.sleep(0.03)

    async def sees(self, room: str, what: str, condition: Callable[[dict], bool]) -> dict:
        """Waits until the client knows something of a room."""
        return await self.until(what, lambda: self.observed(room), condition)

    async def sees_itself(self, room: str, membership: str) -> None:
        """Waits until its own membership is this."""
        await self.sees(room, f"itself as {membership}", lambda seen: seen["membership"] == membership)

    async def sees_itself_out(self, room: str) -> None:
        """Waits until it is in no way in the room. (An SDK that does not know does not even ask.)"""
        outside = ("ban", "leave", "none")
        await self.sees(room, "being out", lambda seen: seen["membership"] in outside)

    async def sees_message(self, room: str, event_id: str, **fields) -> None:
        """Waits for a message with these fields."""

        def there(seen: dict) -> bool:
            found = [m for m in seen["messages"] if m["event_id"] == event_id]
            return len(found) == 1 and _has(found[0], fields)

        await self.sees(room, f"{event_id} with {fields}", there)

    async def sees_member(self, room: str, user: str, **fields) -> None:
        """Waits for a member with these fields."""
        await self.sees(
            room, f"the member {user} with {fields}", lambda seen: _has(seen["members"].get(user), fields)
        )

    async def sees_state(self, room: str, event_type: str, state_key: str = "", **fields) -> dict:
        """Waits for state whose content has these fields."""
        return await self.until(
            f"{event_type} {state_key} with {fields}",
            lambda: self.state_of(room, event_type, state_key),
            lambda content: _has(content, fields),
        )

    async def does_not_see(self, room: str, *event_ids: str, after: str) -> None:
        """Waits for a later message, and finds none of these before it."""
        await self.sees_message(room, after)
        seen = {message["event_id"] for message in (await self.observed(room))["messages"]}
        assert not seen & set(event_ids), f"{self.name} sees what it must not: {seen & set(event_ids)}"


def _has(found: dict | None, fields: dict) -> bool:
    return found is not None and all(found.get(key) == value for key, value in fields.items())


async def together(work: Iterable[Awaitable]) -> list:
    """Awaits all of it at once."""
    return await asyncio.gather(*work)


async def refused(work: Awaitable, word: str) -> None:
    """Awaits something that the server must refuse with this word."""
    try:
        await work
    except RuntimeError as refusal:
        assert word in str(refusal), f"{word} was due, not: {refusal}"
    else:
        raise AssertionError(f"nothing was refused where {word} was due")
