"""A hearth server in a process of its own, on an empty database."""

import asyncio
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 10
LOG_BYTES_SHOWN = 20_000
CONFIG = """
server_name = "hearth.test"
data_dir = "FOLDER"
[listen]
client = "127.0.0.1:PORT"
[database]
url = "DATABASE"
[registration]
enabled = true
guests = true
[limits]
enabled = false
[push]
allowed_gateways = ["127.0.0.1"]
"""


class Server:
    """A running server. `database` is "sqlite" or "postgres"."""

    def __init__(self, binary: Path, database: str):
        self.binary = binary
        self.database = database
        self.folder = Path(tempfile.mkdtemp(prefix="hearth-clients-"))
        self.schema = "clients_" + secrets.token_hex(6)
        self.process = None
        self.url = ""

    async def __aenter__(self) -> "Server":
        self.config = CONFIG.replace("FOLDER", str(self.folder)).replace("DATABASE", await self._database_url())
        await self.start()
        return self

    async def __aexit__(self, failure, *_) -> None:
        stopped = await self.stop()
        log = (self.folder / "log").read_text()
        if failure:
            print(self.log_tail())
        if self.database == "postgres":
            await self._psql(f"DROP SCHEMA {self.schema} CASCADE")
        shutil.rmtree(self.folder)
        if not failure:
            assert stopped == 0, f"the server ended with {stopped}:\n{log[-LOG_BYTES_SHOWN:]}"
            assert " ERROR " not in log and "panicked" not in log, log[-LOG_BYTES_SHOWN:]

    def log_tail(self) -> str:
        return (self.folder / "log").read_text()[-LOG_BYTES_SHOWN:]

    async def start(self) -> None:
        """Starts it, again on the port that it had."""
        config = self.folder / "hearth.toml"
        config.write_text(self.config.replace("PORT", self.url.rpartition(":")[2] or "0"))
        with (self.folder / "log").open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                self.binary, "serve", "--config", config, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        try:
            self.url = await asyncio.wait_for(self._address(), START_SECONDS_MAX)
        except BaseException:
            print((self.folder / "log").read_text())
            raise
        self._reading = asyncio.create_task(self.process.stdout.read())

    async def stop(self) -> int:
        """Asks it to end, and waits for that."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), STOP_SECONDS_MAX)

    async def _address(self) -> str:
        """What the server prints once it listens."""
        async for line in self.process.stdout:
            if found := re.search(rb"http://127\.0\.0\.1:\d+", line):
                return found.group().decode()
        raise RuntimeError("the server ended before it listened")

    async def _database_url(self) -> str:
        if self.database == "sqlite":
            return f"sqlite:{self.folder}/hearth.db"
        await self._psql(f"CREATE SCHEMA {self.schema}")
        base = _postgres()
        return f"{base}{'&' if '?' in base else '?'}options=-csearch_path%3D{self.schema}"

    async def _psql(self, sql: str) -> None:
        quiet = os.environ | {"PGOPTIONS": "-c client_min_messages=warning"}
        command = ["psql", "--quiet", "--no-psqlrc", _postgres(), "--command", sql]
        process = await asyncio.create_subprocess_exec(*command, env=quiet)
        assert await process.wait() == 0, f"psql failed: {sql}"


def _postgres() -> str:
    url = os.environ.get("HEARTH_TEST_POSTGRES")
    assert url, "HEARTH_TEST_POSTGRES is not set: run scripts/test"
    return url
