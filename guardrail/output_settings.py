"""`[outputs]`: which checks look at what tools return and agents say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from guardrail.durations import seconds
from guardrail.mistakes import close_to
from guardrail.outputs import ConfiguredCheck, Wanted, checks_of
from guardrail.outputs.check import CHECK_NAME
from guardrail.outputs.choice import DEFAULT
from guardrail.patterns import ToolPattern


def _tool(text: str) -> str:
    ToolPattern.parse(text)
    return text


def _name(text: str) -> str:
    if not CHECK_NAME.fullmatch(text):
        raise ValueError("expected a short name of small letters, digits, '-' and '_'")
    return text


_Name = Annotated[str, AfterValidator(_name)]


class CheckSettings(BaseModel):
    """`[outputs.check.NAME]`: how one check looks.

    Attributes:
        use: which check it is; empty = the one of this name.
        required: its `error` may never pass; None = as the check is meant.
        limit: how long it is waited for, in seconds; None = 1, and no limit for built-in ones that are quick.
        tools: whose outputs it looks at; empty = everybody's. Final answers are those of `guardrail/emit`.
        options: of the check.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    use: str = ""
    required: bool | None = None
    limit: Annotated[float | None, BeforeValidator(seconds)] = None
    tools: Annotated[tuple[Annotated[str, AfterValidator(_tool)], ...], Field(strict=False)] = ()
    options: dict[str, Any] = {}


class OutputSettings(BaseModel):
    """`[outputs]`: the checks, in order.

    Attributes:
        checks: their names.
        check: how each looks, where not as it does by itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    checks: Annotated[tuple[_Name, ...], Field(strict=False)] = DEFAULT
    check: dict[str, CheckSettings] = {}

    @model_validator(mode="after")
    def _names_match(self) -> Self:
        if twice := sorted({name for name in self.checks if self.checks.count(name) > 1}):
            raise ValueError(f"expected every check once; {twice[0]!r} stands in checks twice")
        for name in self.check:
            if name not in self.checks:
                near = close_to(name, self.checks)
                hint = f"; did you mean {near!r}?" if near else ""
                raise ValueError(f"expected tables for those in checks; {name!r} is not there{hint}")
        return self

    def configured(self, folder: Path) -> tuple[ConfiguredCheck, ...]:
        """The checks.

        Args:
            folder: what paths in options are relative to.

        Raises:
            ConfigError: there is no such check, it cannot be loaded, or an option is not what it may be.
        """
        wanted = (
            Wanted(name=name, **self.check.get(name, CheckSettings()).model_dump()) for name in self.checks
        )
        return checks_of(wanted, folder)
