"""Every test begins with nothing measured."""

import pytest

from tests.telemetry import sdk


@pytest.fixture(autouse=True)
def _nothing_measured() -> None:
    sdk.forget()
