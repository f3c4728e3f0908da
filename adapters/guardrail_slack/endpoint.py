"""The address that Slack posts clicks and dialogs to: an ASGI application to be mounted by a service.

Whatever is not Slack's, not of this workspace and app, or here for the second time is a 401 and changes nothing. The
rest is answered before the ledger is asked: Slack waits three seconds, then shows an error that invites another click.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guardrail_slack.answering import Answering, Reply, at_once
from guardrail_slack.blocks import APPROVE
from guardrail_slack.interactions import BODY, Click, Malformed, Stranger, read
from guardrail_slack.signature import Signatures

PATH: Final = "/interactions"
"""Where the application takes posts, below wherever it is mounted."""

_FORM: Final = "application/x-www-form-urlencoded"
_log: Final = logging.getLogger(__name__)
_Did = TypeVar("_Did")


class SlackEndpoint:
    """Takes what people do in Slack.

    Args:
        team: id of the workspace (`T…`).
        app: id of the app (`A…`).
        secrets: signing secrets that are valid now; two while one takes the other's place.
        answering: does what people say.
        workers: how many votes are worked on at once, and how many dialogs.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        team: str,
        app: str,
        secrets: Sequence[str],
        answering: Answering,
        workers: int = 8,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._team = team
        self._app = app
        self._signatures = Signatures(secrets)
        self._answering = answering
        self._votes = ThreadPoolExecutor(workers, thread_name_prefix="slack votes")
        # apart from the votes, which may wait for the ledger: a dialog has to open within three seconds
        self._dialogs = ThreadPoolExecutor(workers, thread_name_prefix="slack dialogs")
        self._clock = clock
        self._closed = False
        self.app = Starlette(routes=[Route(PATH, self._post, methods=["POST"])])

    def close(self) -> None:
        """Take nothing more, and finish what was taken."""
        self._closed = True
        self._dialogs.shutdown(wait=True)
        self._votes.shutdown(wait=True)

    async def _post(self, request: Request) -> Response:
        body = await _read(request)
        if body is None:
            return Response("the body is too large or incomplete", status_code=400)
        headers = request.headers
        wrong = self._signatures.check(
            headers.getlist("x-slack-request-timestamp"),
            headers.getlist("x-slack-signature"),
            body,
            now=self._clock(),
        )
        if wrong is not None:
            return _unauthorized(wrong)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return Response(f"expected {_FORM}", status_code=400)
        try:
            return self._taken(body)
        except Stranger as error:
            return _unauthorized(error.message)
        except Malformed as error:
            _log.warning("a signed post was refused: %s", error.message)
            return Response(error.message, status_code=400)

    def _taken(self, body: bytes) -> Response:
        """Answer Slack, and work on it afterwards."""
        did = read(body, team=self._team, app=self._app)
        if isinstance(did, Click):
            threads = self._votes if did.action == APPROVE else self._dialogs
            return _worked(threads, self._answering.clicked, did) or Response()
        reply = at_once(did)
        if not reply.goes_on:
            return _said(reply)
        if not reply.body:
            return _worked(self._votes, self._answering.submitted, did) or Response()
        if self._closed:
            return _shutting_down()
        # The answer changes the dialog, and so does the work: whichever comes to Slack last stays.
        return _said(reply, BackgroundTask(_worked, self._votes, self._answering.submitted, did))


def _worked(threads: ThreadPoolExecutor, work: Callable[[_Did], None], did: _Did) -> Response | None:
    """Hand it to a thread; answers a refusal where there are none any more."""
    try:
        threads.submit(work, did).add_done_callback(_report)
    except RuntimeError:  # shut down: what concurrent.futures raises then
        return _shutting_down()
    return None


def _shutting_down() -> Response:
    return Response("shutting down", status_code=503)


def _said(reply: Reply, then: BackgroundTask | None = None) -> Response:
    return JSONResponse(dict(reply.body), background=then) if reply.body else Response(background=then)


async def _read(request: Request) -> bytes | None:
    """The body; None where it is larger than a post of Slack is, or breaks off."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > BODY:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


def _unauthorized(why: str) -> Response:
    """A 401 that does not say why; the log does. RFC 9110 asks for the header."""
    _log.warning("a post that is not Slack's was refused: %s", why)
    return Response("unauthorized", status_code=401, headers={"WWW-Authenticate": "Slack-Signature"})


def _report(done: Future[Any]) -> None:
    """Say what went wrong where nobody waits for it."""
    error = done.exception()
    if error is not None:
        _log.error("an answer from Slack was not worked on", exc_info=error)
