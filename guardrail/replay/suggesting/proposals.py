"""The proposals: rules that would have spared people questions, with what each would have come to on all history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from guardrail.bundles import Bundle
from guardrail.errors import PolicyError
from guardrail.replay.candidate import Candidate as Deciding
from guardrail.replay.findings import VERDICTS, Finding, Verdict
from guardrail.replay.history import History
from guardrail.replay.suggesting.candidates import Candidate, candidates
from guardrail.replay.suggesting.evidence import Against, Wanted, groups, why_not
from guardrail.replay.suggesting.requests import Asked, Request, asked
from guardrail.replay.suggesting.rule import Between, OneOf, Under
from guardrail.replay.suggesting.written import Written, written
from guardrail.replay.what_if import each_beside

Decider = Callable[[Bundle], Deciding]
"""Makes who decides of policies, with the rest of the configuration as it is."""
Progress = Callable[[int, int | None], None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One rule, and what it would have come to.

    Attributes:
        written: the rule and its test.
        tool: `server/name`.
        agent: who makes the calls.
        principal: for whom.
        asks: the rules that would not ask.
        covers: which calls, in words.
        approvals: ids of the requests that it rests on.
        people: who approved them.
        prompts: ids of the requests that nobody would have been asked, by the what-if.
        counts: how many decisions of the history come out how; all verdicts are there.
        flips: the decisions that come out otherwise.
        refused: requests about this tool that people refused or changed, and that it does not cover.
        unread: such requests whose arguments cannot be read any more, so that nobody knows whether it would cover them.
    """

    written: Written
    tool: str
    agent: str
    principal: str
    asks: tuple[str, ...]
    covers: str
    approvals: tuple[str, ...]
    people: tuple[str, ...]
    prompts: tuple[str, ...] = ()
    counts: Mapping[Verdict, int]
    flips: tuple[Finding, ...] = ()
    refused: int = 0
    unread: int = 0

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        fields = asdict(self) | {"files": self.written.files}
        del fields["written"]
        return {"name": self.written.name, **fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """What there is to suggest.

    Attributes:
        proposals: the one that spares most questions first.
        prompts: how many requests were looked at.
        unused: why requests speak for no rule → how many.
        few: how many speak for one, but too few of them for the same.
        dropped: rules that are not proposed, with why.
    """

    proposals: tuple[Proposal, ...]
    prompts: int
    unused: Mapping[str, int]
    few: int
    dropped: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "proposals": [proposal.as_json() for proposal in self.proposals],
            "prompts": self.prompts,
            "unused": dict(self.unused),
            "few": self.few,
            "dropped": dict(self.dropped),
        }


def suggest(
    history: History,
    bundle: Bundle,
    decider: Decider,
    wanted: Wanted,
    *,
    most: int = 10,
    progress: Progress = None,
) -> Suggested:
    """Propose rules from what people have approved again and again. Nothing is changed.

    Args:
        history: where to read: all of it is.
        bundle: the policies as they are.
        decider: makes who decides of policies.
        wanted: what a rule has to rest on.
        most: how many proposals there may be.
        progress: is told how many records were read, and walked again.

    Raises:
        LedgerUnavailable: the ledger, or its key, cannot be read.
        PolicyError: the policies as they are cannot be used.
    """
    found = asked(history, progress)
    reasons = {request.place: why_not(request, wanted) for request in found.requests}
    of_interest = [
        request
        for request in found.requests
        if request.at >= wanted.since and wanted.tool in (None, request.tool, request.tool.partition("/")[2])
    ]
    speaking = [request for request in of_interest if not reasons[request.place]]
    chosen: list[Candidate] = []
    for group in groups(speaking):
        against = Against.of(found.requests, found.silent, group.people)
        chosen += candidates(group, against, wanted)
    chosen.sort(key=lambda candidate: candidate.order)
    tried = _Trying(history, bundle, decider, found, wanted).all(chosen[:most], progress)
    resting = {request.place for candidate in chosen for request in candidate.evidence}
    unused = Counter(why for request in of_interest if (why := reasons[request.place]))
    return Suggested(
        proposals=tuple(sorted(tried.proposals, key=lambda one: (-len(one.prompts), one.written.name))),
        prompts=len({request.approval for request in of_interest}),
        unused=dict(sorted(unused.items(), key=lambda item: (-item[1], item[0]))),
        few=sum(request.place not in resting for request in speaking),
        dropped=tried.dropped | {_written(one).name: _BEYOND for one in chosen[most:]},
    )


_BEYOND: Final = "others spare more questions (--most)"


class _Trying:
    """Tries every candidate on all of the history."""

    def __init__(
        self, history: History, bundle: Bundle, decider: Decider, found: Asked, wanted: Wanted
    ) -> None:
        self._history = history
        self._bundle = bundle
        self._decider = decider
        self._found = found
        self._wanted = wanted
        self.proposals: list[Proposal] = []
        self.dropped: dict[str, str] = {}
        self._unasked: set[tuple[int, int]] = (
            set()
        )  # what people were asked about then, and would not be today

    def all(self, chosen: Sequence[Candidate], progress: Progress) -> _Trying:
        """Walk the history once, under all of them."""
        deciding: list[tuple[Candidate, Written, Deciding]] = []
        for candidate in chosen:
            text = _written(candidate)
            try:
                bundle = Bundle.of({**self._bundle.modules, **text.files}, self._bundle.data)
                deciding.append((candidate, text, self._decider(bundle)))
            except PolicyError as error:
                self.dropped[text.name] = f"the policies would not be activated with it: {error.message}"
        if not deciding:
            return self
        flips: list[list[Finding]] = [[] for _ in deciding]
        resting = {request.place for candidate in chosen for request in candidate.evidence}
        counts = [Counter[Verdict]() for _ in deciding]
        walk = each_beside(
            self._history, self._decider(self._bundle), [one for *_, one in deciding], self._found.at_once
        )
        for number, findings in enumerate(walk, start=1):
            for index, finding in enumerate(findings):
                if finding is not None:
                    counts[index][finding.verdict] += 1
                    if finding.before.answer == "allowed" and (finding.log, finding.sequence) in resting:
                        self._unasked.add((finding.log, finding.sequence))
                    if finding.verdict.startswith("newly"):
                        flips[index].append(finding)
            if progress is not None and number % 100 == 0:
                progress(number, None)
        for (candidate, text, _), changed, verdicts in zip(deciding, flips, counts, strict=True):
            self._judge(candidate, text, tuple(changed), verdicts)
        return self

    def _judge(
        self, candidate: Candidate, text: Written, flips: tuple[Finding, ...], counts: Counter[Verdict]
    ) -> None:
        """Keep a candidate that spares people a yes that they gave, and changes nothing else."""
        agreed = {one.place: one.approval for one in self._found.requests if one.fate == "agreed"}
        allowed = [(flip.log, flip.sequence) for flip in flips if flip.verdict == "newly allowed"]
        if not agreed.keys() >= set(allowed):
            self.dropped[text.name] = "it would have allowed what nobody had approved"
            return
        if len(allowed) < len(flips):
            self.dropped[text.name] = "it would have changed other decisions, too"
            return
        prompts = tuple(dict.fromkeys(agreed[place] for place in allowed))
        still = [request for request in candidate.evidence if request.place not in self._unasked]
        if len(still) < self._wanted.minimum or not prompts:
            self.dropped[text.name] = (
                "today's policies ask about too few of them, or nobody can say what they would"
            )
            return
        self.proposals.append(self._proposal(candidate, text, prompts, flips, counts))

    def _proposal(
        self,
        candidate: Candidate,
        text: Written,
        prompts: tuple[str, ...],
        flips: tuple[Finding, ...],
        counts: Counter[Verdict],
    ) -> Proposal:
        rule = candidate.rule
        against = [
            request
            for request in self._found.requests
            if request.tool == rule.title and request.fate in {"refused", "changed"}
        ]
        return Proposal(
            written=text,
            tool=rule.title,
            agent=rule.agent["id"],
            principal=rule.principal["id"],
            asks=rule.asks,
            covers=in_words(candidate),
            approvals=tuple(request.approval for request in candidate.evidence),
            people=_people(candidate.evidence),
            prompts=prompts,
            counts={verdict: counts[verdict] for verdict in VERDICTS},
            flips=flips,
            refused=sum(request.given is not None for request in against),
            unread=sum(request.given is None for request in against),
        )


def _written(candidate: Candidate) -> Written:
    given = [request.given for request in candidate.evidence if request.given is not None]
    return written(candidate.rule, given, people=len(_people(candidate.evidence)))


def _people(requests: Sequence[Request]) -> tuple[str, ...]:
    return tuple(sorted({person for request in requests for person in request.yes}))


def in_words(candidate: Candidate) -> str:
    """Which calls a candidate covers."""
    varying = candidate.rule.varying
    match varying:
        case None:
            return "exactly this call"
        case OneOf():
            return f"{len(varying.values)} values of {varying.argument}, all else as it was"
        case Between():
            return f"{varying.argument} from {varying.least:g} to {varying.greatest:g}, all else as it was"
        case Under():
            return f"{varying.argument} below {varying.place}, all else as it was"
