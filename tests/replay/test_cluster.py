"""Ray: the same result as one process, whoever is lost. Runs where Ray is installed: `make ray`."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import ConfigError, LedgerUnavailable
from guardrail.replay.cluster import on_ray
from guardrail.replay.pool import recompute_all
from guardrail.replay.recompute import Recomputation
from tests.replay.scene import history


def test_without_ray_its_installation_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="Ray is not installed here") as raised:
        recompute_all(history(folder), engine="ray")
    assert raised.value.fix == "pip install 'guardrail-runtime[ray]'"


@pytest.fixture(name="ray", scope="module")
def _ray() -> Any:
    return pytest.importorskip("ray")


@pytest.mark.usefixtures("ray")
@pytest.mark.timeout(300)
def test_ray_finds_what_one_process_does(folder: Path):
    read = history(folder)
    assert recompute_all(read, engine="ray", processes=2, size=10) == recompute_all(read)


@pytest.mark.timeout(300)
def test_what_a_lost_worker_was_about_to_do_is_done_again(folder: Path, ray: Any):
    read = history(folder)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        found = on_ray(read, read.stretches(2), 2)
        parts = [next(found)]
        workers = _workers()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        parts += found
    finally:
        ray.shutdown()
    assert len(workers) > 0
    assert Recomputation.of(parts) == recompute_all(read)


@pytest.mark.usefixtures("ray")
@pytest.mark.timeout(300)
def test_what_the_ledger_raises_for_a_worker_is_raised_here(folder: Path):
    read = history(folder)
    stretches = read.stretches(10)
    (folder / "guardrail.db").unlink()
    with pytest.raises(LedgerUnavailable, match="there is no ledger at"):
        list(on_ray(read, stretches, 1))


def _workers() -> list[int]:
    """The workers of this process's own cluster, busy or idle: their parent is a child of ours."""
    parents = dict(filter(None, map(_process, Path("/proc").glob("[0-9]*"))))
    ours = [process for process, parent in parents.items() if parents.get(parent) == os.getpid()]
    names = {process: Path(f"/proc/{process}/cmdline").read_bytes() for process in ours}
    return [process for process, name in names.items() if name.startswith((b"ray::recompute", b"ray::IDLE"))]


def _process(entry: Path) -> tuple[int, int] | None:
    """A process and its parent; None where it has just ended."""
    try:
        return int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
