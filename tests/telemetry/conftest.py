"""Every test begins with nothing measured, and in none of them does telemetry fail, unless it is about that."""

import logging
from collections.abc import Iterator

import pytest

from tests.telemetry import sdk


@pytest.fixture(autouse=True)
def _nothing_measured() -> None:
    sdk.forget()


@pytest.fixture(autouse=True)
def _nothing_failed(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG, "guardrail.telemetry")
    yield
    failed = [record for record in caplog.get_records("call") if record.name == "guardrail.telemetry"]
    assert bool(failed) == ("broken" in request.fixturenames), failed
