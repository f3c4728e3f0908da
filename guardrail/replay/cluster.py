"""The cluster: a history recomputed on Ray, whose workers read stretches of it by themselves.

Every worker has to reach the database and the key by the same paths: what travels is where to read, and what was found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Final

from guardrail.errors import ConfigError, GuardrailError, LedgerError
from guardrail.replay.history import History, Stretch
from guardrail.replay.recompute import Recomputation, recompute

_ADDRESS: Final = "RAY_ADDRESS"
"""The variable that names a running cluster; without it, one is started here for the occasion."""
_ATTEMPTS: Final = 3
"""How often a stretch is done again whose worker is lost."""


def on_ray(history: History, stretches: Sequence[Stretch], workers: int) -> Iterator[Recomputation]:
    """Recompute stretches on the cluster that `RAY_ADDRESS` names, or on one of this computer, in any order.

    Args:
        history: where to read; every worker reads there.
        stretches: what of it.
        workers: how many work on this computer, where no cluster is named.

    Raises:
        ConfigError: Ray is not installed, or there is no such cluster.
        LedgerError: workers are lost again and again.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        _join(ray, workers)
    try:
        remote = ray.remote(max_retries=_ATTEMPTS, num_cpus=1)(recompute)
        waiting = [remote.remote(history, stretch) for stretch in stretches]
        while waiting:
            done, waiting = ray.wait(waiting)
            yield _result(ray, done[0])
    finally:
        if started:
            ray.shutdown()


def _ray() -> Any:
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise ConfigError("Ray is not installed here", fix="pip install 'guardrail-runtime[ray]'") from error


def _join(ray: Any, workers: int) -> None:
    local = {} if _ADDRESS in os.environ else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **local)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"no Ray cluster can be used: {error}", fix=f"look at {_ADDRESS}, or unset it to start one here"
        ) from error


def _result(ray: Any, reference: Any) -> Recomputation:
    """What a worker has found.

    Raises:
        LedgerError: it was lost, again and again; or what the ledger raised for it.
    """
    try:
        found: Recomputation = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, GuardrailError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise LedgerError(
            f"the workers that recompute were lost: {error}",
            fix="look into Ray's logs for what ends them (memory?)",
        ) from error
    return found
