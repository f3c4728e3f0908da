"""The arguments of a call, complete and canonical, as a person reads them before he approves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guardrail.canonical import canonical
from guardrail.cli.output import Output
from guardrail.masking import mask
from guardrail.showing import SPELLED_OUT
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.config import Config


@dataclass(frozen=True, kw_only=True)
class ShownArguments:
    """The arguments as this command may show them.

    Attributes:
        value: masked, where they are.
        size: of the canonical form that runs, in bytes.
        hidden: JSON pointers to what is masked here.
    """

    value: Mapping[str, Any]
    size: int
    hidden: tuple[str, ...]

    @property
    def line(self) -> str:
        """All of them in one line: the canonical form, made visible."""
        return visible(canonical(self.value).decode())

    def print(self, output: Output) -> None:
        """Every argument whole, one a line: its name and its canonical value."""
        told = f"{self.size:,} bytes of canonical JSON"
        hidden = f"; MASKED HERE: {visible(', '.join(self.hidden))}" if self.hidden else ", complete"
        output.line(f"Arguments ({told}{hidden}):", style="bold")
        for name, value in self.value.items():
            output.line(visible(f"{canonical(name).decode()}: {canonical(value).decode()}"), indent=2)
        if self.line != canonical(self.value).decode():
            output.line(SPELLED_OUT)


def shown_arguments(
    arguments: Mapping[str, Any], pointers: Iterable[str], config: Config, *, reveal: bool = False
) -> ShownArguments:
    """What may be shown of arguments.

    Args:
        arguments: those that were judged.
        pointers: what the decision masks; what the configuration hides is added.
        config: where the key is, so that equal secrets show equal digests.
        reveal: mask nothing: the holder of the key wants to see it.

    Raises:
        LedgerUnavailable: the key cannot be read.
    """
    size = len(canonical(arguments))
    wanted = () if reveal else (*pointers, *config.masking.hide)
    if not wanted:
        return ShownArguments(value=arguments, size=size, hidden=())
    from guardrail.sealing import SealingKey  # noqa: PLC0415  cryptography: `guardrail --help` does without

    masked = mask(arguments, wanted, key=SealingKey.read(config.key_path).masking)
    return ShownArguments(value=masked.value, size=size, hidden=masked.hit)
