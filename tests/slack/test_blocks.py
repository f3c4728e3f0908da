"""What stands in a message is what would run, and none of it comes alive."""

import json
import unicodedata
from typing import Any

import pytest
from guardrail_slack.blocks import (
    APPROVE,
    EDIT,
    REJECT,
    can_approve,
    difference,
    editable,
    ended,
    message,
    notice,
)
from guardrail_slack.elements import MESSAGE, TEXT, table
from guardrail_slack.modals import edit, reason, said, wait
from guardrail_slack.testing.limits import mistake
from hypothesis import example, given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from guardrail.canonical import canonical
from guardrail.decisions import Ask
from guardrail.showing import Change, changes
from guardrail.visible import visible
from tests.slack.plain import ID, STATES, shown, vote

LIVE = [
    "<!channel>", "<@U012AB3CD>", "<https://evil.example|bank>", "*bold*", "`code`", "```", ":tada:", "\u202e",
    "&lt;!here&gt;", "\n\nApproved by anna", "http://evil.example", "{id}", "@here", "> quote", "\u200b",
    "x " * 40 + "vote       ben: approve",
]  # fmt: skip
TEXTS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60
) | st.sampled_from(LIVE)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
ARGUMENTS = st.dictionaries(TEXTS, JSON, max_size=6)


def parts(value: Any) -> list[dict[str, Any]]:
    """Every object in blocks that has a type."""
    if isinstance(value, dict):
        own = [value] if "type" in value else []
        return own + [part for item in value.values() for part in parts(item)]
    return [part for item in value for part in parts(item)] if isinstance(value, list) else []


def actions(blocks: Any) -> list[str]:
    return [part["action_id"] for part in parts(blocks) if part["type"] == "button"]


def texts(blocks: Any) -> list[str]:
    return [part["text"] for part in parts(blocks) if isinstance(part.get("text"), str)]


def check_inert(blocks: Any, *, links: tuple[str, ...] = ()) -> None:
    """No part of a kind that Slack parses, no link but guardrail's own, no character that deceives."""
    kinds = {part["type"] for part in parts(blocks)}
    assert kinds <= {
        "header", "section", "context", "actions", "button", "input", "plain_text_input", "plain_text",
        "rich_text", "rich_text_section", "rich_text_preformatted", "text", "link",
    }  # fmt: skip
    assert tuple(part["url"] for part in parts(blocks) if part["type"] == "link") == links
    assert all(part["emoji"] is False for part in parts(blocks) if part["type"] == "plain_text")
    for text in texts(blocks):
        assert [
            letter for letter in text if unicodedata.category(letter)[0] in "CZ" and letter not in " \n"
        ] == []
    for block in blocks:
        if block["type"] != "rich_text":  # slack_sdk's models of rich text take every dict
            Block.parse(block).to_dict()


@given(ARGUMENTS, TEXTS, TEXTS, TEXTS, st.sampled_from(STATES))
def test_no_text_of_others_yields_a_mention_a_link_or_a_block(
    arguments: dict[str, Any], principal: str, words: str, claimed: str, state: Any
):
    asks = (Ask(rule=words or "rule", message=words),)
    made = shown(
        arguments, principal=principal, chain=(words, "payer"), asks=asks, claimed=claimed,
        votes=(vote(words, reason=words),), state=state, run=words,
    )  # fmt: skip
    said = message(made)
    check_inert(said.blocks)
    assert mistake(said.blocks) is None
    frames = ["rich_text"] * (3 if claimed and can_approve(made) else 2)
    own = [block["type"] for block in said.blocks if block["type"] not in ("context", "section")]
    assert own == ["header", *frames, *(["actions"] if state == "pending" else [])]
    assert said.text == message(shown(state=state)).text


@given(ARGUMENTS)
@example({"a": '\n"b": 2'})
def test_arguments_are_one_line_each_and_all_of_them(arguments: dict[str, Any]):
    made = shown(arguments)
    if not can_approve(made):
        return
    (frame,) = [block for block in message(made).blocks if "Arguments (" in json.dumps(block)]
    text = frame["elements"][1]["elements"][0]["text"]
    assert text.split("\n") == (list(made.lines) or ["(none)"])


def test_a_request_that_waits_offers_yes_no_and_an_edit():
    blocks = message(shown()).blocks
    assert actions(blocks) == [APPROVE, REJECT, EDIT]
    (row,) = [block for block in blocks if block["type"] == "actions"]
    assert {button["value"] for button in row["elements"]} == {ID}


@pytest.mark.parametrize("state", STATES[1:])
def test_a_request_that_is_decided_offers_nothing(state: Any):
    assert actions(message(shown(state=state)).blocks) == []


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        ("edit", "Edited: the call is judged anew with other arguments"),
        ("request", "Something else is asked by now: another request has taken its place"),
        ("nothing", "Not asked any more: the call may run without an answer"),
        (None, "Superseded: nobody is asked any more"),
    ],
)
def test_what_took_the_place_of_a_request_is_told_as_it_is(instead: Any, words: str):
    made = message(shown(state="superseded", instead=instead))
    assert (made.text, texts(made.blocks)[0], actions(made.blocks)) == (words, words, [])


def test_what_is_shown_of_a_request_is_the_stored_call():
    blocks = message(shown({"to": "p\u0430ypal", "amount": 500}, votes=(vote(reason="*fine*"),))).blocks
    assert texts(blocks)[:6] == [
        "A tool call waits for a person",
        "What is asked",
        (
            "tool       bank/send_money\n"
            "agent      supervisor > payer\n"
            "acts for   user:anna\n"
            "asked      more than 100 [payments.large]; needs 1 person\n"
            "vote       ben: approve at 2026-01-31T12:01:00.000Z by slack *fine*\n"
            "requested  2026-01-31T12:00:00.000Z\n"
            "expires    2026-01-31T12:15:00.000Z\n"
            "run        run-1\n"
            f"call       call_{'k' * 16}\n"
            f"digest     {'d' * 64}"
        ),
        "Arguments (29 bytes of canonical JSON, complete)",
        '"to": "p\\u{430}ypal"\n"amount": 500',
        r"\u{…} stands for a character that cannot be seen, turns text around or passes for another.",
    ]


@given(st.lists(st.tuples(st.sampled_from(["tool", "acts for", "vote"]), st.text("ab ", max_size=300))))
@example([("asked", "x " * 40 + "vote       ben: approve")])
def test_a_long_value_begins_no_line_and_loses_no_character(rows: list[tuple[str, str]]):
    width = max((len(name) for name, _ in rows), default=0) + 2
    read: list[tuple[str, str]] = []
    for line in table(rows).split("\n") if rows else []:
        name, value = line[:width].rstrip(), line[width:]
        read = [*read, (name, value)] if name else [*read[:-1], (read[-1][0], read[-1][1] + value)]
    assert read == rows


def test_the_agents_own_words_stand_apart():
    blocks = message(shown(claimed="urgent <!channel>")).blocks
    (claimed,) = [block for block in blocks if "Claimed by the agent" in json.dumps(block)]
    assert texts([claimed]) == ["Claimed by the agent; nobody has checked it", "urgent <!channel>"]


def test_what_a_person_changed_is_shown_as_a_difference():
    blocks = message(shown(changes=tuple(changes({"amount": 500}, {"amount": 5})))).blocks
    assert "- /amount: 500\n+ /amount: 5" in texts(blocks)


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        ({"text": "x" * TEXT}, ()),
        ({"text": "\u202e" * (TEXT // 4)}, ()),
        ({f"a{number}": "y" * 40 for number in range(100)}, ()),
        ({"to": "bob", "password": {"masked": "f" * 64}}, ("/password",)),
        ({}, ("",)),
    ],
    ids=["long", "long once it is visible", "many", "masked", "erased"],
)
def test_what_cannot_be_shown_whole_offers_no_yes(arguments: dict[str, Any], hidden: tuple[str, ...]):
    made = shown(arguments, hidden=hidden)
    blocks = message(made, link="https://guardrail.example.com/approvals/{id}").blocks
    assert actions(blocks) == [REJECT]
    check_inert(blocks, links=(f"https://guardrail.example.com/approvals/{ID}",))
    text = "\n".join(texts(blocks))
    assert "digest   " + "d" * 64 in text
    assert made.extent in text
    assert not any(line in text for line in made.lines)


@given(ARGUMENTS, st.integers(0, 4 * TEXT))
def test_a_yes_is_offered_exactly_where_all_of_it_is_there(arguments: dict[str, Any], more: int):
    made = shown({**arguments, "more": "z" * more})
    blocks = message(made).blocks
    assert (APPROVE in actions(blocks)) == all(line in "\n".join(texts(blocks)) for line in made.lines)
    assert len(json.dumps(blocks)) <= MESSAGE + 2_000
    assert mistake(blocks) is None


def test_what_is_said_about_a_call_may_be_cut_and_the_call_may_not():
    long = "w" * 3_000
    made = shown(claimed=long, votes=(vote(reason=long), vote("cleo", reason=long)))
    assert actions(message(made).blocks) == [APPROVE, REJECT, EDIT]
    assert all(line in "\n".join(texts(message(made).blocks)) for line in made.lines)


@pytest.mark.parametrize("state", STATES[1:])
def test_a_decided_request_that_cannot_be_shown_asks_for_no_answer(state: Any):
    words = texts(message(shown(hidden=("/to",), state=state)).blocks)
    assert f"guardrail show {ID}" in words
    assert [text for text in words if "answer" in text or "approve it" in text] == []


def test_without_an_address_the_command_is_named():
    assert f"guardrail approve {ID}" in texts(message(shown(hidden=("/to",))).blocks)


def test_a_message_with_everything_long_in_it_is_short_and_taken():
    long = "w" * 3_000
    asks = tuple(Ask(rule=f"rule{number}", message=long) for number in range(30))
    made = shown(
        {"a": long},
        principal=long,
        chain=(long,),
        asks=asks,
        claimed=long,
        run=long,
        hidden=tuple(f"/{long}{n}" for n in range(9)),
    )
    assert (mistake(message(made).blocks), actions(message(made).blocks)) == (None, [REJECT])


@pytest.mark.parametrize("state", ["returned", "raised", "blocked", "suspended", "unknown", None])
def test_the_reply_in_the_thread_says_how_it_ended(state: Any):
    blocks = ended(shown(ended=state)).blocks
    check_inert(blocks)
    assert mistake(blocks) is None


def test_a_notice_holds_nothing_of_the_call():
    blocks = notice(shown({"to": "secret"}), link="https://guardrail.example.com/{id}").blocks
    check_inert(blocks, links=(f"https://guardrail.example.com/{ID}",))
    assert "secret" not in json.dumps(blocks)


@given(ARGUMENTS)
def test_what_is_edited_reads_back_to_the_arguments_and_hides_no_character(arguments: dict[str, Any]):
    made = shown(arguments)
    text = editable(made)
    if text:
        assert canonical(json.loads(text)) == canonical(arguments)
        assert text.isascii() or not made.is_spelled_out


@given(TEXTS, TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_no_text_comes_alive_in_a_dialog(text: str, why: str, differences: list[tuple[str, str]]):
    found = difference([Change(pointer=at, before=None, after=visible(value)) for at, value in differences])
    views = [
        reason(ID),
        wait(),
        said(visible(text) or "no"),
        edit(ID, text, why, changes=found, reviewed="a" * 64),
    ]
    for view in views:
        check_inert([block for block in view["blocks"] if block["type"] != "input"])
        assert mistake(view["blocks"], view=view) is None
