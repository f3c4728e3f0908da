"""Tiers: which amounts need which people, as the shipped approval policy reads them from the bundle's data.

A key that is misspelt there would ask for nobody, so what is not exactly of the form is refused before it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from guardrail.errors import PolicyError
from guardrail.mistakes import unknown_key
from guardrail.patterns import tool_title

_FILE: Final = "data.json"


def _exact(tool: str) -> str:
    if "*" in tool or tool_title(tool) != tool:
        raise ValueError('expected one tool as "server/name"')
    return tool


class Tier(BaseModel):
    """Calls of one tool whose argument is over an amount.

    Attributes:
        tool: `server/name`.
        argument: its name; where it is no number, the call is in the tier.
        over: calls with more than this are in it.
        approvers: who may answer, by id or `role:NAME`; empty: anybody.
        quorum: how many of them have to say yes.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    tool: Annotated[str, AfterValidator(_exact)]
    argument: Annotated[str, Field(min_length=1)]
    over: float
    approvers: list[Annotated[str, Field(min_length=1)]] = []
    quorum: Annotated[int, Field(ge=1)] = 1


class _Settings(BaseModel):
    """What the shipped approval policy reads of the settings; other rules read others."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    tiers: list[Tier] = []
    two_person: bool = False


def check_tiers(data: Mapping[str, Any]) -> None:
    """Refuse settings that the shipped approval policy would not read as they are meant.

    Args:
        data: the data document of a bundle.

    Raises:
        PolicyError: names the place, and what was expected there.
    """
    try:
        _Settings.model_validate(data.get("settings", {}))
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        place = "settings" + "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in wrong["loc"]
        )
        if wrong["type"] == "extra_forbidden":
            message = unknown_key(_FILE, place, Tier.model_fields)
        else:
            message = f"{_FILE}: {place}: {wrong['msg'].removeprefix('Value error, ')}"
        raise PolicyError(message, fix="correct it and run `guardrail check`") from error
