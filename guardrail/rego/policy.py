"""The embedded Rego policy: a bundle that decides, and can be changed for another while calls run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import orjson

from guardrail.bundles import Bundle
from guardrail.canonical import canonical, digest
from guardrail.decisions import Decision, refuse
from guardrail.errors import InvalidArguments, PolicyError
from guardrail.policy import Policy, PolicyInput
from guardrail.rego.answers import decision_of
from guardrail.rego.interpreter import RegoError, RegoPanicError, interpreter_version
from guardrail.rego.settled import settled
from guardrail.rego.testing import verify_bundle
from guardrail.rego.threads import Evaluator
from guardrail.version import __version__

_OF_OUTPUTS = re.compile(r"\binput\.output\b|\"output\"")
"""What a rule that speaks of outputs says."""
_OWNER = "the owner of the policy has to repair it"


class RegoPolicy:
    """Decides by a bundle of Rego policies, in this process.

    The interpreter cannot be interrupted and holds the interpreter lock, so a slow policy stops every
    thread; its answer is a deny once it is there. Who needs a hard deadline asks an OPA server.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        limit: float = 1.0,
        max_input: int = 1024 * 1024,
        observe: Iterable[str] = (),
        test_timeout: float | None = 60.0,
    ) -> None:
        """Check the bundle and make it the active one.

        Args:
            bundle: what decides.
            limit: seconds that one evaluation may take.
            max_input: the largest policy input, in bytes.
            observe: ids of rules that are recorded and not enforced.
            test_timeout: seconds that the bundle's own tests may take in all, before it is activated; None =
                they are not run.

        Raises:
            PreflightError: the bundle uses what cannot be decided safely.
            PolicyError: its own tests fail, hang or crash.
        """
        self._limit = limit
        self._max_input = max_input
        self._observe = frozenset(observe)
        self._test_timeout = test_timeout
        self._evaluator = Evaluator()
        verify_bundle(bundle, timeout=test_timeout)
        self._active = self._stated(bundle)

    @classmethod
    def stored(cls, bundle: Mapping[str, Any]) -> Self:
        """The policy again whose `bundle` was stored, to recompute what it decided.

        Its tests passed when it was activated; they are not run again.

        Raises:
            PolicyError: this is not what a `RegoPolicy` stores, or it would not be activated today.
        """
        try:
            settings = cast("Mapping[str, Any]", bundle["settings"])
            return cls(
                Bundle.from_json(bundle["rego"]),
                limit=settings["limit"],
                max_input=settings["max_input"],
                observe=settings["observe"],
                test_timeout=None,
            )
        except (KeyError, TypeError) as error:
            raise PolicyError(f"what is stored is not an embedded Rego policy: {error}") from error

    @staticmethod
    def revision_of(bundle: Mapping[str, Any]) -> str:
        """The revision that a stored `bundle` has by what is in it, whatever reads it today.

        Raises:
            PolicyError: this is not what a `RegoPolicy` stores.
        """
        named = {**bundle, "rego": Bundle.from_json(bundle.get("rego")).revision}
        try:
            return digest(canonical(named))
        except InvalidArguments as error:
            raise PolicyError(f"what is stored is not an embedded Rego policy: {error.message}") from error

    @property
    def revision(self) -> str:
        """Digest over `bundle`: the modules and data, the settings, and the versions that read them."""
        return self._active.revision

    @property
    def bundle(self) -> Mapping[str, Any]:
        """Everything that `revision` digests."""
        return self._active.stored

    @property
    def reviews(self) -> bool:
        """Whether any rule speaks of outputs: only then is the policy asked about them."""
        return self._active.reviews

    def decide(self, given: PolicyInput) -> Decision:
        """Decide. What goes wrong is a deny that says so; the whole decision is of one revision."""
        return self._active.decide(given)

    def pinned(self) -> Policy:
        """The policy as it stands now: it keeps to one revision, whatever is activated meanwhile."""
        return self._active

    def prepared(self, bundle: Bundle) -> Policy:
        """What this policy would be with another bundle, once that has been checked: for `adopt`.

        Raises:
            PolicyError: it does not parse, or fails the pre-flight or its tests.
        """
        verify_bundle(bundle, timeout=self._test_timeout)
        return self._stated(bundle)

    def adopt(self, prepared: Policy) -> None:
        """Decide by what was prepared from now on: one pointer swap."""
        if not isinstance(prepared, _Active):
            raise PolicyError("only what this policy has prepared can be activated")
        self._active = prepared

    def activate(self, bundle: Bundle) -> None:
        """Decide by another bundle from now on: one pointer swap, once the bundle has been checked.

        Raises:
            PolicyError: it does not parse, or fails the pre-flight or its tests; the last good one stays.
        """
        try:
            prepared = self.prepared(bundle)
        except PolicyError as error:
            raise PolicyError(
                f"the new policy was not activated, {self.revision[:16]} stays active: {error.message}",
                fix=error.fix,
            ) from error
        self.adopt(prepared)

    def close(self) -> None:
        """End the thread that evaluates for other threads. Whoever still asks gets a deny."""
        self._evaluator.close()

    def _stated(self, bundle: Bundle) -> _Active:
        stored = {
            "rego": bundle.as_json(),
            "settings": {
                "limit": self._limit,
                "max_input": self._max_input,
                "observe": sorted(self._observe),
            },
            "interpreter": interpreter_version(),
            "guardrail": __version__,
        }
        return _Active(
            deciding=settled(bundle),
            stored=stored,
            revision=digest(canonical({**stored, "rego": bundle.revision})),
            reviews=any(_OF_OUTPUTS.search(source) for source in bundle.rules.values()),
            evaluator=self._evaluator,
            limit=self._limit,
            max_input=self._max_input,
            observe=self._observe,
        )


def shown(given: PolicyInput, *, max_input: int, revision: str) -> bytes | Decision:
    """What is shown to a policy, as JSON text; or a deny, where that cannot be.

    Args:
        given: the input.
        max_input: how large it may be, in bytes.
        revision: of the policy.
    """
    try:
        text = given.json
    except (InvalidArguments, orjson.JSONEncodeError, RecursionError) as error:
        return refuse("policy.error", f"the call cannot be shown to the policy: {error}", revision=revision)
    if len(text) <= max_input:
        return text
    message = f"the policy input is {len(text):,} bytes; at most {max_input:,} are accepted"
    fix = "pass a reference (a path, an id) instead of the content"
    return refuse("policy.error", message, fix=fix, revision=revision)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Active:
    """What decides now, replaced as one; a policy of one revision."""

    deciding: Bundle
    stored: Mapping[str, Any]
    revision: str
    reviews: bool
    evaluator: Evaluator
    limit: float
    max_input: int
    observe: frozenset[str]

    @property
    def bundle(self) -> Mapping[str, Any]:
        """Everything that `revision` digests."""
        return self.stored

    def decide(self, given: PolicyInput) -> Decision:
        """Decide. What goes wrong is a deny that says so; the whole decision is of one revision."""
        try:
            text = given.json
        except (InvalidArguments, orjson.JSONEncodeError, RecursionError) as error:
            message = f"the call cannot be shown to the policy: {error}"
            return refuse("policy.error", message, revision=self.revision)
        if len(text) > self.max_input:
            message = f"the policy input is {len(text):,} bytes; at most {self.max_input:,} are accepted"
            fix = "pass a reference (a path, an id) instead of the content"
            return refuse("policy.error", message, fix=fix, revision=self.revision)
        try:
            answer = self.evaluator.answer(self.deciding, text.decode())
        except RegoPanicError as error:
            return refuse("policy.panic", str(error), fix=_OWNER, revision=self.revision)
        except RegoError as error:
            return refuse("policy.error", f"the policy raised: {error}", fix=_OWNER, revision=self.revision)
        if answer.seconds > self.limit:
            message = f"the policy took {answer.seconds:.2f} s; at most {self.limit:g} s are accepted"
            return refuse("policy.timeout", message, fix=_OWNER, revision=self.revision)
        return decision_of(answer.text, revision=self.revision, observe=self.observe)
