"""Everything guardrail raises on purpose, as one tree.

    GuardrailError
    ├── ConfigError                 guardrail.toml or an argument of Guardrail(...) is wrong
    ├── PolicyError                 a policy bundle cannot be used
    │   ├── PreflightError          it uses what cannot be decided safely; one finding a line
    │   └── BundleRefused           what was handed out as a bundle is not taken
    │       └── BundleUnreachable   where bundles come from could not be asked
    ├── CallError                   the call cannot be stated as a call
    │   ├── InvalidArguments        the arguments do not validate, or have no JSON form
    │   └── InvalidTool             the tool cannot be guarded as it stands
    ├── NotJudged                   a tool was about to use something else than what was judged
    ├── RegistryUnavailable         a registry of packages could not be asked
    ├── AnchorUnavailable           a place where checkpoints are kept could not be asked
    ├── CollectorUnavailable        a collector of spans could not be asked, or did not take them
    ├── Denied                      the guard refused; nothing was executed
    │   ├── Rejected                a person said no, or nobody answered in time
    │   └── Waiting                 a person has not answered yet
    ├── Unreviewed                  a sink was given what nobody has released for the user
    ├── UnknownOutcome              the call was started; whether it ran to its end is not known
    ├── Withheld                    the call ran; what it returned is not handed on, or not yet
    ├── Raised                      the tool raised; in its words as far as they are handed on
    ├── ResultNotKept               the call ran before; its result could not be stored
    └── LedgerError                 the ledger cannot do what was asked
        ├── LedgerUnavailable       the database is lost, locked, full or too old
        ├── Conflict                the row is not in the state that the change asks for
        │   └── Overtaken           it moved while somebody judged it: judge again
        ├── MustBeKept              records are not deleted yet, or not in this way
        └── VerificationFailed      the records are not what was written

Each carries `fix`: the next thing a person can do about it. What third parties raise is translated
where it enters (`rego/`, `ledger/`, `config.py`) and chained with `from`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from guardrail.outcomes import Outcome


class GuardrailError(Exception):
    """The root: `except GuardrailError` catches everything that guardrail raises on purpose."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  To do: {self.fix}" if self.fix else self.message


class ConfigError(GuardrailError):
    """The configuration is wrong: names the file, the key and what was expected."""


class PolicyError(GuardrailError):
    """A policy bundle cannot be used; the last good one, if any, stays active."""


class PreflightError(PolicyError):
    """The bundle uses something that cannot be decided safely.

    Attributes:
        findings: one line a finding, each beginning with `file:line`.
    """

    def __init__(self, findings: tuple[str, ...], *, fix: str = "") -> None:
        super().__init__("the policy bundle was refused:\n  " + "\n  ".join(findings), fix=fix)
        self.findings = findings


BundleFault = Literal["unreachable", "malformed", "signature", "rollback", "preflight", "policy"]
"""Why a bundle was not taken."""


class BundleRefused(PolicyError):
    """What was handed out as a bundle is not taken; the last good one stays active.

    Attributes:
        code: why, in one word.
    """

    def __init__(self, code: BundleFault, message: str, *, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.code: BundleFault = code


class BundleUnreachable(BundleRefused):
    """Where bundles come from could not be asked.

    Attributes:
        after: seconds before which nobody should ask again, where a server said so.
    """

    def __init__(self, message: str, *, fix: str = "", after: float = 0.0) -> None:
        super().__init__("unreachable", message, fix=fix)
        self.after = after


class CallError(GuardrailError):
    """What was asked cannot be stated as a call."""


class InvalidArguments(CallError):
    """The arguments do not validate, or have no JSON form that means the same again."""


class InvalidTool(CallError):
    """The tool cannot be guarded as it stands (no schema, a name outside the rule, …)."""


class NotJudged(GuardrailError):
    """A tool was about to use something else than what was judged: a swapped path, a host behind a redirect."""


class RegistryUnavailable(GuardrailError):
    """A registry of packages could not be asked for what an operator wants of it."""


class AnchorUnavailable(GuardrailError):
    """A place where checkpoints are kept cannot be asked, or did not take one."""


class CollectorUnavailable(GuardrailError):
    """A collector of spans cannot be asked, or did not take them."""


class _Answered(GuardrailError):
    """An outcome other than a value, raised to a caller who expects a value."""

    def __init__(self, message: str, *, outcome: Outcome, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.outcome = outcome

    def __str__(self) -> str:
        return self.message  # already says what the caller may do


class Denied(_Answered):
    """The guard refused the call: nothing was executed. The message is what a model reads."""


class Rejected(Denied):
    """A person refused the call, or nobody answered before it expired: nothing was executed."""


class Waiting(Denied):
    """The call waits for a person, and this caller does not: nothing was executed yet."""


class Unreviewed(GuardrailError):
    """A sink was given what nobody has released for the user, who was told nothing."""


class UnknownOutcome(_Answered):
    """The call was started and its end was not seen: it may or may not have run."""


class Withheld(_Answered):
    """The call ran; a policy or a person does not let what it returned through, or has not yet."""


class Raised(GuardrailError):
    """The tool raised. The message is what is handed on of what it said; what it raised itself is not."""


class ResultNotKept(_Answered):
    """The call ran before; its result had no storable form, and it is not run a second time."""


class LedgerError(GuardrailError):
    """The ledger cannot do what was asked."""


class LedgerUnavailable(LedgerError):
    """The database is lost, locked, full, read-only or too old: no tool runs without it."""


class Conflict(LedgerError):
    """The row is not in the state that the change asks for (already decided, already settled, …)."""


class Overtaken(Conflict):
    """The row moved while somebody judged it; nothing was written: judge it again."""


class MustBeKept(LedgerError):
    """Records may not be deleted yet, or not in this way, unless somebody says so expressly."""


class VerificationFailed(LedgerError):
    """The stored records are not what was written; the message names the first bad one."""


def told(error: BaseException) -> str:
    """What was raised, in one text: its type and what it says, even where it fails to say anything."""
    kind = type(error).__name__
    try:
        said = f"{kind}: {error}"
    except Exception:  # noqa: BLE001  (somebody else's error, whose `__str__` may raise anything)
        said = f"{kind} (it cannot be put into words)"
    return said.encode("utf-8", "backslashreplace").decode()


def spoken(error: BaseException) -> str:
    """All that anybody may read of what was raised: its words, arguments and notes, then those of its causes."""
    said: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        notes: tuple[Any, ...] = tuple(getattr(cause, "__notes__", ()))
        for text in (told(cause), *map(words, (*cause.args, *notes))):
            if not any(text in before for before in said):
                said.append(text)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(said)


def words(thing: object) -> str:
    """What an object says that has no other form: its `str` and its `repr`, whichever holds the other, or both."""
    kind: Any = type(thing)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return unspoken(thing)
    try:
        said, shown = str(thing), thing if isinstance(thing, str) else repr(thing)
    except Exception:  # noqa: BLE001  (somebody else's object, as above)
        return unspoken(thing)
    both = shown if said in shown else said if shown in said else f"{said}\n{shown}"
    return both.encode("utf-8", "backslashreplace").decode()


def unspoken(thing: object) -> str:
    """What stands for an object that says nothing: its type."""
    return f"<{type(thing).__name__}>"
