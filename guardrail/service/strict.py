"""Bodies are JSON, read strictly: a key that stands twice, NaN, too large an integer is refused, not guessed at."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from guardrail.canonical import parse
from guardrail.errors import InvalidArguments


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return parse((await self.body()).decode())
        except InvalidArguments as error:
            raise HTTPException(400, f"the body cannot be read: {error.message}") from error
        except UnicodeDecodeError as error:
            raise HTTPException(400, "the body cannot be read: it is not UTF-8") from error


class StrictRoute(APIRoute):
    """A route whose JSON bodies are I-JSON (RFC 7493)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the strict reader in front."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if request.method == "POST" and kind != "application/json":
                raise HTTPException(415, "the body has to be application/json")
            return await handler(_StrictRequest(request.scope, request.receive))

        return handle
