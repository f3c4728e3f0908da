"""The page's tables, the rules and the dashboard name what the code emits, and all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.telemetry import scene, sdk

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "observability"
KINDS = {"Histogram": "histogram", "Sum": "counter", "Gauge": "gauge"}
KEYWORDS = {"by", "without", "on", "le", "sum", "rate", "max", "min", "increase", "histogram_quantile", "clamp_min",
            "and", "or", "unless", "topk", "time", "group_left", "absent", "label_values", "count"}  # fmt: skip
COMMON = {"le", "job", "instance", "service_name"}
"""Labels that Prometheus and the collector add."""


@pytest.fixture(scope="module", name="emitted")
def _emitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    sdk.forget()
    scene.everything(tmp_path_factory.mktemp("scene"))
    spans: dict[str, set[str]] = {}
    for span in sdk.spans():
        spans.setdefault(_generic(span.name), set()).update(span.attributes or {})
    return {"spans": spans, **sdk.KEPT}


def _generic(name: str) -> str:
    if name.startswith("execute_tool "):
        return "execute_tool {tool}"
    return "{method} {route}" if re.match(r"[A-Z]+ ", name) else name


def rows(heading: str) -> Iterator[list[str]]:
    """The rows of the first table below a heading."""
    text = (ROOT / "docs" / "telemetry.md").read_text().partition(f"\n## {heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    for line in table[0].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_lists_the_spans_with_their_attributes(emitted: dict[str, Any]):
    listed = {row[0].strip("`"): set(re.findall(r"`([^`]+)`", row[2])) for row in rows("Spans")}
    assert listed == emitted["spans"]


def test_the_page_lists_the_metrics_with_their_attributes(emitted: dict[str, Any]):
    listed = {
        row[0].strip("`"): (row[1], row[2], set(re.findall(r"`([^`]+)`", row[4]))) for row in rows("Metrics")
    }
    found = {
        metric.name: (
            KINDS[type(metric.data).__name__],
            metric.unit,
            {name for point in metric.data.data_points for name in point.attributes},
        )
        for metric in emitted["metrics"]
    }
    assert listed == found


def scraped(text: str) -> dict[str, set[str]]:
    """Series as Prometheus sees them, with their labels."""
    series: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    return series


def used(expression: str) -> tuple[set[str], set[str]]:
    """Names of series in a query, and names of labels."""
    plain = re.sub(r'"[^"]*"', '""', expression)
    labels = {
        name for inner in re.findall(r"\{([^}]*)\}", plain) for name in re.findall(r"(\w+)\s*(?:=|!)", inner)
    }
    labels |= {
        name
        for inner in re.findall(r"\b(?:by|without|on|group_left)\s*\(([^)]*)\)", plain)
        for name in re.findall(r"\w+", inner)
    }
    rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|group_left)\s*\([^)]*\)", " ", plain)
    names = set(re.findall(r"(?<![\w$])[a-zA-Z_:][\w:]*", rest)) - KEYWORDS
    return names, labels


def matched(expression: str) -> set[tuple[str, str, str]]:
    """What labels are compared with: label, operator, value."""
    return {
        found
        for inner in re.findall(r"\{([^}]*)\}", expression)
        for found in re.findall(r'(\w+)\s*(=~|=)\s*"([^"]*)"', inner)
    }


def queries() -> Iterator[tuple[str, str]]:
    rules = yaml.safe_load((EXAMPLE / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
    dashboard = json.loads((EXAMPLE / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("title", "expression"), list(queries()))
def test_every_query_names_series_and_labels_that_there_are(
    emitted: dict[str, Any], title: str, expression: str
):
    series = scraped(emitted["scraped"])
    rules = yaml.safe_load((EXAMPLE / "rules.yml").read_text())
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    names, labels = used(expression)
    assert names, title
    assert names - series.keys() - recorded == set()
    known = set[str]().union(*(series[name] for name in names & series.keys())) | COMMON
    assert labels - known == set()


def test_every_value_that_a_query_asks_for_is_one_that_there_is(emitted: dict[str, Any]):
    values: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(emitted["scraped"]):
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault(label, set()).add(value)
    asked = {item for _, expression in queries() for item in matched(expression)}
    assert len(asked) >= 5
    assert {
        (label, operator, value)
        for label, operator, value in asked
        if not any(
            re.fullmatch(value if operator == "=~" else re.escape(value), found) for found in values[label]
        )
    } == set()


def test_every_metric_is_on_the_dashboard_or_alerted_about(emitted: dict[str, Any]):
    named = set[str]().union(*(used(expression)[0] for _, expression in queries()))
    stems = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in named}
    found = {
        re.sub(r"_total$", "", name)
        for name in re.findall(r"# TYPE ((?:guardrail|gen_ai|http)_\w+)", emitted["scraped"])
    }
    assert found - stems == set()


def test_alerts_say_what_happened_and_what_to_do():
    rules = yaml.safe_load((EXAMPLE / "rules.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert [rule["alert"] for rule in alerts if set(rule["annotations"]) != {"summary", "description"}] == []
    assert len(alerts) >= 6


def test_what_the_files_name_is_there():
    scrape = yaml.safe_load((EXAMPLE / "prometheus.yml").read_text())
    collector = yaml.safe_load((EXAMPLE / "collector.yaml").read_text())
    exporter = collector["exporters"]["prometheus"]["endpoint"].rpartition(":")[2]
    targets = [
        target
        for job in scrape["scrape_configs"]
        for entry in job["static_configs"]
        for target in entry["targets"]
    ]
    assert [target.rpartition(":")[2] for target in targets] == [exporter]
    assert scrape["rule_files"] == ["rules.yml"]
    for pipeline in collector["service"]["pipelines"].values():
        for part in ("receivers", "exporters", "processors"):
            assert set(pipeline[part]) <= set(collector[part])


def test_the_example_runs_and_shows_what_came(tmp_path: Path):
    import subprocess
    import sys

    answer = subprocess.run(
        [sys.executable, str(EXAMPLE), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    lines = answer.stdout.splitlines()
    assert lines[0] == "7 calls: 4 returned, 3 blocked, 0 unknown"
    assert "    guardrail.execute    returned" in lines
    assert "guardrail.decisions: 3 deny, 4 allow" in lines
