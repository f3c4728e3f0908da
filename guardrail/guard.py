"""The guard: what a user builds once and wraps tools with."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

from guardrail.activating import Feed
from guardrail.admission import Refuse
from guardrail.boundaries import Boundaries
from guardrail.calls import Agent, ArgumentKind, Call, Effect, Principal, Tool
from guardrail.checks import check_choice, check_name, check_pointers
from guardrail.config import Config, Durability, Mode
from guardrail.decisions import Decision, Reason, ReasonCode, refuse
from guardrail.declarations import Found, defined
from guardrail.drivers import drive, drive_async
from guardrail.errors import ConfigError, InvalidArguments, InvalidTool, LedgerError
from guardrail.execution import Attempt
from guardrail.hidden import Hidden
from guardrail.judging import Judge
from guardrail.known import Agents, Begun
from guardrail.ledger import Ledger
from guardrail.names import Names
from guardrail.outcomes import Outcome, readable
from guardrail.outputs import ConfiguredCheck, default_checks
from guardrail.policy import AllOf, Policy
from guardrail.provenance import Source, Vouching
from guardrail.registry import Registry
from guardrail.runs import Run, check_run, current_run, fresh_run_id, inside
from guardrail.saying import Saying
from guardrail.settings import ToolSettings
from guardrail.spans import LineSpan
from guardrail.telemetry import measures, names
from guardrail.version import __version__
from guardrail.voting import Voting
from guardrail.walks import Surroundings, Waiting, lost
from guardrail.wrapping import guarded

_F = TypeVar("_F", bound=Callable[..., Any])


class _Closable(Protocol):
    def close(self) -> None: ...


class Guardrail(Saying):
    """Stands between agents and their tools: understands, bounds, decides, admits, executes once, records.

    Args:
        policy: who decides; several are combined, the strictest wins. Boundaries count as one.
        ledger: where everything is written: an open ledger, or the path of its SQLite file.
        boundaries: what each agent may do; without them nothing limits an agent but the policy.
        tools: what the configuration says of tools, by `server/name`.
        folder: what folders named there are relative to.
        agents: what policies may know of agents, by their id.
        principals: what policies may know of those whom agents act for, by their id.
        registry: what is known of packages; left out: their names alone, and nothing is asked.
        names: where the names in URLs lead; left out: nobody asks.
        voting: who may answer for agents, and for what; left out: whoever has a plain name, by the shipped policy.
        mode: `enforce`, or `observe`.
        outcome: `durable`, or `buffered`.
        strict: adapters refuse to wrap what has tools that cannot be guarded.
        hide: JSON pointers into arguments that nothing may show.
        checks: what looks at outputs; None = `outputs.default_checks`.
        clock: the time, for tests; left out: the ledger's.

    Raises:
        ConfigError: nothing decides, neither a policy nor boundaries; or one of the words is not what it may be.
    """

    def __init__(
        self,
        *,
        ledger: Ledger | Path | str,
        policy: Policy | Sequence[Policy] = (),
        boundaries: Boundaries | None = None,
        tools: Mapping[str, ToolSettings] | None = None,
        folder: Path | None = None,
        agents: Mapping[str, Mapping[str, Any]] | None = None,
        principals: Mapping[str, Mapping[str, Any]] | None = None,
        registry: Registry | None = None,
        names: Names | None = None,
        voting: Voting | None = None,
        mode: Mode = "enforce",
        outcome: Durability = "durable",
        strict: bool = False,
        hide: Sequence[str] = (),
        checks: Sequence[ConfiguredCheck] | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        check_choice("mode", mode, Mode)
        check_choice("outcome", outcome, Durability)
        self._hide = check_pointers("hide", hide)
        policies = list(policy) if isinstance(policy, Sequence) else [policy]
        self.boundaries = boundaries
        parts = [boundaries, *policies] if boundaries is not None else policies
        self.policy = AllOf(parts, hide=self._hide)
        self._owned: list[_Closable] = []
        if not isinstance(ledger, Ledger):
            ledger = Ledger.open(ledger)
            self._owned.append(ledger)
        self.ledger: Ledger = ledger
        self.registry, self.voting = registry or Registry(), voting or Voting(ledger)
        self.flights = ledger.flights
        self.mode: Mode = mode
        self.strict = strict
        self._tools = dict(tools or {})
        self.judge = Judge(
            policy=self.policy,
            boundaries=boundaries,
            ledger=ledger,
            registry=self.registry,
            names=names or Names(),
            voting=self.voting,
            mode=mode,
            folders={
                title: (folder or Path()) / declared.folder
                for title, declared in self._tools.items()
                if declared.folder is not None
            },
            clock=clock,
            checks=default_checks() if checks is None else checks,
        )
        self._surroundings = Surroundings(
            ledger=ledger, flights=self.flights, judge=self.judge, buffered=outcome == "buffered"
        )
        measures.POLICY.watch(self, _policy_of)
        self._agents, self._principals = Agents(agents or {}), dict(principals or {})
        self._begun = Begun()

    @classmethod
    def from_config(
        cls, path: Path | str | Config = "guardrail.toml", *, ledger: Ledger | None = None
    ) -> Self:
        """Build the guard that a `guardrail.toml` describes.

        Args:
            path: the file, or what was read from it.
            ledger: an open one, which stays the caller's; left out: the one that the file names.

        Raises:
            ConfigError: the file is missing or wrong; names the key and what was expected.
            PolicyError: the policies cannot be used.
            LedgerUnavailable: the database cannot be opened.
        """
        config = path if isinstance(path, Config) else Config.load(path)
        supply = config.supply()
        rego = config.rego_policy() if supply is None else None
        own: list[_Closable] = []
        if ledger is None:
            own.append(ledger := config.open_ledger())
        feed = None if supply is None else Feed(supply, ledger)
        rego = rego if feed is None else feed.open()
        voting, registry = config.voting(ledger), config.packages(ledger)
        guard = cls(
            policy=rego or (), ledger=ledger, boundaries=config.boundaries(), tools=config.tools, folder=config.folder,
            agents={name: settings.attributes for name, settings in config.agents.items()},
            principals={name: settings.attributes for name, settings in config.principals.items()},
            registry=registry, names=config.where_names_lead(), voting=voting, mode=config.mode, outcome=config.outcome,
            strict=config.strict, hide=config.masking.hide, checks=config.output_checks(),
        )  # fmt: skip
        guard._owned = [owned for owned in (feed, *own, voting, registry, rego) if owned is not None]
        if feed is not None:
            feed.begin(guard.policy)
        return guard

    def close(self) -> None:
        """Write what is buffered and let go of what this guard has opened itself."""
        for owned in self._owned:
            owned.close()
        self._owned.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- runs -----------------------------------------------------------------------------------------

    @contextmanager
    def run(
        self,
        id: str | None = None,  # noqa: A002  (the word of the design)
        *,
        principal: str | Principal = "anonymous",
        task: str = "",
    ) -> Generator[Run]:
        """Everything below belongs to this run. For host code only: a model never names its principal.

        Opened by a tool, the run is another one, and the chain goes on.

        Args:
            id: the run; the same id again continues it. Left out, the run is a fresh one.
            principal: who the agents act for.
            task: what they were asked to do, in the user's words.

        Raises:
            InvalidArguments: an id is no text that every reader takes for the same.
        """
        if not isinstance(principal, Principal):
            check_name("the id of the principal", principal, InvalidArguments)
            principal = Principal(id=principal, attributes=self._principals.get(principal, {}))
        run = Run(id=id or fresh_run_id(), principal=principal, task=task)
        self.start(run)
        with inside(run):
            try:
                yield run
            finally:
                self.ledger.flush()

    def start(self, run: Run) -> None:
        """Write down that the run begins, with its task; again is free. Another task is heard, as the user's words.

        Raises:
            InvalidArguments: its id, or its principal's, is no text that every reader takes for the same.
        """
        check_run(run)
        if run in self._begun:
            return
        self.ledger.start_run(run.id, principal=run.principal, task=run.task)
        if run.task:
            self.hear(run.task, run=run)
        self._begun.add(run)

    def hear(
        self,
        content: Any,
        *,
        trust: Vouching = "user",
        run: Run | None = None,
        readers: Sequence[str] | None = None,
    ) -> None:
        """Tell a run whose words something is. For host code only, which knows: a model never vouches for anything.

        Args:
            content: a text, or any JSON value.
            trust: whose words: the `user`'s, those of somebody whom the owner relies on, or anybody's.
            run: which run; None = the one that this code is in.
            readers: who may read it, as patterns; None = anybody.

        Raises:
            ConfigError: there is no run, or no such trust.
        """
        check_choice("trust", trust, Vouching)
        run = run or current_run()
        if run is None:
            raise ConfigError("nothing can be heard outside of a run", fix="open one: with guard.run(…)")
        said = readable(content)
        if isinstance(said, str) and self.judge.origins.says(self.ledger.read_run(run.id), said, trust):
            return
        source = Source(kind=trust, content=said, readers=None if readers is None else tuple(readers))
        self.ledger.hear(run.id, source, principal=run.principal)

    # --- tools ----------------------------------------------------------------------------------------

    def tool(
        self,
        function: _F,
        *,
        agent: str,
        name: str | None = None,
        server: str = "local",
        effect: Effect | None = None,
        kinds: Mapping[str, ArgumentKind] | None = None,
        waiting: Literal["wait", "answer"] = "wait",
    ) -> _F:
        """Guard a plain function, sync or async; the result has the same signature.

        Args:
            function: what acts.
            agent: who acts, as named in the configuration.
            name: the tool's name; the function's own where left out.
            server: who offers it.
            effect: what it does; the configuration's word stands above this one.
            kinds: argument → what it means, likewise.
            waiting: while people decide, `wait` in place until the approval expires, or `answer` at once
                by raising `Waiting`.

        Raises:
            InvalidTool: the function cannot be guarded (a generator, no schema), or a word is not what it may be.

        The guarded function raises `Denied` (or `Rejected`, `Waiting`), `UnknownOutcome` or `ResultNotKept`
        where there is no result; the message is what a model should read.
        """
        return guarded(
            self,
            function,
            agent=agent,
            name=name,
            server=server,
            effect=effect,
            kinds=kinds or {},
            waiting=waiting,
        )

    def tool_definition(
        self,
        *,
        name: str,
        server: str,
        description: str = "",
        schema: Mapping[str, Any] | None = None,
        effect: Effect | None = None,
        kinds: Mapping[str, ArgumentKind] | None = None,
    ) -> Tool:
        """The definition of a tool: what the adapter found, under what the configuration declares.

        Raises:
            InvalidTool: the name is outside the rule, or there is no such effect, kind or argument.
        """
        for argument, kind in (kinds or {}).items():
            check_choice(f"the kind of {argument!r} of {server}/{name}", kind, ArgumentKind, InvalidTool)
        declared = self._tools.get(f"{server}/{name}", ToolSettings())
        found = Found(name=name, server=server, description=description, schema=schema or {}, effect=effect)
        return defined(found, {**(kinds or {}), **declared.kinds}, declared)

    def agent(self, name: str, chain: tuple[str, ...]) -> Agent:
        """An agent as the boundaries describe it, reached through `chain` (itself included)."""
        return self._agents.agent(name, chain)

    # --- the line -------------------------------------------------------------------------------------

    def decide(self, call: Call) -> Decision:
        """The line up to the decision: nothing is stored, nothing runs."""
        return self.judge.decide(call)

    def stops(self, call: Call) -> tuple[Reason, ...]:
        """What stops a call now that the policies let pass: a halt, or budgets; nothing is taken from any."""
        now = f"{datetime.now(UTC).isoformat(timespec='seconds')[:19]}Z"
        taken = () if self.boundaries is None else self.boundaries.reservations(call, now=now)
        return self.ledger.stops.about(call, taken)

    def perform(self, attempt: Attempt, *, waiting: Waiting = "wait") -> Outcome:
        """Walk the whole line in this thread.

        Raises:
            Suspended: people have to decide, and `waiting` is `suspend`.
        """
        return drive(self._surroundings, attempt, waiting)

    async def perform_async(self, attempt: Attempt, *, waiting: Waiting = "wait") -> Outcome:
        """Walk the whole line in this task.

        Raises:
            Suspended: people have to decide, and `waiting` is `suspend`.
        """
        return await drive_async(self._surroundings, attempt, waiting)

    # --- what cannot be stated as a call --------------------------------------------------------------

    def refuse(
        self,
        *,
        run: Run,
        call_id: str,
        agent: Agent,
        tool: Tool,
        code: ReasonCode,
        message: str,
        fix: str | None = None,
        scope: str = "",
        given: Any = None,
    ) -> tuple[Call, Outcome]:
        """Record and answer a deny for what cannot be stated as a call (bad arguments, unknown tool).

        No reason says what the configuration hides of `given`, the arguments as they came.

        Returns:
            A call that stands for it, and the blocked outcome.
        """
        call = Call.refused(
            run=run.id, call=call_id, scope=scope, principal=run.principal, agent=agent, tool=tool
        )
        decision = Hidden.of(given, self._hide).decision(refuse(code, message[:2000], fix=fix))
        reasons = decision.reasons
        try:
            self.ledger.write(Refuse(call=call, decision=decision, given=b"{}"), alone=True)
        except LedgerError as error:
            reasons += (lost(error),)
        outcome = Outcome(status="blocked", heading="DENIED", reasons=reasons)
        with LineSpan(call, unknown=code == "tool.unknown") as span:
            span.refused(decision, outcome)
        return call, outcome


def _policy_of(guard: Guardrail) -> measures.Figures:
    told = {names.REVISION: guard.policy.revision, names.MODE: guard.mode, names.VERSION: __version__}
    return [(1, told)]
