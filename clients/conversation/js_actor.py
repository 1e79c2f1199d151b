"""A user at a client made of matrix-js-sdk, which runs in a Node process of its own."""

import asyncio
import json
from pathlib import Path

from .actor import PASSWORD, Actor

PUPPET = Path(__file__).parent / "puppet.mjs"
LINE_BYTES_MAX = 16 * 1024 * 1024


class JsActor(Actor):
    """See Actor. Every verb is one line of JSON to the puppet and one line back.

    `options` are those of the SDK's startClient. `of` makes it another client of that person, `guest`
    one of somebody without an account.
    """

    def __init__(self, name: str, of: Actor | None = None, guest: bool = False, **options):
        self.name = f"{name} (matrix-js-sdk)"
        self.localpart = of.localpart if of else name
        self.of = of
        self.guest = guest
        self.options = options
        self.process = None
        self.asked = 0
        self.waiting: dict[int, asyncio.Future] = {}

    async def enter(self, server) -> None:
        pipe = asyncio.subprocess.PIPE
        with (server.folder / f"{self.localpart}.log").open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                "node", PUPPET, server.url, stdin=pipe, stdout=pipe, stderr=log, limit=LINE_BYTES_MAX
            )
        self._reading = asyncio.create_task(self._read())
        way = "login" if self.of else "registerGuest" if self.guest else "register"
        self.user_id = await self._ask("enter", way, self.localpart, PASSWORD, self.options)

    async def log_out(self) -> None:
        await self._ask("logOut")
        await self.end()

    async def end(self) -> None:
        """Ends the process, as a crash would."""
        if self.process and self.process.returncode is None:
            self.process.stdin.close()
            await self.process.wait()

    async def sdk(self, method: str, *arguments):
        """Calls a method of MatrixClient; None among the arguments is undefined."""
        return await self._ask("sdk", method, *arguments)

    async def observed(self, room: str) -> dict:
        return await self._ask("observed", room)

    async def state_of(self, room: str, event_type: str, state_key: str = "") -> dict | None:
        return await self._ask("stateOf", room, event_type, state_key)

    async def create_room(self, **options) -> str:
        return (await self.sdk("createRoom", options))["room_id"]

    async def _ask(self, verb: str, *arguments):
        self.asked += 1
        answer = asyncio.get_running_loop().create_future()
        self.waiting[self.asked] = answer
        line = json.dumps({"id": self.asked, "verb": verb, "arguments": arguments})
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()
        return await answer

    async def _read(self) -> None:
        async for line in self.process.stdout:
            answer = json.loads(line)
            waiting = self.waiting.pop(answer["id"])
            if waiting.done():
                continue
            if "error" in answer:
                waiting.set_exception(RuntimeError(f"{self.name}: {answer['error']}"))
            else:
                waiting.set_result(answer.get("answer"))
        for waiting in self.waiting.values():
            if not waiting.done():
                waiting.set_exception(RuntimeError(f"{self.name} ended"))

    async def log_in_again(self) -> None:
        await self._ask("logInAgain", PASSWORD)


def _forward(name: str, verb: str):
    async def forward(self, *arguments):
        return await self._ask(verb, *arguments)

    forward.__name__ = name
    return forward


# Verbs of Actor, and what only this SDK knows: see puppet.mjs.
_VERBS = {
    "members_loaded": "membersLoaded",
    "set_state": "setState",
    "reply_in_thread": "replyInThread",
    "thread": "thread",
    "timeline_around": "timelineAround",
    "read_unthreaded": "readUnthreaded",
    "read_privately": "readPrivately",
    "account_data": "accountData",
    "upgrade_history": "upgradeHistory",
    "presence_of": "presenceOf",
    "original": "original",
} | {
    verb: verb
    for verb in (
        *("invite", "join", "knock", "leave", "kick", "ban", "unban", "say", "send", "edit", "react", "redact"),
        *("type", "read", "rename", "history", "threads", "relations", "hierarchy", "tags"),
    )
}
for _name, _verb in _VERBS.items():
    setattr(JsActor, _name, _forward(_name, _verb))
