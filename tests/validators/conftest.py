"""A stand-in for guardrails-ai, for what real validators do not do on demand: hang, crash, print, answer wrongly."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from guardrail_validators import GuardrailsValidators, Validator

STAND_IN = '''
import os, sys, time
from types import SimpleNamespace as Result

class Says:
    """Does what the text says."""

    def __init__(self, **arguments):
        from guardrails.settings import settings
        assert (settings.rc.enable_metrics, settings.rc.use_remote_inferencing) == (False, False)
        if "refuse" in arguments:
            raise ValueError("no such argument")

    def validate(self, value, metadata):
        print("a library that talks")
        os.write(1, b"and one that talks past Python\\n")
        if value == "crash":
            os.kill(os.getpid(), 9)
        if value == "exit":
            os._exit(3)
        if value == "hang":
            time.sleep(600)
        if value == "raise":
            raise RuntimeError(value)
        if value == "wrong":
            return Result(outcome="maybe", error_spans=None)
        if value == "secret":
            return Result(outcome="pass" if "SECRET_KEY" not in os.environ else "fail")
        if value == "variable":
            return Result(outcome="pass" if os.environ.get("WANTED") == "1" else "fail")
        if value.startswith("at "):
            spans = [Result(start=int(start), end=int(start) + 2) for start in value[3:].split()]
            return Result(outcome="fail", error_spans=spans)
        return Result(outcome="fail" if "bad" in value else "pass", error_message="it says " + value)
'''


@pytest.fixture
def validators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., GuardrailsValidators]]:
    """Makes checks whose worker finds the stand-in."""
    (tmp_path / "guardrails").mkdir()
    (tmp_path / "guardrails/settings.py").write_text(
        "from types import SimpleNamespace as S\nsettings = S(rc=S(enable_metrics=True, use_remote_inferencing=None))\n"
    )
    (tmp_path / "standin.py").write_text(STAND_IN)
    info = tmp_path / "guardrails_ai-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guardrails-ai\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with ExitStack() as closing:

        def make(**options: Any) -> GuardrailsValidators:
            arguments = options.pop("arguments", {})
            options.setdefault("within", 60.0)
            check = GuardrailsValidators(
                [Validator(use="standin:Says", arguments=arguments)],
                environment=("PYTHONPATH", *options.pop("environment", ())),
                **options,
            )
            closing.callback(check.close)
            return check

        yield make
