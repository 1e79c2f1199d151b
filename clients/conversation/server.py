"""A hearth server in a process of its own, on an empty database."""

import asyncio
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

START_SECONDS_MAX = 30


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
        config = self.folder / "hearth.toml"
        config.write_text(
            f"""
server_name = "hearth.test"
data_dir = "{self.folder}"
[listen]
client = "127.0.0.1:0"
[database]
url = "{await self._database_url()}"
[registration]
enabled = true
[limits]
enabled = false
"""
        )
        self.process = await asyncio.create_subprocess_exec(
            self.binary, "serve", "--config", config, stdout=asyncio.subprocess.PIPE, stderr=(self.folder / "log").open("w")
        )
        try:
            self.url = await asyncio.wait_for(self._address(), START_SECONDS_MAX)
        except BaseException:
            print((self.folder / "log").read_text())
            raise
        self._reading = asyncio.create_task(self.process.stdout.read())
        return self

    async def __aexit__(self, failure, *_) -> None:
        self.process.terminate()
        stopped = await asyncio.wait_for(self.process.wait(), 10)
        log = (self.folder / "log").read_text()
        if failure:
            print(log[-20_000:])
        if self.database == "postgres":
            await self._psql(f"DROP SCHEMA {self.schema} CASCADE")
        shutil.rmtree(self.folder)
        if not failure:
            assert stopped == 0, f"the server ended with {stopped}:\n{log[-5_000:]}"
            assert " ERROR " not in log and "panicked" not in log, log[-20_000:]

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
