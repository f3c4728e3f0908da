"""The files for containers: they are of the form, name what is there, and their configurations load."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from guardrail.config import Config

TOP = Path(__file__).parent.parent
DEPLOY = TOP / "examples" / "deploy"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_image_is_made_of_files_that_are_there() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    sources = [name for line in lines if re.match(r"COPY (?!--from)", line) for name in line.split()[1:-1]]
    assert sources != []
    assert [name for name in sources if not (TOP / name).exists()] == []


def test_the_compose_file_names_files_that_are_there_and_asks_what_the_service_answers() -> None:
    service = load(DEPLOY / "compose.yaml")["services"]["guardrail"]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    mounted = [volume.split(":")[0] for volume in service["volumes"] if volume.startswith(".")]
    assert [name for name in mounted if not (DEPLOY / name).exists()] == []
    assert "http://127.0.0.1:8470/ready" in service["healthcheck"]["test"][-1]


def test_the_configurations_load(tmp_path: Path) -> None:
    assert list(Config.load(DEPLOY / "guardrail.toml").clients) == ["billing"]
    (tmp_path / "guardrail.toml").write_text(load(DEPLOY / "chart" / "values.yaml")["config"])
    assert Config.load(tmp_path / "guardrail.toml").serve.behind_proxy


def test_the_chart_is_of_this_version_and_of_the_form() -> None:
    chart = load(DEPLOY / "chart" / "Chart.yaml")
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    version = re.search(
        r'__version__.* = "(.+)"', (TOP / project["tool"]["hatch"]["version"]["path"]).read_text()
    )
    assert version is not None
    assert (chart["apiVersion"], chart["appVersion"]) == ("v2", version[1])
    for template in (DEPLOY / "chart" / "templates").iterdir():
        plain = re.sub(r"(?m)^\{\{.*\n?", "", template.read_text())
        named = yaml.safe_load(re.sub(r"\{\{[^}]*\}\}", "x", plain))
        assert {"apiVersion", "kind", "metadata"} <= named.keys(), template


def test_a_volume_is_not_opened_to_the_group_at_every_start() -> None:
    """What is there already keeps its rights: `fsGroup` alone gives every file to the group, the sealing key too."""
    template = (DEPLOY / "chart" / "templates" / "statefulset.yaml").read_text()
    assert "fsGroupChangePolicy: OnRootMismatch" in template
