"""The policy of an OPA server: what it answers, read as strictly as the embedded one's answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, cast

import orjson

from guardrail.bundles import Bundle
from guardrail.canonical import canonical, digest
from guardrail.decisions import Answered, Decision, Sameness, refuse
from guardrail.errors import ConfigError
from guardrail.opa.asking import Asking
from guardrail.opa.connection import UnansweredError
from guardrail.opa.pause import Pause
from guardrail.opa.server import Server
from guardrail.policy import PolicyInput
from guardrail.rego import RegoPolicy
from guardrail.rego.answers import decision_of
from guardrail.rego.policy import shown
from guardrail.version import __version__

_ID: Final = 200
"""Characters of an id or revision that are kept."""
_OWNER: Final = "the owner of the policy has to repair it"


class OpaPolicy:
    """Decides by what an OPA server answers. Whatever else it does than answer is a deny that says so.

    From the third failure in a row on, the server is left alone for a moment, so that its deadline is not paid by
    every call. Meanwhile nothing is allowed, unless `fallback` says who decides instead.
    """

    def __init__(
        self,
        server: Server,
        *,
        bundle: Bundle | None = None,
        fallback: Literal["embedded"] | None = None,
        observe: Iterable[str] = (),
        reviews: bool | None = None,
        max_input: int = 1024 * 1024,
        failures: int = 3,
        pause: float = 1.0,
        test_timeout: float | None = 60.0,
    ) -> None:
        """Check the bundle; the server is asked at the first decision.

        Args:
            server: who is asked.
            bundle: what the server is believed to decide by: stored with the policy, so that decisions can be
                recomputed; None = that is not known here.
            fallback: `embedded`: where the server cannot be asked, the bundle decides in this process, unless the
                server has said that it decides by another one.
            observe: ids of rules that are recorded and not enforced.
            reviews: whether outputs are shown to the server; None = where a rule of the bundle speaks of them, and
                where there is no bundle.
            max_input: the largest policy input, in bytes.
            failures: in a row, after which the server is left alone; 0 = never.
            pause: for how long, in seconds.
            test_timeout: seconds that the bundle's own tests may take; None = they are not run.

        Raises:
            ConfigError: a fallback without a bundle, or a certificate cannot be read.
            PreflightError: the bundle uses what cannot be decided safely, or means two things on two back ends.
            PolicyError: its own tests fail, hang or crash.
        """
        if fallback and bundle is None:
            raise ConfigError("an embedded fallback needs a bundle", fix="name the policies under [policies]")
        server.context()  # what is wrong with a certificate shows now
        self.server = server
        self._fallback = fallback
        self._observe = frozenset(observe)
        self._max_input = max_input
        self._asking = Asking(server, Pause(failures=failures, seconds=pause))
        self._local = bundle
        self._embedded = None
        if bundle is not None:
            self._embedded = RegoPolicy(
                bundle, limit=server.timeout, max_input=max_input, observe=observe, test_timeout=test_timeout
            )
        self._reviews = reviews
        self._stated = self._statement()
        self._revision = digest(canonical(_named(self._stated, bundle)))
        self._seen = Answered(by="opa")  # what the server said last, replaced as one

    @property
    def revision(self) -> str:
        """Digest over `bundle`. The bundle of the server is not in it: each decision names that itself."""
        return self._revision

    @property
    def bundle(self) -> Mapping[str, Any]:
        """Everything that `revision` digests."""
        return self._stated

    @property
    def reviews(self) -> bool:
        """Whether outputs are shown to the server."""
        if self._reviews is not None:
            return self._reviews
        return self._embedded is None or self._embedded.reviews

    def decide(self, given: PolicyInput) -> Decision:
        """Decide. What goes wrong is a deny that says so."""
        text = shown(given, max_input=self._max_input, revision=self.revision)
        if isinstance(text, Decision):
            return text
        try:
            answer = self._asking.ask(text)
        except UnansweredError as error:
            return self._instead(given, error)
        return self._read(answer)

    async def decide_async(self, given: PolicyInput) -> Decision:
        """The same, on the event loop that runs."""
        text = shown(given, max_input=self._max_input, revision=self.revision)
        if isinstance(text, Decision):
            return text
        try:
            answer = await self._asking.ask_async(text)
        except UnansweredError as error:
            return self._instead(given, error)
        return self._read(answer)

    def health(self) -> str:
        """What is wrong with the server, as it says itself; empty = nothing: its bundles are active.

        Raises:
            UnansweredError: it cannot be asked.
        """
        return self._asking.health()

    def close(self) -> None:
        """Let go of all connections. Whoever still asks gets a deny."""
        self._asking.close()
        if self._embedded is not None:
            self._embedded.close()

    def _read(self, answer: Mapping[str, Any]) -> Decision:
        """The decision in an answer of the server."""
        said = self._seen = self._answered(answer)
        if "result" not in answer:
            decision = refuse(
                "policy.undefined",
                f"data.{self.server.entry} has no value on {self.server.title}",
                fix="load the policies into the server; `guardrail bundle` writes them as it reads them",
                revision=self.revision,
            )
        else:
            decision = self._decision(answer["result"])
        return replace(decision, answered=(said,))

    def _decision(self, result: Any) -> Decision:
        try:
            text = orjson.dumps(result).decode()
        except orjson.JSONEncodeError as error:  # it is read deeper than it is written
            message = f"{self.server.title} gave no well-formed decision: {error}"
            return refuse("policy.malformed", message, fix=_OWNER, revision=self.revision)
        return decision_of(text, revision=self.revision, observe=self._observe)

    def _instead(self, given: PolicyInput, error: UnansweredError) -> Decision:
        """What is decided where the server gave no answer."""
        seen, message = self._seen, error.message
        if self._embedded is not None and self._fallback and error.passing:
            if seen.bundle != "other":
                why = f"{error.code}: {error.brief}"
                said = Answered(by="embedded", bundles=seen.bundles, bundle=seen.bundle, why=why)
                return replace(self._embedded.decide(given), revision=self.revision, answered=(said,))
            message += "; the bundle here is another one than it decided by, so it does not stand in"
        decision = refuse(error.code, message, fix=error.fix, revision=self.revision)
        return replace(decision, answered=(Answered(by="nobody", why=error.code),))

    def _answered(self, answer: Mapping[str, Any]) -> Answered:
        """Who has answered, as far as the server says."""
        found: object = answer.get("provenance")
        provenance = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        listed: object = provenance.get("bundles")
        bundles = {
            str(name)[:_ID]: str(cast("dict[str, Any]", stated).get("revision", ""))[:_ID]
            for name, stated in (cast("dict[str, Any]", listed).items() if isinstance(listed, dict) else ())
            if isinstance(stated, dict)
        }
        return Answered(
            by="opa",
            decision_id=str(answer.get("decision_id", ""))[:_ID],
            bundles=bundles,
            bundle=self._sameness(bundles),
        )

    def _sameness(self, bundles: Mapping[str, str]) -> Sameness:
        """Whether the server decides by the bundle that is known here: `guardrail bundle` writes its digest down."""
        stated = set(filter(None, bundles.values()))
        if self._local is None or not stated:
            return "unknown"
        return "same" if stated == {self._local.revision} else "other"

    def _statement(self) -> dict[str, Any]:
        server, embedded = self.server, self._embedded
        return {
            "opa": {
                "url": server.url,
                "entry": server.entry,
                "timeout": server.timeout,
                "max_answer": server.max_answer,
                "fallback": self._fallback,
                "reviews": self._reviews,
            },
            "rego": None if embedded is None else embedded.bundle["rego"],
            "settings": {
                "limit": server.timeout,
                "max_input": self._max_input,
                "observe": sorted(self._observe),
            },
            "interpreter": None if embedded is None else embedded.bundle["interpreter"],
            "guardrail": __version__,
        }


def _named(stated: Mapping[str, Any], bundle: Bundle | None) -> dict[str, Any]:
    return {**stated, "rego": None if bundle is None else bundle.revision}
