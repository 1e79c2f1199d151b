"""A hearth server in a process of its own, on an empty database."""

import asyncio
import os
import random
import re
import secrets
import shutil
import socket
import tempfile
from pathlib import Path

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 10
LOG_BYTES_SHOWN = 20_000
# None of those that the operating system gives away: while the server restarts its port stays free.
PORTS = range(10_000, 32_000)
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
        self.port, self._claim = _claim_port()

    async def __aenter__(self) -> "Server":
        self.config = CONFIG.replace("FOLDER", str(self.folder)).replace("DATABASE", await self._database_url())
        await self.start()
        return self

    async def __aexit__(self, failure, *_) -> None:
        stopped = await self.stop()
        self._claim.close()
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
        config.write_text(self.config.replace("PORT", str(self.port)))
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


def _claim_port() -> tuple[int, socket.socket]:
    """A port that nobody uses, and what shows other tests whose it is: the UDP port of the same number."""
    while True:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        address = ("127.0.0.1", random.choice(PORTS))
        try:
            claim.bind(address)
            with socket.socket() as listener:
                listener.bind(address)
            return address[1], claim
        except OSError:
            claim.close()


def _postgres() -> str:
    url = os.environ.get("HEARTH_TEST_POSTGRES")
    assert url, "HEARTH_TEST_POSTGRES is not set: run scripts/test"
    return url
