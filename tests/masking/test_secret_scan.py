"""Planted secrets are told nowhere where they are masked, whoever quotes them, and shown where they should be."""

import pickle
import subprocess
import sys

import pytest
from guardrail_slack.blocks import APPROVE, EDIT, REJECT

from tests.masking.scanning import found, told
from tests.masking.scene import Told

ITS_OWN = "raised by fail"
"""The error of a tool reaches whoever called the tool as it is: it is the tool's own word, as its result is."""


@pytest.fixture(name="scene", scope="module")
def _scene(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """In a process of its own: loggers and OpenTelemetry providers belong to the whole of one."""
    folder = tmp_path_factory.mktemp("scan")
    command = [sys.executable, "-m", "tests.masking.scene", str(folder)]
    played = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert played.returncode == 0, played.stderr
    return Told(**pickle.loads((folder / "told").read_bytes()))


def test_what_is_masked_is_told_in_no_channel(scene: Told):
    assert told(scene.channels, scene.masked, but=[ITS_OWN]) == {}


def test_the_scan_finds_what_is_there(scene: Told):
    everything = set(scene.masked) - {"edited", "invalid"}
    assert {name: found(body, scene.masked) & everything for name, body in scene.holder.items()} == {
        "http": everything,
        "show": everything,
    }
    assert found(scene.channels[ITS_OWN], scene.masked) == {"token", "code", "amount", "password"}


def test_every_channel_has_told_something(scene: Told):
    silent = {name for name, body in scene.channels.items() if len(body) < 50}
    assert silent <= {"graph log"}
    assert {
        "spans", "measurements", "agent log", "service log", "service debug log", "slack", "http", "http shown",
        "interrupts", "answers in the graph", "guardrail.db running", "guardrail.db-wal running",
        "guardrail.db closed", "exported logs", "anchors and proofs", "run.html", "replay.html", "replay.md",
        "show run --json", "show call --json", "show approval --json", "recompute --json", "what-if --json",
        "approvals --json", "runs --json", "verify --json", "doctor --json", "outputs --json", "checkpoint --json",
    } <= set(scene.channels)  # fmt: skip


def test_what_is_sealed_leaves_by_no_span_log_export_or_interrupt(scene: Told):
    outside = ("spans", "measurements", "agent log", "graph log", "service log", "service debug log",
               "exported logs", "anchors and proofs", "interrupts", "doctor --json", "verify --json")  # fmt: skip
    assert told({name: scene.channels[name] for name in outside}, scene.sealed) == {}


def test_the_files_hold_of_what_is_sealed_only_what_a_rule_says_when_it_asks(scene: Told):
    files = {name: body for name, body in scene.channels.items() if name.startswith("guardrail.db")}
    assert set().union(*told(files, scene.sealed).values()) == {"memo", "result"}


def test_people_are_shown_what_is_not_masked(scene: Told):
    shown = ("http shown", "show call --json", "show approval --json", "slack about bank/open")
    assert {name for name in shown if "memo" in found(scene.channels[name], scene.sealed)} == set(shown)
    assert found(scene.channels["show call --json"], scene.sealed) >= {"memo", "result", "raised"}
    assert found(scene.channels["runs --json"], scene.sealed) == {"task"}
    assert "note" in found(scene.channels["show approval --json"], scene.known)


def test_where_something_is_masked_slack_offers_no_yes(scene: Told):
    assert scene.buttons == {
        "bank/open": {APPROVE, REJECT, EDIT},
        "bank/pay": {REJECT},
        "guardrail/release": {REJECT},
    }


def test_what_would_be_said_of_a_call_by_another_policy_tells_nothing_that_was_masked_then(scene: Told):
    assert b"newly asked" in scene.channels["what-if --json"]
    assert b'"newly asked": 1' in scene.channels["what-if --json"]
    assert b"[masked]" in scene.channels["replay.html"]
