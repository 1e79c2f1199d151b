"""A push gateway on the loopback: it keeps what it is told."""

import asyncio

from aiohttp import web

PATH = "/_matrix/push/v1/notify"
NOTICE_SECONDS_MAX = 20


class Gateway:
    """`rejected` are the keys that it does not know any more."""

    def __init__(self):
        self.told: asyncio.Queue[dict] = asyncio.Queue()
        self.rejected: list[str] = []
        self.url = ""

    async def __aenter__(self) -> "Gateway":
        app = web.Application()
        app.router.add_post(PATH, self._take)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        host, port = self.runner.addresses[0][:2]
        self.url = f"http://{host}:{port}{PATH}"
        return self

    async def __aexit__(self, *_) -> None:
        await self.runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.told.put_nowait(await request.json())
        return web.json_response({"rejected": self.rejected})

    async def next(self) -> dict:
        """The next notification that somebody is sent."""
        return await asyncio.wait_for(self.told.get(), NOTICE_SECONDS_MAX)
