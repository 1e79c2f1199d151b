"""What a person can do and see with a client, whichever SDK it is made of."""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

SEEING_SECONDS_MAX = 20
PASSWORD = "correct horse battery staple"


class Actor(ABC):
    """A user at a client with its own sync loop.

    `observed(room)` is what the client knows of a room:
    {"membership", "name", "members": {user: {"membership", "name"}}, "typing": [user],
     "receipts": {user: event_id}, "unread": n,
     "messages": [{"event_id", "sender", "body", "redacted", "reactions": {key: [user]}}]}
    where body is that after all edits, and messages are in the order of the timeline.
    """

    name: str
    user_id: str

    @abstractmethod
    async def observed(self, room: str) -> dict: ...

    async def sees(self, room: str, what: str, condition: Callable[[dict], bool]) -> dict:
        """Waits until the client knows something; fails with what it knows instead."""
        end = time.monotonic() + SEEING_SECONDS_MAX
        while True:
            seen = await self.observed(room)
            if condition(seen):
                return seen
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} does not see {what}:\n{json.dumps(seen, indent=1)}")
            await asyncio.sleep(0.03)

    async def sees_message(self, room: str, event_id: str, **fields) -> None:
        """Waits for a message with these fields."""

        def there(seen: dict) -> bool:
            found = [m for m in seen["messages"] if m["event_id"] == event_id]
            return len(found) == 1 and all(found[0][key] == value for key, value in fields.items())

        await self.sees(room, f"{event_id} with {fields}", there)

    async def sees_member(self, room: str, user: str, **fields) -> None:
        """Waits for a member with these fields."""

        def there(seen: dict) -> bool:
            member = seen["members"].get(user)
            return member is not None and all(member.get(key) == value for key, value in fields.items())

        await self.sees(room, f"the member {user} with {fields}", there)
