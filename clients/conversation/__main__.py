"""Plays every subject on every database; ends with 1 if one fails."""

import argparse
import asyncio
import importlib
import logging
import pkgutil
import sys
import time
import traceback
from pathlib import Path

from . import subjects
from .js_actor import JsActor
from .nio_actor import NioActor
from .server import Server
from .stage import Stage
from .talk import talk

SUBJECT_SECONDS_MAX = 120
SUBJECTS_AT_ONCE = 4
LOG_BYTES_SHOWN = 5_000


async def talk_begun_by_nio(stage: Stage) -> None:
    await talk(stage, NioActor("alice"), NioActor("bob"), JsActor("carol"), JsActor("dave"))


async def talk_begun_by_js(stage: Stage) -> None:
    await talk(stage, JsActor("alice"), JsActor("bob"), NioActor("carol"), NioActor("dave"))


def plays() -> dict:
    """Every play by its name; those whose module says ALONE at the end."""
    found = {"talk_begun_by_nio": talk_begun_by_nio, "talk_begun_by_js": talk_begun_by_js}
    modules = [importlib.import_module(f"{subjects.__name__}.{m.name}") for m in pkgutil.iter_modules(subjects.__path__)]
    for module in sorted(modules, key=is_alone):
        found[module.__name__.rpartition(".")[2]] = module.play
    return found


def is_alone(module) -> bool:
    """Whether it does something to the server that others would feel."""
    return getattr(module, "ALONE", False)


class Evening:
    """All plays at one server, some of them at once."""

    def __init__(self, server: Server):
        self.server = server
        self.places = asyncio.Semaphore(SUBJECTS_AT_ONCE)
        self.passed = self.failed = 0

    async def play(self, name: str, play) -> None:
        async with self.places:
            stage, begun = Stage(self.server, name), time.monotonic()
            try:
                await asyncio.wait_for(self._to_the_end(stage, play), SUBJECT_SECONDS_MAX)
            except Exception:
                self.failed += 1
                traceback.print_exc()
                stage.show_logs(LOG_BYTES_SHOWN)
                print(f"FAILED  {name}, on {self.server.database}", flush=True)
            else:
                self.passed += 1
                print(f"ok      {name}, on {self.server.database} ({time.monotonic() - begun:.1f} s)", flush=True)
            finally:
                await stage.end()

    async def _to_the_end(self, stage: Stage, play) -> None:
        await play(stage)
        await stage.leave()


async def main(binary: Path, databases: list[str], wanted: list[str]) -> int:
    passed = failed = 0
    chosen = {name: play for name, play in plays().items() if not wanted or name in wanted}
    for database in databases:
        try:
            async with Server(binary, database) as server:
                evening = Evening(server)
                apart = {name: play for name, play in chosen.items() if is_alone(sys.modules[play.__module__])}
                await asyncio.gather(*(evening.play(n, play) for n, play in chosen.items() if n not in apart))
                for name, play in apart.items():
                    await evening.play(name, play)
                passed, failed = passed + evening.passed, failed + evening.failed
                if evening.failed:
                    print(server.log_tail())
        except Exception:
            traceback.print_exc()
            print(f"FAILED  the server on {database}", flush=True)
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


# Of the SDK's log only what ends a conversation is of interest.
logging.getLogger("nio").setLevel(logging.CRITICAL)
arguments = argparse.ArgumentParser(prog="clients/run")
arguments.add_argument("--server", type=Path, required=True, help="the hearth binary")
arguments.add_argument("--database", action="append", choices=["sqlite", "postgres"], help="all if none is named")
arguments.add_argument("--only", action="append", choices=plays(), metavar="SUBJECT", help="all if none is named")
given = arguments.parse_args()
sys.exit(asyncio.run(main(given.server.resolve(), given.database or ["sqlite", "postgres"], given.only or [])))
