"""The application: the routes, and how errors are answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match
from starlette.types import ASGIApp

from guardrail.errors import (
    ConfigError,
    Conflict,
    GuardrailError,
    InvalidArguments,
    LedgerError,
    LedgerUnavailable,
)
from guardrail.service import authzen, calls, operations, requests
from guardrail.service.limits import BODY, Limits, problem
from guardrail.service.logs import Logged, event
from guardrail.service.parts import Parts
from guardrail.service.proposals import Proposals
from guardrail.service.traced import Traced
from guardrail.version import __version__

_CODES: Final[Mapping[int, str]] = {
    400: "malformed", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method",
    415: "content_type",
}  # fmt: skip


def create_app(
    parts: Parts, *, mounts: Mapping[str, ASGIApp] | None = None, body: int = BODY, seconds: float = 10.0
) -> ASGIApp:
    """The service as an ASGI application.

    Args:
        parts: what it is made of. Its delivery is started and closed with the application.
        mounts: further applications, by the path under which they answer (`/slack`): they see the raw body,
            within the same limits, and look after their own identities.
        body: bytes of a request's body at the most.
        seconds: until when a body has to be there.
    """

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncGenerator[None]:
        parts.delivery.start()
        answering = parts.decisions
        proposals = None if answering is None else Proposals(
            answering.guard, mark=answering.mark, lease=answering.lease, places=answering.places
        )  # fmt: skip
        app.state.proposals = proposals
        event("started", version=__version__)
        yield
        if proposals is not None:
            await proposals.close()
        ended = await anyio.to_thread.run_sync(parts.delivery.close)
        event("stopped", everything_told=ended)

    # FastAPI's own telemetry tells paths, queries and the words of exceptions: `Traced` stands in its place.
    app = FastAPI(
        title="guardrail", version=__version__, lifespan=running, docs_url=None, redoc_url=None,
        openapi_url="/v1/openapi.json",
        telemetry={
            "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False,
        },
    )  # fmt: skip
    app.state.parts = parts
    app.include_router(requests.router)
    app.include_router(operations.router)
    app.include_router(operations.open_router)
    if parts.decisions is not None:
        app.include_router(calls.router)
        app.include_router(authzen.router)
        app.include_router(authzen.open_router)
    for path, mounted in (mounts or {}).items():
        app.mount(path, mounted)
    app.add_exception_handler(GuardrailError, _refused)
    app.add_exception_handler(StarletteHTTPException, _answered)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(Exception, _broken)
    return Traced(Logged(Limits(app, body=body, seconds=seconds)))


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """A known error: what is wrong, and what to do about it."""
    if not isinstance(error, GuardrailError):
        raise error
    match error:
        case LedgerUnavailable() | ConfigError():
            answer = problem(503, "unavailable", "the service cannot work at the moment", "try again")
            answer.headers["Retry-After"] = "1"
            event("unavailable", why=error.message)
            return answer
        case Conflict():
            return problem(409, "conflict", error.message, error.fix)
        case LedgerError():
            event("unwritten", why=error.message)
            return problem(503, "unavailable", "the ledger could not write this", "tell the operator")
        case InvalidArguments():
            return problem(422, "invalid", error.message, error.fix)
        case _:
            return problem(400, "refused", error.message, error.fix)


async def _answered(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, StarletteHTTPException):
        raise error
    answer = problem(error.status_code, _CODES.get(error.status_code, "refused"), str(error.detail))
    answer.headers.update(error.headers or {})
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    """What may be done at a path: several routes share one, and the framework names those of the first alone."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in routes for method in getattr(route, "methods", None) or ()}


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    """Which fields are wrong and how; not what stood there. AuthZEN calls that 400, the API 422."""
    if not isinstance(error, RequestValidationError):
        raise error
    found: list[Any] = list(error.errors())
    told = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found)
    if all(item["loc"][0] == "path" for item in found):
        return problem(404, "not_found", told)
    return problem(400 if request.url.path.startswith("/access/") else 422, "invalid", told)


async def _broken(_: Request, __: Exception) -> JSONResponse:
    """Nobody foresaw this; it is logged by its type and place."""
    return problem(
        500, "broken", "the service failed at this request; nothing was voted", "tell the operator"
    )
