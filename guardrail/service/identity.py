"""Identity: who is asking, by the token in the request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPBearer

from guardrail.people import Person
from guardrail.service.asking import Client
from guardrail.service.parts import Parts
from guardrail.service.proposals import Proposals

_Person = Annotated[Any, Security(HTTPBearer(scheme_name="person", auto_error=False))]
_Program = Annotated[Any, Security(HTTPBearer(scheme_name="client", auto_error=False))]
"""What the API document says of tokens; they are looked at here."""


async def parts_of(request: Request) -> Parts:
    """What the application was made of."""
    parts: Parts = request.app.state.parts
    return parts


def authenticated(request: Request, _: _Person) -> Person:
    """The person whose token this is.

    Raises:
        HTTPException: 401 where it is nobody's, 403 where that person is not among the people any more.
    """
    parts: Parts = request.app.state.parts
    name = _named(request, parts.tokens.person, "a person's")
    person = parts.voting.people.find(name)
    if person is None:
        raise HTTPException(403, f"{name} is not one of the people of guardrail.toml any more")
    request.state.person = person.id
    return person


def asking(request: Request, _: _Program) -> Client:
    """The client whose token this is.

    Raises:
        HTTPException: 401 where it is none's, 403 where the configuration knows that client no more.
    """
    parts: Parts = request.app.state.parts
    name = _named(request, parts.tokens.client, "a client's")
    settings = parts.clients.get(name)
    if settings is None:
        raise HTTPException(403, f"{name} is not one of the clients of guardrail.toml any more")
    request.state.person = f"client:{name}"
    return Client(name, settings, parts.principals)


async def proposals_of(request: Request) -> Proposals:
    """The calls that were proposed here."""
    proposals: Proposals = request.app.state.proposals
    return proposals


def _named(request: Request, find: Callable[[str], str | None], whose: str) -> str:
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    name = find(token.strip()) if scheme.lower() == "bearer" else None
    if name is None:
        raise HTTPException(
            401,
            f"{whose} valid token is needed: Authorization: Bearer …",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return name


def operates(parts: Parts, person: Person) -> bool:
    """Whether a person may lift halts here."""
    return person.id in parts.operators or any(f"role:{role}" in parts.operators for role in person.roles)
