"""Holds every conversation on every database; ends with 1 if one fails."""

import argparse
import asyncio
import sys
import time
import traceback
from pathlib import Path

from .js_actor import JsActor
from .nio_actor import NioActor
from .server import Server
from .talk import talk

CONVERSATION_SECONDS_MAX = 300


async def casts(url: str):
    """The same conversation, begun by each of the SDKs."""
    yield "talk, begun by matrix-nio", talk(
        NioActor(url, "alice"), NioActor(url, "bob"), JsActor(url, "carol"), JsActor(url, "dave"), "hearth"
    )
    yield "talk, begun by matrix-js-sdk", talk(
        JsActor(url, "erin"), JsActor(url, "frank"), NioActor(url, "grace"), NioActor(url, "heidi"), "fireside"
    )


async def main(binary: Path, databases: list[str]) -> int:
    passed = failed = 0
    for database in databases:
        try:
            async with Server(binary, database) as server:
                async for name, conversation in casts(server.url):
                    begun = time.monotonic()
                    await asyncio.wait_for(conversation, CONVERSATION_SECONDS_MAX)
                    print(f"ok      {name}, on {database} ({time.monotonic() - begun:.1f} s)", flush=True)
                    passed += 1
        except Exception:
            traceback.print_exc()
            print(f"FAILED  a conversation on {database}", flush=True)
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


arguments = argparse.ArgumentParser(prog="clients/run")
arguments.add_argument("--server", type=Path, required=True, help="the hearth binary")
arguments.add_argument("--database", action="append", choices=["sqlite", "postgres"], help="all if none is named")
given = arguments.parse_args()
sys.exit(asyncio.run(main(given.server.resolve(), given.database or ["sqlite", "postgres"])))
