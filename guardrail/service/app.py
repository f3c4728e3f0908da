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
from starlette.types import ASGIApp

from guardrail.errors import ConfigError, Conflict, GuardrailError, InvalidArguments, LedgerUnavailable
from guardrail.service import operations, requests
from guardrail.service.limits import BODY, Limits, problem
from guardrail.service.logs import Logged, event
from guardrail.service.parts import Parts
from guardrail.version import __version__

_CODES: Final[Mapping[int, str]] = {
    400: "malformed", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method",
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
        event("started", version=__version__)
        yield
        ended = await anyio.to_thread.run_sync(parts.delivery.close)
        event("stopped", everything_told=ended)

    app = FastAPI(
        title="guardrail", version=__version__, lifespan=running, docs_url=None, redoc_url=None,
        openapi_url="/v1/openapi.json",
    )  # fmt: skip
    app.state.parts = parts
    app.include_router(requests.router)
    app.include_router(operations.router)
    app.include_router(operations.open_router)
    for path, mounted in (mounts or {}).items():
        app.mount(path, mounted)
    app.add_exception_handler(GuardrailError, _refused)
    app.add_exception_handler(StarletteHTTPException, _answered)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(Exception, _broken)
    return Logged(Limits(app, body=body, seconds=seconds))


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
        case InvalidArguments():
            return problem(422, "invalid", error.message, error.fix)
        case _:
            return problem(400, "refused", error.message, error.fix)


async def _answered(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, StarletteHTTPException):
        raise error
    answer = problem(error.status_code, _CODES.get(error.status_code, "refused"), str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    """Which fields are wrong and how; not what stood there."""
    if not isinstance(error, RequestValidationError):
        raise error
    found: list[Any] = list(error.errors())
    told = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found)
    status = 404 if all(item["loc"][0] == "path" for item in found) else 422
    return problem(status, "not_found" if status == 404 else "invalid", told)


async def _broken(_: Request, __: Exception) -> JSONResponse:
    """Nobody foresaw this; it is logged by its type and place."""
    return problem(
        500, "broken", "the service failed at this request; nothing was voted", "tell the operator"
    )
