"""One OPA server that is asked, through opa-python-client and under limits of its own.

The client by itself follows redirects, reads answers of any size, drops OPA's own message from errors and knows no
certificate authority of one's own in asyncio code. So it gets its session from here, and every answer goes through
`_Client._request`. Neither proxies of the environment are used nor `.netrc`.
"""

# The client's own annotations say `dict` of nothing in particular, and no more.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

import aiohttp
import orjson
from opa_client import AsyncOpaClient

from guardrail.decisions import ReasonCode
from guardrail.errors import ConfigError
from guardrail.opa.server import Server

HEALTH_BYTES: Final = 65_536
"""How much is read of an answer that is no decision: an error, or the state of the server."""
_ASKED: Final[Mapping[str, Any]] = {"strict-builtin-errors": "true", "provenance": "true"}
"""Without strict errors, a deny whose built-in function fails vanishes. Provenance names the bundles."""
_DOWN: Final = (
    "start the server, or correct `url` and `ca` under [opa]; `guardrail doctor` tells what is wrong"
)
_UNKNOWN: Final = "correct `token` under [opa], or the server's authorization policy"
_FIXES: Final[Mapping[ReasonCode, str]] = {
    "policy.malformed": "see what answers there, and name an OPA server under [opa]",
    "policy.redirected": "name the OPA server itself under [opa]: nobody is followed elsewhere",
    "policy.oversized": "see what answers there; if the policy means it, raise `answer_bytes` under [opa]",
}
_TOLD: Final = 1_000
"""Characters of the server's own message that are told on."""


class UnansweredError(Exception):
    """The server gave no answer that can be used.

    Attributes:
        code: what was wrong, and
        message: in words.
        passing: it is the way there that failed, or the server, and not the policy.
        status: of HTTP, where that was wrong; else 0.
        brief: the message without the server's own words, which may quote what it was asked.
    """

    def __init__(
        self, code: ReasonCode, brief: str, *, said: str = "", passing: bool = True, status: int = 0
    ) -> None:
        self.message = f"{brief}: {said}" if said else brief
        super().__init__(self.message)
        self.code: ReasonCode = code
        self.brief = brief
        self.passing = passing
        self.status = status

    @property
    def fix(self) -> str:
        """What to do about it."""
        if self.status in {401, 403}:
            return _UNKNOWN
        return _FIXES.get(self.code, _DOWN) if self.passing else "the owner of the policy has to repair it"


class Connection:
    """Connections to a server, for one event loop. Use it as an asynchronous context."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = _Client(server)
        package, _, rule = server.entry.rpartition(".")
        self._path = (package, rule)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close_connection()

    async def ask(self, given: bytes) -> dict[str, Any]:
        """Ask for a decision: the whole answer, an object.

        Args:
            given: the input, as JSON text.

        Raises:
            UnansweredError: there is none.
            OSError, aiohttp.ClientError: the connection was lost.
        """
        try:
            answer = await self._asked(given)
        except UnansweredError as error:
            if error.status != 401 or not self._client.renew_token():
                raise
            answer = await self._asked(given)
        if not isinstance(answer, dict):
            raise UnansweredError("policy.malformed", f"{self._server.title} answered with no JSON object")
        return cast("dict[str, Any]", answer)

    async def _asked(self, given: bytes) -> object:
        shown = cast("dict[str, Any]", orjson.Fragment(given))  # it is JSON already; see `_dumped`
        return cast("object", await self._client.query_rule(shown, *self._path, query_params=dict(_ASKED)))

    async def health(self) -> str:
        """What is wrong with the server, as it says itself; empty = nothing: its bundles are active.

        Raises:
            UnansweredError, OSError, aiohttp.ClientError: it cannot be asked.
        """
        url = f"{self._client.schema}{self._client.host}:{self._client.port}/health?bundles=true&plugins=true"
        try:
            await self._client.get(url)
        except UnansweredError as error:
            if error.code == "policy.refused" and error.status >= 500:
                return error.message
            raise
        return ""


class _Client(AsyncOpaClient):  # type: ignore[misc]
    """The client with a session of our own: bounded, without redirects, with the authorities that were named."""

    def __init__(self, server: Server) -> None:
        place = urlsplit(server.url)
        secure = place.scheme == "https"
        host = place.hostname or ""
        super().__init__(
            host=f"[{host}]" if ":" in host else host,
            port=place.port or (443 if secure else 80),
            ssl=secure,
            retries=0,
            timeout=server.timeout,
        )
        self._server = server
        self._token = server.token
        self._context = server.context()

    def renew_token(self) -> bool:
        """Read the token anew; whether it is another one.

        Raises:
            UnansweredError: it cannot be read.
        """
        before = self._token
        try:
            self._token = self._server.renewed(before)
        except ConfigError as error:
            brief = f"{self._server.title} refuses the token (status 401), and no new one can be read"
            raise UnansweredError("policy.refused", brief, said=error.message, status=401) from error
        return self._token != before

    async def _init_session(self) -> None:
        self._connector = aiohttp.TCPConnector(
            ssl=self._context or True, limit=self._server.connections, keepalive_timeout=60.0
        )
        self._session = aiohttp.ClientSession(
            headers=self.headers,
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=None),  # who asks sets one over everything
            trust_env=False,
            json_serialize=_dumped,
            response_class=_Response,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=min(self._server.max_answer, 65_536),
        )

    async def get(self, url: str) -> None:
        """Ask for an address of the server: `check_health` of the client hides what is wrong.

        Raises:
            UnansweredError, OSError, aiohttp.ClientError: it does not answer, or not with 200.
        """
        async with self._request("GET", url):
            return

    @asynccontextmanager
    async def _request(self, method: str, url: str, **options: Any) -> AsyncGenerator[_Response]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        async with super()._request(method, url, allow_redirects=False, headers=headers, **options) as answer:
            response = cast("_Response", answer)
            if response.status != 200:
                raise await self._refused(response)
            if not await response.read_up_to(self._server.max_answer):
                limit = f"more than {self._server.max_answer:,} bytes"
                raise UnansweredError("policy.oversized", f"{self._server.title} answered with {limit}")
            yield response

    async def _refused(self, response: _Response) -> UnansweredError:
        """What an answer says that is none."""
        title, status = self._server.title, response.status
        if 300 <= status < 400:
            return UnansweredError("policy.redirected", f"{title} sends elsewhere (status {status})")
        said: dict[str, Any] = {}
        if await response.read_up_to(HEALTH_BYTES):
            said = _error_in(await response.read())
        words = _words(said) or "it does not say why"
        if status == 500 and _is_evaluation(said):
            return UnansweredError("policy.error", f"the policy raised on {title}", said=words, passing=False)
        brief = f"{title} refuses to answer (status {status})"
        return UnansweredError("policy.refused", brief, said=words, status=status)


class _Response(aiohttp.ClientResponse):
    """A response that is read up to a size."""

    async def read_up_to(self, limit: int) -> bool:
        """Read all of it, once; False = it is larger, and nothing of it is kept."""
        parts: list[bytes] = []
        size = 0
        async for part in self.content.iter_any():
            size += len(part)
            if size > limit:
                self.close()
                return False
            parts.append(part)
        self._body = b"".join(parts)
        return True

    async def json(self, **_: Any) -> Any:
        """The body as JSON, whatever it is labelled as.

        Raises:
            UnansweredError: it is no JSON.
        """
        try:
            return orjson.loads(await self.read())
        except orjson.JSONDecodeError as error:
            raise UnansweredError(
                "policy.malformed", f"the OPA server answered with no JSON: {error}"
            ) from error


def _dumped(value: Any) -> str:
    return orjson.dumps(value).decode()


def _error_in(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def _is_evaluation(said: Mapping[str, Any]) -> bool:
    """Whether this is what a policy raised: it would raise wherever it is asked."""
    errors: object = said.get("errors")
    found = cast("list[Any]", errors) if isinstance(errors, list) else []
    return bool(found) and all(
        isinstance(item, dict) and str(cast("dict[str, Any]", item).get("code")).startswith("eval_")
        for item in found
    )


def _words(said: Mapping[str, Any]) -> str:
    """OPA's own message, with the first errors that it lists and their places."""
    parts = [said.get("message") or said.get("error")]
    errors: object = said.get("errors")
    for item in cast("list[Any]", errors)[:3] if isinstance(errors, list) else ():
        found = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
        place: object = found.get("location")
        at = cast("dict[str, Any]", place) if isinstance(place, dict) else {}
        where = f"{at['file']}:{at.get('row', 0)}: " if at.get("file") else ""
        parts.append(f"{where}{found.get('message', '')}")
    return "; ".join(part for part in parts if isinstance(part, str) and part)[:_TOLD]
