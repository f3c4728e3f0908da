"""An OPA server that decides: the bare request of its client, and the embedded interpreter."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
from measuring import Benchmark, Goal, Pair, Round, Scale, Stopwatch, in_turns
from opa_client import AsyncOpaClient, OpaClient
from scene import RUN_LENGTH, guarded, half_way

from guardrail.bundles import Bundle
from guardrail.errors import ConfigError
from guardrail.opa import OpaPolicy, Server
from guardrail.opa.process import Process, executable
from guardrail.policy import PolicyInput
from guardrail.rego import RegoPolicy
from guardrail.replay.recorded import input_of

_STRICT: Final = {"strict-builtin-errors": "true", "provenance": "true"}
_BLOCKING: Final = Goal(name="OPA, blocking", against="the client's bare request", bound=1.3, aim=1.1)
_AWAITED: Final = Goal(name="OPA, asyncio", against="the client's bare request", bound=1.3, aim=1.1)
_EMBEDDED: Final = Goal(name="embedded decision", against="the same from OPA", bound=1.0, aim=0.3)


@contextmanager
def _asked(folder: Path, scale: Scale) -> Iterator[Round]:
    bundle = Bundle.shipped()
    given = _given(folder)
    shown: dict[str, Any] = orjson.loads(given.json)
    with ExitStack() as opened:
        server = opened.enter_context(Process(bundle))
        policy = opened.enter_context(closing(OpaPolicy(Server(url=server.url, timeout=20), bundle=bundle)))
        embedded = opened.enter_context(closing(RegoPolicy(bundle)))
        runner = opened.enter_context(asyncio.Runner())
        bare = opened.enter_context(OpaClient(host="127.0.0.1", port=server.port, retries=0, timeout=20))
        bare_async = AsyncOpaClient(host="127.0.0.1", port=server.port, retries=0, timeout=20)
        runner.run(bare_async.__aenter__())
        opened.callback(lambda: runner.run(bare_async.close_connection()))

        async def awaited(stopwatch: Stopwatch) -> None:
            for _ in range(RUN_LENGTH):
                await stopwatch.time_async(policy.decide_async, given)

        async def bare_awaited(stopwatch: Stopwatch) -> None:
            for _ in range(RUN_LENGTH):
                await stopwatch.time_async(bare_async.query_rule, shown, "guardrail", "decision", _STRICT)

        cases = {
            "blocking": lambda stopwatch: _timed(stopwatch, policy.decide, given),
            "bare": lambda stopwatch: _timed(
                stopwatch, bare.query_rule, shown, "guardrail", "decision", _STRICT
            ),
            "awaited": lambda stopwatch: runner.run(awaited(stopwatch)),
            "bare awaited": lambda stopwatch: runner.run(bare_awaited(stopwatch)),
            "embedded": lambda stopwatch: _timed(stopwatch, embedded.decide, given),
        }

        def measure() -> Mapping[str, Pair]:
            watches = in_turns(cases, scale.runs)
            wall = {name: watch.wall for name, watch in watches.items()}
            return {
                _BLOCKING.name: Pair(ours=wall["blocking"], raw=wall["bare"]),
                _AWAITED.name: Pair(ours=wall["awaited"], raw=wall["bare awaited"]),
                _EMBEDDED.name: Pair(ours=wall["embedded"], raw=wall["blocking"]),
            }

        yield measure


def _timed(stopwatch: Stopwatch, work: Any, *given: Any) -> None:
    for _ in range(RUN_LENGTH):
        stopwatch.time(work, *given)


def _given(folder: Path) -> PolicyInput:
    """The input of a call in the middle of a run."""
    with guarded(folder / "asked.db") as guard, guard.run(principal="user:anna") as run:
        return input_of(orjson.loads(guard.judge.judge(half_way(guard, run)).given))


def _is_here() -> bool:
    """Whether there is an OPA to ask."""
    try:
        executable()
    except ConfigError:
        return False
    return True


BENCHMARKS: Final = (
    (Benchmark(name="opa", goals=(_BLOCKING, _AWAITED, _EMBEDDED), prepare=_asked),) if _is_here() else ()
)
