"""The API document, and what the API does: schemathesis asks whatever the document allows, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.clients import configure
from tests.service.conftest import Deployment

_EXAMPLES = "200" if os.environ.get("GUARDRAIL_SOAK") else "2"
# A body that is fine by its schema may still hold what is no I-JSON, or speak for somebody else: no schema says that.
_LEFT_OUT = "positive_data_acceptance"
_OF_CLIENTS = ("--include-tag", "calls", "--include-tag", "authzen")
_OF_PEOPLE = ("--exclude-tag", "calls", "--exclude-tag", "authzen")


@pytest.mark.timeout(3600 if os.environ.get("GUARDRAIL_SOAK") else 300)
@pytest.mark.parametrize("who", ["client", "person"])
def test_the_api_answers_as_its_document_says(deployment: Deployment, who: str, tmp_path: Path) -> None:
    client = configure(deployment, lease="1s")
    token, chosen = (client, _OF_CLIENTS) if who == "client" else (deployment.token("ben"), _OF_PEOPLE)
    instance = deployment.serve()
    ran = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{instance.url}/v1/openapi.json",
            "--header", f"Authorization: Bearer {token}", "--exclude-checks", _LEFT_OUT, *chosen,
            "--phases", "examples,coverage,fuzzing", "--max-examples", _EXAMPLES, "--continue-on-failure",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Tested: " in ran.stdout
    assert instance.stop() == 0
    assert [line for line in instance.log if line.get("status") == 500] == []
