"""Identity: who is asking, by the token in the request."""

from __future__ import annotations

from fastapi import HTTPException, Request

from guardrail.people import Person
from guardrail.service.parts import Parts


async def parts_of(request: Request) -> Parts:
    """What the application was made of."""
    parts: Parts = request.app.state.parts
    return parts


def authenticated(request: Request) -> Person:
    """The person whose token this is.

    Raises:
        HTTPException: 401 where it is nobody's, 403 where that person is not among the people any more.
    """
    parts: Parts = request.app.state.parts
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    name = parts.tokens.person(token.strip()) if scheme.lower() == "bearer" else None
    if name is None:
        raise HTTPException(
            401, "a valid token is needed: Authorization: Bearer …", headers={"WWW-Authenticate": "Bearer"}
        )
    person = parts.voting.people.find(name)
    if person is None:
        raise HTTPException(403, f"{name} is not one of the people of guardrail.toml any more")
    request.state.person = person.id
    return person


def operates(parts: Parts, person: Person) -> bool:
    """Whether a person may lift halts here."""
    return person.id in parts.operators or any(f"role:{role}" in parts.operators for role in person.roles)
