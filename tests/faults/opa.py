"""An OPA server that is down, slow, or answers nonsense: a real one, behind an edge that can pass on something else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from guardrail.errors import ConfigError
from guardrail.opa.process import Process, executable
from guardrail.opa.testing import Answer, Asked, StandIn, decided, reply
from tests.faults.fault import Fault, Scene
from tests.faults.project import BUNDLE, FROM_FOLDER, project

_OPA = '[opa]\nurl = "{url}"\ntimeout = "{timeout}"\npause = "50ms"\n'


def _server() -> Process:
    """A server; where there is no OPA, the test is skipped, or fails where one has to be there."""
    try:
        executable()
    except ConfigError as error:
        if os.environ.get("GUARDRAIL_NEEDS_OPA") == "1":
            raise
        pytest.skip(f"{error.message}: {error.fix}")
    return Process(BUNDLE)


@contextmanager
def _in_front(
    folder: Path, url: str, timeout: str, strike: Callable[[], object], mend: Callable[[], object]
) -> Iterator[Scene]:
    policies = FROM_FOLDER + _OPA.format(url=url, timeout=timeout)
    with project(folder, policies=policies) as (guard, ledger):
        yield Scene(guard=guard, place=ledger.path, strike=strike, mend=mend)


@contextmanager
def _killed(folder: Path) -> Iterator[Scene]:
    with (
        _server() as server,
        _in_front(folder, server.url, "5s", server.kill, server.start) as scene,
    ):
        yield scene


@contextmanager
def _stopped(folder: Path) -> Iterator[Scene]:
    with (
        _server() as server,
        _in_front(folder, server.url, "500ms", server.stop, server.go_on) as scene,
    ):
        yield scene


def _answering(nonsense: Answer) -> Callable[[Path], AbstractContextManager[Scene]]:
    """An edge that passes questions on to the server, and answers by itself once it is struck."""

    @contextmanager
    def scene(folder: Path) -> Iterator[Scene]:
        with _server() as server, httpx.Client(base_url=server.url, trust_env=False) as client:

            def passed_on(asked: Asked) -> bytes:
                answer = client.request("POST" if asked.body else "GET", asked.target, content=asked.body)
                return reply(answer.content, status=f"{answer.status_code} {answer.reason_phrase}")

            def becomes(answer: Answer) -> Callable[[], None]:
                return lambda: setattr(edge, "answer", answer)

            with (
                StandIn(passed_on) as edge,
                _in_front(folder, edge.url, "5s", becomes(nonsense), becomes(passed_on)) as scene,
            ):
                yield scene

    return scene


def _fault(
    name: str, scene: Callable[[Path], AbstractContextManager[Scene]], state: str, says: str, *answers: str
) -> Fault:
    return Fault(
        name=name, part="OPA", scene=scene, answers=frozenset(answers), about="opa", state=state, says=says,
        exit_code=4 if state == "down" else 1,
    )  # fmt: skip


_PAGE = reply(b"<html>Welcome to nginx!</html>")
_BUSY = reply(b"{}", status="503 Service Unavailable")
FAULTS = [
    _fault("is killed", _killed, "down", "cannot be reached", "policy.unreachable"),
    _fault(
        "does not answer (SIGSTOP)",
        _stopped,
        "down",
        "did not answer",
        "policy.timeout",
        "policy.unreachable",
    ),
    _fault("answers with 503", _answering(lambda _: _BUSY), "down", "503", "policy.refused"),
    _fault("answers with a web page", _answering(lambda _: _PAGE), "error", "no JSON", "policy.malformed"),
    _fault(
        "answers with another type",
        _answering(lambda _: decided({"allow": "yes"})),
        "error",
        "no well-formed decision",
        "policy.malformed",
    ),
    _fault(
        "answers with 2 MB",
        _answering(lambda _: decided("x" * 2_000_000)),
        "error",
        "more than",
        "policy.oversized",
    ),
    _fault(
        "has lost its policies",
        _answering(lambda _: reply(b"{}")),
        "error",
        "has no value",
        "policy.undefined",
    ),
]
