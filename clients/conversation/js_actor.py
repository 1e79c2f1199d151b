"""A user at a client made of matrix-js-sdk, which runs in a Node process of its own."""

import asyncio
import json
from pathlib import Path

from .actor import PASSWORD, Actor

PUPPET = Path(__file__).parent / "puppet.mjs"
LINE_BYTES_MAX = 16 * 1024 * 1024


class JsActor(Actor):
    """See Actor. Every verb is one line of JSON to the puppet and one line back."""

    def __init__(self, server_url: str, name: str):
        self.name = f"{name} (matrix-js-sdk)"
        self.localpart = name
        self.server_url = server_url
        self.process = None
        self.asked = 0
        self.waiting: dict[int, asyncio.Future] = {}

    async def register(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            "node", PUPPET, self.server_url, stdin=pipe, stdout=pipe, limit=LINE_BYTES_MAX
        )
        self._reading = asyncio.create_task(self._read())
        self.user_id = await self._ask("register", self.localpart, PASSWORD)

    async def log_out(self) -> None:
        await self._ask("logOut")
        self.process.stdin.close()
        await self.process.wait()

    async def create_room(self, alias: str, name: str, topic: str, invite: list[str]) -> str:
        return await self._ask("createRoom", alias, name, topic, invite)

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
            if "error" in answer:
                waiting.set_exception(RuntimeError(f"{self.name}: {answer['error']}"))
            else:
                waiting.set_result(answer.get("answer"))
        for waiting in self.waiting.values():
            waiting.set_exception(RuntimeError(f"{self.name} ended"))

    async def observed(self, room: str) -> dict:
        return await self._ask("observed", room)

    async def log_in_again(self) -> None:
        await self._ask("logInAgain", PASSWORD)


def _forward(name: str, verb: str):
    async def forward(self, *arguments):
        return await self._ask(verb, *arguments)

    forward.__name__ = name
    return forward


for _name in ("invite", "join", "leave", "kick", "ban", "unban", "say", "edit", "react", "redact", "type", "read", "rename", "history"):
    setattr(JsActor, _name, _forward(_name, _name))
