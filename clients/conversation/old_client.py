"""The client-server API as it was in 2015, in the words of `client_server_api-2015.rst`: HTTP and JSON,
the token in the query. Nothing here knows anything that was written later."""

import itertools
from urllib.parse import quote

import aiohttp
from yarl import URL

V1 = "/_matrix/client/api/v1"
V2 = "/_matrix/client/v2_alpha"
REQUEST_SECONDS_MAX = 60


class OldError(RuntimeError):
    """The standard error response."""

    def __init__(self, status: int, body: dict):
        super().__init__(f"{status} {body.get('errcode')}: {body.get('error')}")
        self.status, self.body = status, body


class OldClient:
    """Requests of one user; every method is one endpoint."""

    def __init__(self, server_url: str):
        self.server_url = server_url
        self.token = None
        self.user_id = None
        self.refresh_token = None
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX))
        self.txn_ids = itertools.count(1)

    async def __aenter__(self) -> "OldClient":
        return self

    async def __aexit__(self, *_) -> None:
        await self.close()

    async def close(self) -> None:
        await self.http.close()

    async def ask(self, method: str, prefix: str, *path: str, body: dict | bool | None = None, **query):
        """Parts of the path are quoted here. Query parameters that are None are left out."""
        if self.token and "access_token" not in query:
            query["access_token"] = self.token
        params = {key.rstrip("_"): str(value) for key, value in query.items() if value is not None}
        url = self.server_url + "/".join([prefix, *(quote(part, safe="") for part in path)])
        if method in ("POST", "PUT") and body is None:
            body = {}
        async with self.http.request(method, URL(url, encoded=True), params=params, json=body) as answer:
            found = await answer.json()
            if answer.status != 200:
                raise OldError(answer.status, found)
            return found

    # Registration and login

    async def register(self, user: str, password: str) -> None:
        """By the stages of v1: the flows are asked for, one is chosen and gone through."""
        flows = (await self.ask("GET", V1, "register"))["flows"]
        # What one can not do, one does not choose.
        chosen = next((f for f in flows if f.get("stages", [f["type"]]) == ["m.login.password"]), None)
        assert chosen, f"no flow that takes a password alone: {flows}"
        submission = {"type": "m.login.password", "user": user, "password": password}
        self._logged_in(await self.ask("POST", V1, "register", body=submission))

    async def register_v2(self, user: str, password: str) -> None:
        """By the user-interactive authentication of v2: refused with the flows, then stage by stage."""
        body = {"username": user, "password": password, "bind_email": False}
        try:
            answer = await self.ask("POST", V2, "register", body=body)
            raise AssertionError(f"registered without authentication: {answer}")
        except OldError as refusal:
            if refusal.status != 401:
                raise
            offer = refusal.body
        assert {"stages": ["m.login.dummy"]} in offer["flows"], offer
        auth = {"type": "m.login.dummy", "session": offer["session"]}
        self._logged_in(await self.ask("POST", V2, "register", body=body | {"auth": auth}))

    async def login(self, user: str, password: str) -> None:
        flows = (await self.ask("GET", V1, "login", access_token=None))["flows"]
        assert "m.login.password" in [flow["type"] for flow in flows], flows
        submission = {"type": "m.login.password", "user": user, "password": password}
        self._logged_in(await self.ask("POST", V1, "login", body=submission, access_token=None))

    async def login_by_token(self, user: str, token: str, nonce: str) -> None:
        submission = {"type": "m.login.token", "user": user, "token": token, "txn_id": nonce}
        self._logged_in(await self.ask("POST", V1, "login", body=submission, access_token=None))

    async def register_as_guest(self) -> None:
        self._logged_in(await self.ask("POST", V2, "register", kind="guest"))

    async def page(self, *path: str, prefix: str = V2, **query) -> str:
        """A page that a browser would show."""
        url = self.server_url + "/".join([prefix, *path])
        async with self.http.get(url, params=query) as answer:
            assert answer.status == 200 and answer.content_type == "text/html", answer
            return await answer.text()

    def _logged_in(self, answer: dict) -> None:
        assert self.user_id in (None, answer["user_id"]), answer
        self.token, self.user_id = answer["access_token"], answer["user_id"]
        self.refresh_token = answer.get("refresh_token")
        assert answer.get("home_server", "hearth.test") == "hearth.test", answer

    async def refresh(self) -> None:
        """Exchanges the token that came with the last login for new ones."""
        answer = await self.ask("POST", V1, "tokenrefresh", body={"refresh_token": self.refresh_token}, access_token=None)
        self.token, self.refresh_token = answer["access_token"], answer["refresh_token"]

    # Events

    async def initial_sync(self, limit: int | None = None, archived: bool | None = None) -> dict:
        archived = archived and "true"
        return await self.ask("GET", V1, "initialSync", limit=limit, archived=archived)

    async def events(self, from_: str, timeout_ms: int, room: str | None = None) -> dict:
        """Of all one's rooms, or of one that everybody may read."""
        return await self.ask("GET", V1, "events", from_=from_, timeout=timeout_ms, room_id=room)

    async def event(self, event_id: str) -> dict:
        return await self.ask("GET", V1, "events", event_id)

    async def room_initial_sync(self, room: str, limit: int | None = None) -> dict:
        return await self.ask("GET", V1, "rooms", room, "initialSync", limit=limit)

    async def messages(self, room: str, from_: str, dir_: str, limit: int, to: str | None = None) -> dict:
        query = {"from_": from_, "to": to, "dir_": dir_, "limit": limit}
        return await self.ask("GET", V1, "rooms", room, "messages", **query)

    async def state(self, room: str) -> list[dict]:
        return await self.ask("GET", V1, "rooms", room, "state")

    async def state_of(self, room: str, event_type: str, *state_key: str) -> dict:
        return await self.ask("GET", V1, "rooms", room, "state", event_type, *state_key)

    async def members(self, room: str) -> list[dict]:
        return (await self.ask("GET", V1, "rooms", room, "members"))["chunk"]

    async def send(self, room: str, event_type: str, content: dict, txn_id: str | None = None) -> str:
        """With a transaction id, as a careful client does."""
        txn_id = txn_id or str(next(self.txn_ids))
        answer = await self.ask("PUT", V1, "rooms", room, "send", event_type, txn_id, body=content)
        return answer["event_id"]

    async def send_carelessly(self, room: str, event_type: str, content: dict) -> str:
        return (await self.ask("POST", V1, "rooms", room, "send", event_type, body=content))["event_id"]

    async def put(self, txn_id: str, *path: str, **body) -> dict:
        """What can be posted, in a transaction: asked again, it does not happen again."""
        return await self.ask("PUT", V1, *path, txn_id, body=body)

    async def set_state(self, room: str, event_type: str, state_key: str, content: dict) -> str:
        path = ["rooms", room, "state", event_type, *([state_key] if state_key else [])]
        return (await self.ask("PUT", V1, *path, body=content))["event_id"]

    async def redact(self, room: str, event_id: str, reason: str) -> str:
        answer = await self.ask("POST", V1, "rooms", room, "redact", event_id, body={"reason": reason})
        return answer["event_id"]

    # Rooms

    async def create_room(self, **options) -> str:
        return (await self.ask("POST", V1, "createRoom", body=options))["room_id"]

    async def invite(self, room: str, user: str) -> None:
        await self.ask("POST", V1, "rooms", room, "invite", body={"user_id": user})

    async def join(self, room: str) -> str:
        """By the room's id or an alias."""
        return (await self.ask("POST", V1, "join", room))["room_id"]

    async def join_room(self, room: str) -> str:
        return (await self.ask("POST", V1, "rooms", room, "join"))["room_id"]

    async def leave(self, room: str) -> None:
        await self.ask("POST", V1, "rooms", room, "leave")

    async def ban(self, room: str, user: str, reason: str) -> None:
        await self.ask("POST", V1, "rooms", room, "ban", body={"user_id": user, "reason": reason})

    async def set_alias(self, alias: str, room: str) -> None:
        await self.ask("PUT", V1, "directory", "room", alias, body={"room_id": room})

    async def room_of(self, alias: str) -> dict:
        return await self.ask("GET", V1, "directory", "room", alias)

    async def delete_alias(self, alias: str) -> None:
        await self.ask("DELETE", V1, "directory", "room", alias)

    async def public_rooms(self) -> list[dict]:
        return (await self.ask("GET", V1, "publicRooms", access_token=None))["chunk"]

    # People

    async def type(self, room: str, typing: bool, timeout_ms: int = 30_000) -> None:
        body = {"typing": True, "timeout": timeout_ms} if typing else {"typing": False}
        await self.ask("PUT", V1, "rooms", room, "typing", self.user_id, body=body)

    async def set_presence(self, presence: str, status_msg: str | None = None) -> None:
        body = {"presence": presence, "status_msg": status_msg}
        await self.ask("PUT", V1, "presence", self.user_id, "status", body=body)

    async def presence(self, user: str) -> dict:
        return await self.ask("GET", V1, "presence", user, "status")

    async def change_presence_list(self, invite: list[str], drop: list[str]) -> None:
        body = {"invite": invite, "drop": drop}
        await self.ask("POST", V1, "presence", "list", self.user_id, body=body)

    async def presence_list(self) -> list[dict]:
        return await self.ask("GET", V1, "presence", "list", self.user_id)

    async def set_profile(self, field: str, value: str) -> None:
        await self.ask("PUT", V1, "profile", self.user_id, field, body={field: value})

    async def profile(self, user: str, *field: str) -> dict:
        return await self.ask("GET", V1, "profile", user, *field)

    async def turn_server(self) -> dict:
        return await self.ask("GET", V1, "voip", "turnServer")

    async def push_rules(self) -> dict:
        return await self.ask("GET", V1, "pushrules", "")

    async def set_pusher(self, pusher: dict) -> None:
        await self.ask("POST", V1, "pushers", "set", body=pusher)

    async def set_push_rule(self, kind: str, rule_id: str, rule: dict) -> None:
        await self.ask("PUT", V1, "pushrules", "global", kind, rule_id, body=rule)

    async def set_push_rule_for(self, profile_tag: str, kind: str, rule_id: str, rule: dict) -> None:
        """A rule for the devices with a profile tag alone."""
        await self.ask("PUT", V1, "pushrules", "device", profile_tag, kind, rule_id, body=rule)

    async def enable_push_rule(self, kind: str, rule_id: str, enabled: bool) -> None:
        await self.ask("PUT", V1, "pushrules", "global", kind, rule_id, "enabled", body=enabled)

    async def search(self, term: str, *keys: str) -> dict:
        """What was found, by event id."""
        wanted = {"search_term": term, "keys": list(keys)}
        body = {"search_categories": {"room_events": wanted}}
        return (await self.ask("POST", V1, "search", body=body))["search_categories"]["room_events"]["results"]

    async def delete_push_rule(self, kind: str, rule_id: str) -> None:
        await self.ask("DELETE", V1, "pushrules", "global", kind, rule_id)

    # v2_alpha

    async def make_filter(self, wanted: dict) -> str:
        return (await self.ask("POST", V2, "user", self.user_id, "filter", body=wanted))["filter_id"]

    async def filter(self, filter_id: str) -> dict:
        return await self.ask("GET", V2, "user", self.user_id, "filter", filter_id)

    async def sync(self, filter_id: str | None, since: str | None, timeout_ms: int) -> dict:
        return await self.ask("GET", V2, "sync", filter=filter_id, since=since, timeout=timeout_ms)

    async def receipt(self, room: str, event_id: str) -> None:
        await self.ask("POST", V2, "rooms", room, "receipt", "m.read", event_id)

    async def addresses(self) -> list[dict]:
        return (await self.ask("GET", V2, "account", "3pid"))["threepids"]

    async def change_password(self, old: str, new: str) -> None:
        body = {"new_password": new}
        try:
            await self.ask("POST", V2, "account", "password", body=body)
            raise AssertionError("the password was changed without authentication")
        except OldError as refusal:
            assert refusal.status == 401 and "session" in refusal.body, refusal
            session = refusal.body["session"]
        auth = {"type": "m.login.password", "session": session, "user": self.user_id, "password": old}
        await self.ask("POST", V2, "account", "password", body=body | {"auth": auth})
