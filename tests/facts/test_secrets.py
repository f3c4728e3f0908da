"""Secrets are found by their form in any text, and no fact ever holds one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.calls import Agent, Call, Tool
from guardrail.facts import extract
from guardrail.facts.extractor import Surroundings
from guardrail.facts.secrets import may_hold_secrets, read_text, secrets_in

SECRETS = {
    "github_token": ["ghp_" + "a1B2" * 9, "github_pat_" + "a" * 82],
    "gitlab_token": ["glpat-" + "a" * 20],
    "aws_key": ["AKIA" + "ABCD2345" * 2, "ASIA" + "ABCD2345" * 2],
    "slack_token": ["xoxb-1234567890-abc"],
    "model_key": ["sk-" + "a" * 48, "sk-ant-" + "a-_1" * 20, "sk-proj-" + "a" * 60],
    "google_key": ["AIza" + "a" * 35],
    "stripe_key": ["sk_live_" + "a" * 24],
    "npm_token": ["npm_" + "a" * 36],
    "pypi_token": ["pypi-" + "A" * 60],
    "json_web_token": ["eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 20],
    "url_password": ["postgres://anna:hunter2@"],
    "private_key": ["-----BEGIN PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----"],
}
CASES = [(kind, text) for kind, texts in SECRETS.items() for text in texts]


def found(arguments: dict[str, Any], **kinds: Any) -> list[tuple[str, str]]:
    call = Call.of(arguments, run="r", id="1", agent=Agent(id="a"), tool=Tool(name="t", kinds=kinds))
    facts = extract(call, roots={})
    assert facts.opaque == ()
    return [(fact["argument"], fact["kind"]) for fact in facts.secrets]


@pytest.mark.parametrize(("kind", "secret"), CASES)
def test_a_secret_is_found_wherever_it_stands(kind: str, secret: str):
    text = f"use this: {secret} é"
    call = Call.of({"a": 1, "b": [{"c/d": text}]}, run="r", id="1", agent=Agent(id="a"), tool=Tool(name="t"))
    facts = extract(call, roots={})
    assert [dict(fact) for fact in facts.secrets] == [
        {"argument": "/b/0/c~1d", "kind": kind, "category": "secret", "start": 10, "end": 10 + len(secret)}
    ]
    assert secret not in json.dumps(facts.as_json())


@pytest.mark.parametrize(
    "text",
    ["hello world", "skip-this-sentence-and-the-next-one", "aghp_" + "a" * 36, "ghp_short", "https://example.com/a@b",
     "AKIA", "sk-short", "the private key", "eyJ.eyJ.x", "AIzaA", "mailto:anna@example.com", "task-" + "a" * 48],
)  # fmt: skip
def test_ordinary_texts_hold_no_secret(text: str):
    assert found({"text": text}) == []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("4111 1111 1111 1111", ["card_number"]),
        ("4111-1111-1111-1112", []),
        ("4111 1111 1111 1111 12/27 123", ["card_number"]),
        ("4111 1111 1111 1111 123", ["card_number"]),
        ("invoice 23 4111 1111 1111 1111", ["card_number"]),
        ("2223003122003222", ["card_number"]),
        ("378282246310005", ["card_number"]),
        ("order 41111111111111112345678", []),
        ("DE89370400440532013000", ["iban"]),
        ("GB82 WEST 1234 5698 7654 32", ["iban"]),
        ("DE89370400440532013001", []),
        ("BE68 5390 0754 7034 EUR", ["iban"]),
        ("to12 AT61 1904 3002 3457 3201 BIC", ["iban"]),
        ("de89370400440532013000", ["iban"]),
        ("DE89370400440532013000X", []),
        ("no IBAN: QQ89370400440532013000", []),
        ("write to anna.b+c@example.co.uk, please", ["mail_address"]),
        ("anna@localhost", []),
        ("123-45-6789", ["us_social_security"]),
        ("000-45-6789 666-45-6789 123-00-6789 123-45-0000", []),
    ],
)
def test_personal_data_is_found_in_declared_texts_by_form_and_checksum(text: str, kinds: list[str]):
    assert [kind for _, kind in found({"body": text}, body="text")] == kinds
    assert found({"body": text}) == []


def test_a_secret_is_found_behind_an_underscore_and_in_the_name_of_a_member():
    token = "ghp_" + "a" * 36
    assert found({"text": f"TOKEN_{token}"}) == [("/text", "github_token")]
    assert found({"headers": [{token: 1}]}) == [(f"/headers/0/{token}", "github_token")]


@given(st.text(st.sampled_from("ghp_skAKIAxoxb-eyJ.:/@-BEGIN PRIVTKY0123456789abcXYZ\n"), max_size=200))
def test_what_is_passed_over_holds_nothing(text: str):
    body = json.dumps({"x": text}, ensure_ascii=False).encode()
    assert may_hold_secrets(body) or list(secrets_in(text)) == []


@given(st.text(max_size=200))
def test_no_exception_escapes_and_the_same_text_has_the_same_facts(text: str):
    here = Surroundings(roots={}, folder=Path())
    assert read_text(text, here) == read_text(text, here)
    assert list(secrets_in(text)) == list(secrets_in(text))
