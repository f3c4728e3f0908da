r"""Showing: what a person is shown of a request, made from the stored call and nothing else.

Every channel shows the same: who, through whom, for whom, which tool, why somebody is asked, what was said so far,
and the complete canonical arguments. All of it is text in which whatever deceives the eye stands as `\u{…}`; how
a terminal or a message is kept from obeying that text is the channel's part. Where arguments are masked or gone,
the request says so (`is_whole`), and no channel offers a yes to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeGuard, cast

from guardrail.approvals import Approval
from guardrail.canonical import canonical
from guardrail.decisions import Ask
from guardrail.errors import Conflict
from guardrail.masking import mask
from guardrail.pointers import escape
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.ledger import Ledger
    from guardrail.ledger.rows import CallState

SPELLED_OUT: Final = (
    r"\u{…} stands for a character that cannot be seen, turns text around or passes for another."
)
"""What is said below a text with such characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two arguments of a tool.

    Attributes:
        pointer: JSON pointer to where it is.
        before: canonical value, made visible; None where there was none.
        after: the same, afterwards.
    """

    pointer: str
    before: str | None
    after: str | None

    @property
    def lines(self) -> tuple[str, ...]:
        """The change as two lines, or one where something came or went."""
        sides = (("-", self.before), ("+", self.after))
        return tuple(f"{sign} {visible(self.pointer)}: {value}" for sign, value in sides if value is not None)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A request as people see it.

    Attributes:
        approval: the request; its fields are as they were stored, not made visible.
        arguments: masked, where they are.
        size: of the canonical form that runs, in bytes; 0 where it was erased.
        hidden: JSON pointers to what is not shown.
        changes: what differs from the request whose arguments a person has changed into these.
        claimed: what the agent says of its own call. Nobody has checked it.
        ended: how the call stands that was asked for, or what a person made of it; None where it has not been admitted.
        instead: what has taken the place of a superseded request: a person's `edit`, another `request`, or `nothing`,
            since the policy, or what people have remembered, lets the call pass by now.
    """

    approval: Approval
    arguments: Mapping[str, Any]
    size: int
    hidden: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    claimed: str = ""
    ended: CallState | None = None
    instead: Literal["edit", "request", "nothing"] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything that will run is shown: only then somebody may be offered a yes."""
        return not self.hidden

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The arguments, complete: one a line, its name and its canonical value, made visible."""
        return tuple(
            visible(f"{canonical(name).decode()}: {canonical(value).decode()}")
            for name, value in self.arguments.items()
        )

    @property
    def is_spelled_out(self) -> bool:
        r"""Whether the lines hold a `\u{…}` that the arguments do not."""
        return visible(body := canonical(self.arguments).decode()) != body

    @property
    def extent(self) -> str:
        """How large the arguments are, and whether all of them are shown."""
        told = f"{self.size:,} bytes of canonical JSON"
        if self.is_whole:
            return f"{told}, complete"
        return f"{told}; NOT SHOWN: {visible(', '.join(at or 'everything' for at in self.hidden))}"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Who asks for what, why, and what was said so far: names and values, made visible."""
        it = self.approval
        found = [
            ("tool", it.tool),
            ("agent", " > ".join(it.chain)),
            ("acts for", it.principal),
            *(("asked", f"{why(ask)}; {wanted(ask)}") for ask in it.asks),
            *(("vote", f"{vote.person}: {vote.answer} at {vote.at} by {vote.channel} {vote.reason}".rstrip())
              for vote in it.votes),
            ("requested", it.requested_at),
            ("expires", it.expires_at),
            ("run", it.run),
            ("call", f"call_{it.key[:16]}"),
            ("changed", f"by {it.edited_by}; before, it was request {it.edits}" if it.edits else ""),
            ("waiting", f"{it.count} identical calls; one yes runs one of them" if it.count > 1 else ""),
            ("digest", it.digest),
        ]  # fmt: skip
        return tuple((name, visible(value)) for name, value in found if value)


def show(ledger: Ledger, approval: str, *, key: bytes, hide: Iterable[str] = ()) -> Shown:
    """What a person is shown of a request, as it stands now.

    Args:
        ledger: where it is stored.
        approval: its id.
        key: secret for the digests that stand for masked values (`SealingKey.masking`).
        hide: JSON pointers that nothing may show, besides those of the decision (`masking.hide`).

    Raises:
        Conflict: there is no such request.
    """
    found = ledger.approval(approval)
    shown = _arguments(ledger, found, key=key, hide=tuple(hide))
    if found.edits is not None:
        before = _arguments(ledger, ledger.approval(found.edits), key=key, hide=tuple(hide))
        shown = replace(shown, changes=tuple(changes(before.arguments, shown.arguments)))
    return replace(shown, ended=_ended(ledger, found), instead=_instead(ledger, found))


def why(ask: Ask) -> str:
    """Why people are asked, with the rule that says so."""
    return f"{ask.message} [{ask.rule}]"


def wanted(ask: Ask) -> str:
    """Who has to say yes."""
    people = f" of {', '.join(ask.approvers)}" if ask.approvers else ""
    return f"needs {ask.quorum}{people or (' person' if ask.quorum == 1 else ' people')}"


def changes(before: Any, after: Any, at: str = "") -> Iterator[Change]:
    """What differs between two JSON values, leaf by leaf; lists of different length differ as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after)
        for name in (*old, *(name for name in new if name not in old)):
            place = f"{at}/{escape(name)}"
            if name in old and name in new:
                yield from changes(old[name], new[name], place)
            else:
                yield Change(pointer=place, before=_value(old, name), after=_value(new, name))
    elif _is_list(before) and _is_list(after) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from changes(*pair, f"{at}/{index}")
    elif canonical(before) != canonical(after):
        yield Change(
            pointer=at, before=visible(canonical(before).decode()), after=visible(canonical(after).decode())
        )


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _value(members: Mapping[str, Any], name: str) -> str | None:
    return visible(canonical(members[name]).decode()) if name in members else None


def _arguments(ledger: Ledger, approval: Approval, *, key: bytes, hide: tuple[str, ...]) -> Shown:
    try:
        kept = ledger.approval_arguments(approval.id)
    except Conflict:  # erased
        return Shown(approval=approval, arguments={}, size=0, hidden=("",))
    masked = mask(kept.arguments, (*kept.mask, *hide), key=key)
    arguments = cast("Mapping[str, Any]", masked.value if "" not in masked.hit else {})
    return Shown(
        approval=approval, arguments=arguments, size=len(canonical(kept.arguments)), hidden=masked.hit
    )


def _ended(ledger: Ledger, approval: Approval) -> CallState | None:
    """How the call stands that was admitted under this approval: the one that asked, an identical or an edited one."""
    try:
        first = ledger.call(approval.key)
    except Conflict:
        return None
    if first.approval == approval.id:
        return first.state
    others = ledger.calls(approval.run) if approval.count > 1 or approval.changed_by is not None else ()
    return next((call.state for call in others if call.approval == approval.id), None)


def _instead(ledger: Ledger, approval: Approval) -> Literal["edit", "request", "nothing"] | None:
    if approval.state != "superseded":
        return None
    if approval.changed_by is not None:
        return "edit"
    last = ledger.latest_approval(approval.key)
    return "nothing" if last is None or last.id == approval.id else "request"
