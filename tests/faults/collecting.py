"""A collector that is down, slow or failing: calls go on, whatever becomes of spans and measurements."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from guardrail.cli.exporting import begin
from guardrail.telemetry.testing import Behaviour, Collector
from tests.faults.fault import GOES_ON, Fault, Scene
from tests.faults.project import project

_SETTINGS = {
    "OTEL_METRIC_EXPORT_INTERVAL": "100", "OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
}  # fmt: skip


@contextmanager
def _down(folder: Path) -> Iterator[Scene]:
    with ExitStack() as second:
        with ExitStack() as first:
            collector = first.enter_context(Collector())
            port = int(collector.url.rpartition(":")[2])

            def mend() -> None:
                second.enter_context(Collector(port=port))

            with _exporting(folder, collector, first.close, mend) as scene:
                yield scene


def _that(behaviour: Behaviour) -> Callable[[Path], AbstractContextManager[Scene]]:
    @contextmanager
    def scene(folder: Path) -> Iterator[Scene]:
        with Collector() as collector:

            def becomes(behaviour: Behaviour) -> Callable[[], None]:
                return lambda: setattr(collector, "behaviour", behaviour)

            with _exporting(folder, collector, becomes(behaviour), becomes("answers")) as scene:
                yield scene

    return scene


@contextmanager
def _exporting(
    folder: Path, collector: Collector, strike: Callable[[], object], mend: Callable[[], object]
) -> Iterator[Scene]:
    """A guard in a process whose environment names the collector."""
    os.environ.update(_SETTINGS, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    end = begin()
    try:
        with project(folder) as (guard, ledger):
            yield Scene(guard=guard, place=ledger.path, strike=strike, mend=mend)
    finally:
        end()


def _fault(name: str, scene: Callable[[Path], AbstractContextManager[Scene]], says: str) -> Fault:
    return Fault(
        name=name, part="collector", scene=scene, answers=GOES_ON, about="collector", state="down", says=says,
        exit_code=4, alone=True,
    )  # fmt: skip


FAULTS = [
    _fault("is down", _down, "cannot be reached"),
    _fault("does not answer", _that("hangs"), "no answer within"),
    _fault("answers with 500", _that("fails"), "answers with 500"),
]
