"""`policies`: what was activated is listed, and going back takes a person and a reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from guardrail import Guardrail as Guard
from guardrail.activating import Feed
from tests.editions.shelf import edition, packed

Guardrail = Callable[..., Result]
Document = Callable[..., Any]

CONFIG = """
[policies]
source = "bundle.tar.gz"
poll = "1h"

[agents.payer]
tools = ["pay"]

[tools.pay]
effect = "write"
"""


@pytest.fixture(name="hand_out")
def _hand_out(project: Any) -> Callable[[int], None]:
    project.configure(CONFIG)

    def put(number: int) -> None:
        (project.folder / "bundle.tar.gz").write_bytes(packed(edition(number)))

    put(2)
    return put


def results(document: Document) -> list[tuple[str, str, int | None, str]]:
    found = document("policies")["activations"]
    return [(one["result"], one["code"], one["counter"], one["by"]) for one in found]


def test_nothing_was_activated_yet(project: Any, guardrail: Guardrail):
    assert guardrail("policies").stdout == "Nothing was activated from a source yet.\n"


def test_a_source_has_to_be_there_to_be_activated(project: Any, guardrail: Guardrail):
    answer = guardrail("policies", "activate")
    assert (answer.exit_code, "policies are read from folders, once" in answer.stderr) == (2, True)


def test_a_person_activates_and_guards_follow(
    hand_out: Callable[[int], None], guardrail: Guardrail, document: Document
):
    answer = guardrail("policies", "activate", "--as", "anna")
    assert answer.stdout == (
        "Activated: edition r2 of bundle.tar.gz\n"
        "By anna (as named by --as). Guards that run take it at their next look.\n"
    )
    with Guard.from_config() as guard:
        assert guard.ledger.activations.all()[0].policy == guard.policy.revision
    assert results(document) == [("activated", "", 2, "anna"), ("activated", "", 2, "guard")]
    listed = guardrail("policies").stdout.splitlines()
    assert listed[0].split() == ["AT", "RESULT", "EDITION", "COUNTER", "FROM", "TO", "BY", "SOURCE", "WHY"]
    assert listed[1].split()[1:4] == ["activated", "r2", "2"]


def test_going_back_takes_a_person_and_a_reason(
    hand_out: Callable[[int], None], guardrail: Guardrail, document: Document
):
    with Guard.from_config() as guard:
        (feed,) = (owned for owned in guard._owned if isinstance(owned, Feed))
        two = guard.policy.revision
        hand_out(1)
        assert [feed.look(), feed.look()] == ["unsettled", "refused"]
        refused = guardrail("policies", "activate", "--as", "anna")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "the edition would go back: its counter is 1, and the last one had 2" in refused.stderr
        assert "guardrail policies activate --allow-rollback --reason" in refused.stderr
        assert guardrail("policies", "activate", "--allow-rollback").exit_code == 2
        allowed = guardrail(
            "policies", "activate", "--allow-rollback", "--reason", "r2 broke payments", "--as", "anna"
        )
        assert allowed.exit_code == 0
        assert guard.policy.revision == two
        assert feed.look() == "activated"
        assert guard.policy.revision != two
        hand_out(2)
        assert [feed.look(), feed.look()] == ["unsettled", "activated"]
    assert results(document) == [
        ("activated", "", 2, "guard"),
        ("refused", "rollback", 1, "guard"),
        ("refused", "rollback", 1, "anna"),
        ("activated", "", 1, "anna"),
        ("activated", "", 1, "guard"),
        ("activated", "", 2, "guard"),
    ]
    assert document("policies")["activations"][3]["why"] == "r2 broke payments"
    back = [record["back"] for record in _activations()]
    assert back == [False, None, None, True, False, False]
    assert guardrail("verify").exit_code == 0


def _activations() -> list[dict[str, Any]]:
    from guardrail.config import Config

    with Config.load().open_ledger() as ledger:
        return [{"back": None, **one.fields} for one in ledger.records() if one.kind == "activation"]


def test_the_doctor_names_what_is_wrong_and_since_when(
    project: Any, hand_out: Callable[[int], None], guardrail: Guardrail, document: Document
):
    def about(name: str) -> list[tuple[str, str]]:
        return [
            (sign["state"], sign["text"]) for sign in document("doctor")["signs"] if sign["about"] == name
        ]

    with Guard.from_config() as guard:
        (feed,) = (owned for owned in guard._owned if isinstance(owned, Feed))
        revision = guard.policy.revision
        assert about("policies") == [("ok", "bundle.tar.gz: 2 modules pass pre-flight and their tests")]
        ((state, text),) = about("edition")
        assert (state, text.startswith("edition r2 decides since 20"), revision[:16] in text) == (
            "ok",
            True,
            True,
        )
        (project.folder / "bundle.tar.gz").write_bytes(b"garbage")
        feed.look()
        feed.look()
        assert about("policies")[0][0] == "error"
        (_, (state, text)) = about("edition")
        since = guard.ledger.activations.all()[-1].at
        assert (state, text.partition(":")[0] + ":" in f"THE LAST GOOD ONE STAYS since {since}:") == (
            "error",
            True,
        )
        assert "(malformed): this is no .tar.gz" in text
    (project.folder / "bundle.tar.gz").unlink()
    found = guardrail("doctor")
    assert (found.exit_code, "bundle.tar.gz cannot be read" in found.stdout) == (4, True)


def test_what_is_handed_out_is_checked_and_tested(
    hand_out: Callable[[int], None], project: Any, guardrail: Guardrail
):
    assert guardrail("check").exit_code == 0
    files = edition(3) | {"paying_test.rego": b"package paying_test\n\ntest_it if true\n"}
    Path("bundle.tar.gz").write_bytes(packed(files))
    assert "1 passed, 0 failed." in guardrail("test").stdout
    Path("bundle.tar.gz").write_bytes(b"garbage")
    wrong = guardrail("check")
    assert (wrong.exit_code, "this is no .tar.gz" in wrong.stdout) == (1, True)
