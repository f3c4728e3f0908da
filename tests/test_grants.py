"""Grants: an approval admits a call only as the service has signed it: this call, these people, this time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.calls import Agent, Call, Principal, Tool
from guardrail.canonical import canonical
from guardrail.decisions import Decision
from guardrail.errors import ConfigError, Conflict, Waiting
from guardrail.execution import Attempt
from guardrail.grants import Grant, PublicKeys, Refused, SignedGrant, SigningKey
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.granting import Asking
from guardrail.ledger.sqlite import driver
from guardrail.outcomes import explain
from guardrail.policy import PolicyInput
from guardrail.testing import ScriptedPolicy, decision
from tests.ledger.conftest import Clock

KEY = SigningKey.generate()
CALL = "0" * 64


class Line:
    """An agent's process, the approval service, and somebody at the command line, over one file."""

    def __init__(self, folder: Path, clock: Clock, quorum: int = 1) -> None:
        self.path = folder / "guardrail.db"
        self.clock = clock
        self.agent = self.opened(Asking(keys=KEY.public))
        self.service = self.opened(Asking(keys=KEY.public, signing=KEY))
        self.sent: list[int] = []
        self.quorum = quorum
        self._guard = Guardrail(policy=ScriptedPolicy(self._decide), ledger=self.agent, clock=clock)

    def _decide(self, _: PolicyInput) -> Decision:
        return decision("ask", quorum=self.quorum, expires_in=600.0)

    def opened(self, asking: Asking) -> Ledger:
        return Ledger.open(self.path, clock=self.clock, asking=asking)

    def send(self, amount: int = 500, number: int = 1) -> str:
        """The same call each time, or what its agent reads in place of a result."""
        call = Call.of(
            {"amount": amount}, run="run-1", id=str(number), tool=Tool(name="send_money"), agent=Agent(id="payer"),
            principal=Principal(id="user:anna"),
        )  # fmt: skip

        def act(call: Call) -> str:
            self.sent.append(call.arguments["amount"])
            return f"sent {amount}"

        outcome = self._guard.perform(Attempt(call=call, invoke=act), waiting="answer")
        return outcome.value if outcome.status == "returned" else explain(call, outcome)

    def ask(self, number: int = 1) -> str:
        assert self.send(number=number).startswith("WAITING")
        return self.agent.approvals("pending")[-1].id

    def execute(self, sql: str, *values: Any) -> None:
        """What whoever holds the file can do."""
        connection = driver.connect(str(self.path), isolation_level=None)
        connection.execute(sql, values)
        connection.close()

    def put(self, approval: str, signed: SignedGrant) -> None:
        self.execute("DELETE FROM grants WHERE approval = ?", approval)
        self.execute("INSERT INTO grants VALUES (?, ?, ?)", approval, signed.body, signed.signature)

    def close(self) -> None:
        self.agent.close()
        self.service.close()


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="line")
def _line(tmp_path: Path, clock: Clock) -> Iterator[Line]:
    line = Line(tmp_path, clock)
    yield line
    line.close()


def test_a_vote_through_the_service_admits_the_call_once(line: Line) -> None:
    approval = line.ask()
    line.service.vote(approval, "bob", "approve", channel="http")
    signed = line.agent.grant(approval)
    assert signed is not None
    grant = KEY.public.verify(signed)
    stored = line.agent.approval(approval)
    assert grant == Grant(
        request=approval, digest=stored.digest, tool_digest=grant.tool_digest, agent="payer", chain=("payer",),
        revision=stored.revision, state="approved", votes=grant.votes, not_before="2026-01-31T12:00:00.000Z",
        expires="2026-01-31T12:10:00.000Z", nonce=grant.nonce,
    )  # fmt: skip
    assert [(vote.person, vote.answer, vote.channel) for vote in grant.votes] == [("bob", "approve", "http")]
    assert signed.body == canonical(orjson.loads(signed.body))
    assert (line.send(), line.sent, line.agent.verify().ok) == ("sent 500", [500], True)


def test_a_vote_from_a_process_without_the_signing_key_is_refused_where_it_is_cast(line: Line) -> None:
    approval = line.ask()
    with pytest.raises(Conflict, match="grants are required"):
        line.agent.vote(approval, "bob", "approve", channel="cli")
    assert line.agent.approval(approval).votes == ()
    assert line.agent.vote(approval, "bob", "reject", channel="cli").state == "rejected"


def test_a_bare_vote_is_refused_at_the_admission(line: Line) -> None:
    approval = line.ask()
    bare = line.opened(Asking())
    bare.vote(approval, "bob", "approve", channel="cli")
    bare.close()
    answer = line.send()
    assert answer.startswith("REJECTED (nothing was executed)")
    assert "there is none: these votes were not cast through the approval service [guardrail.grant]" in answer
    assert line.sent == []


def test_the_service_signs_no_votes_that_it_has_not_cast(tmp_path: Path, clock: Clock) -> None:
    line = Line(tmp_path, clock, quorum=2)
    approval = line.ask()
    bare = line.opened(Asking())
    bare.vote(approval, "eve", "approve", channel="cli")
    bare.close()
    with pytest.raises(Conflict, match=r"did not come through the service \(eve\)"):
        line.service.vote(approval, "bob", "approve", channel="http")
    assert [vote.person for vote in line.agent.approval(approval).votes] == ["eve"]
    line.close()


@pytest.mark.parametrize("ending", ["rejected", "consumed", "pending", "approved"])
def test_a_vote_that_was_signed_under_another_request_is_not_signed_along(
    tmp_path: Path, clock: Clock, ending: str
) -> None:
    """Somebody who writes the file copies a vote, signed as it is, to a later request for the same call."""
    line = Line(tmp_path, clock, quorum=2)
    first = line.ask()
    line.service.vote(first, "eve", "approve", channel="http")
    match ending:
        case "rejected":
            line.service.vote(first, "joe", "reject", channel="http")
        case "consumed" | "approved":
            line.service.vote(first, "bob", "approve", channel="http")
        case _:
            line.execute("UPDATE approvals SET asks = '[]' WHERE id = ?", first)  # nobody shares it
    if ending == "consumed":
        assert line.send() == "sent 500"
    second, sent = line.ask(2), list(line.sent)
    line.execute(
        "INSERT INTO votes SELECT ?, person, answer, channel, at, reason, opened FROM votes "
        "WHERE approval = ? AND person = 'eve'", second, first
    )  # fmt: skip
    line.execute("INSERT INTO grants SELECT ?, body, signature FROM grants WHERE approval = ?", second, first)
    with pytest.raises(Conflict, match=r"did not come through the service \(eve\)"):
        line.service.vote(second, "bob", "approve", channel="http")
    assert (line.send(number=2).split()[0], line.sent) == ("WAITING", sent)
    line.close()


def test_where_more_is_asked_by_now_everybody_is_asked_anew(tmp_path: Path, clock: Clock) -> None:
    line = Line(tmp_path, clock)
    first = line.ask()
    line.service.vote(first, "eve", "approve", channel="http")
    line.quorum = 2
    second = line.ask()
    assert (line.agent.approval(first).state, line.agent.approval(second).votes) == ("superseded", ())
    for person in ("eve", "bob"):
        line.service.vote(second, person, "approve", channel="http")
    assert (line.send(), line.sent, line.agent.verify().ok) == ("sent 500", [500], True)
    line.close()


def test_where_no_grant_is_needed_votes_from_anywhere_count_and_nobody_signs_for_them(
    tmp_path: Path, clock: Clock
) -> None:
    bare = Ledger.open(tmp_path / "guardrail.db", clock=clock)
    service = Ledger.open(tmp_path / "guardrail.db", clock=clock, asking=Asking(signing=KEY))
    asked = decision("ask", quorum=2)
    guard = Guardrail(policy=ScriptedPolicy(lambda _: asked), ledger=bare, clock=clock)
    tool = guard.tool(lambda amount: f"sent {amount}", agent="payer", name="send_money", waiting="answer")
    with guard.run("run-1"):
        for first, second, signed in (
            (bare, service, False),
            (service, bare, True),
            (service, service, True),
        ):
            with pytest.raises(Waiting):
                tool(1)
            (request,) = bare.approvals("pending")
            first.vote(request.id, "eve", "approve", channel="cli")
            assert second.vote(request.id, "bob", "approve", channel="http").state == "approved"
            assert (bare.grant(request.id) is not None) == signed
    service.close()
    bare.close()


def test_one_yes_runs_a_call_once_whatever_somebody_writes_into_its_row(line: Line, clock: Clock) -> None:
    approval, *_ = granted(line)
    assert line.send() == "sent 500"
    for state in ("asked", "suspended"):
        line.execute("UPDATE calls SET state = ?", state)
        line.execute(
            "UPDATE approvals SET state = ? WHERE id = ?",
            "approved" if state == "asked" else "consumed",
            approval,
        )
        assert "this call does not stand as it was last recorded" in line.send()
        clock.forward(days=300)
    assert (line.sent, line.agent.verify().ok) == ([500], False)


@pytest.mark.parametrize("state", ["asked", "suspended"])
def test_a_yes_that_was_used_twice_is_found_afterwards(line: Line, state: str) -> None:
    """Somebody hides from the admission what was recorded, and puts it back once the call has run again."""
    approval, *_ = granted(line)
    assert line.send() == "sent 500"
    assert line.agent.verify().ok
    line.execute("UPDATE calls SET state = ?", state)
    line.execute("UPDATE approvals SET state = 'approved' WHERE id = ?", approval)
    line.execute("CREATE TABLE kept AS SELECT * FROM records WHERE id = (SELECT record FROM calls)")
    line.execute("DROP TRIGGER records_no_update")
    line.execute(
        "UPDATE records SET body = CAST(replace(CAST(body AS TEXT), '\"state\":\"returned\"', ?) AS BLOB) "
        "WHERE id = (SELECT record FROM calls)", f'"state":"{state}"'
    )  # fmt: skip
    assert line.send() == "sent 500"
    line.execute("UPDATE records SET body = (SELECT body FROM kept) WHERE id = (SELECT id FROM kept)")
    assert line.sent == [500, 500]
    found = line.agent.verify()
    assert [fault.what for fault in found.faults] == [f"approval {approval} was used more than once"]


def test_what_is_signed_while_more_people_have_to_agree_admits_nothing(tmp_path: Path, clock: Clock) -> None:
    line = Line(tmp_path, clock, quorum=2)
    approval = line.ask()
    line.service.vote(approval, "bob", "approve", channel="http")
    line.execute(
        "UPDATE approvals SET state = 'approved' WHERE id = ?", approval
    )  # and the floor of quorum holds
    assert line.send().startswith(("WAITING", "REJECTED"))
    line.close()
    assert line.sent == []


def test_two_votes_through_two_instances_of_the_service_are_one_grant(tmp_path: Path, clock: Clock) -> None:
    line = Line(tmp_path, clock, quorum=2)
    approval = line.ask()
    line.service.vote(approval, "bob", "approve", channel="http")
    clock.forward(seconds=1)
    second = line.opened(Asking(keys=KEY.public, signing=KEY))
    assert second.vote(approval, "eve", "approve", channel="slack").state == "approved"
    second.close()
    signed = line.agent.grant(approval)
    assert signed is not None
    assert [vote.person for vote in KEY.public.verify(signed).votes] == ["bob", "eve"]
    assert line.send() == "sent 500"
    line.close()


def test_the_service_signs_only_the_call_that_was_shown(line: Line) -> None:
    """An agent's process that binds a request to another call than the one it lets people see."""
    approval = line.ask()
    line.execute("UPDATE approvals SET digest = ? WHERE id = ?", CALL, approval)
    with pytest.raises(Conflict, match="is not the call that would run"):
        line.service.vote(approval, "bob", "approve", channel="http")


OTHER_VOTE = {
    "person": "eve", "answer": "approve", "channel": "http", "at": "2026-01-31T12:00:00.000Z"
}  # fmt: skip
MUTATIONS: dict[str, tuple[Any, str]] = {
    "schema": (2, "is not of a form that this version knows"),
    "request": ("f" * 32, "is for another request"),
    "digest": (CALL, "is for another call: its digest differs"),
    "tool_digest": (CALL, "is for another definition of the tool"),
    "agent": ("supervisor", "is for another agent"),
    "chain": (["supervisor", "payer"], "is for another delegation chain"),
    "revision": ("another", "is of another policy revision than the request"),
    "state": ("pending", "is not for a request that enough people have approved"),
    "votes": ([OTHER_VOTE], "is over other votes than those that are stored"),
    "not_before": ("2026-01-31T12:00:00.001Z", "is not valid before 2026-01-31T12:00:00.001Z"),
    "expires": ("2026-01-31T12:00:00.000Z", "has expired at 2026-01-31T12:00:00.000Z"),
    "nonce": ("not a nonce", "is not of a form that this version knows"),
}


def test_every_field_of_a_grant_is_mutated_below() -> None:
    assert MUTATIONS.keys() == {field.alias or name for name, field in Grant.model_fields.items()}


def granted(line: Line) -> tuple[str, dict[str, Any], SignedGrant]:
    approval = line.ask()
    line.service.vote(approval, "bob", "approve", channel="http")
    signed = line.agent.grant(approval)
    assert signed is not None
    return approval, orjson.loads(signed.body), signed


@pytest.mark.parametrize("field", MUTATIONS)
def test_a_field_that_is_changed_after_the_signature_is_refused(line: Line, field: str) -> None:
    approval, fields, signed = granted(line)
    line.put(approval, replace(signed, body=canonical({**fields, field: MUTATIONS[field][0]})))
    answer = line.send()
    assert answer.startswith("REJECTED")
    assert "it was changed after it was signed" in answer
    assert line.sent == []


@pytest.mark.parametrize("field", MUTATIONS)
def test_a_field_that_the_service_itself_signed_otherwise_is_refused_with_its_reason(
    line: Line, field: str
) -> None:
    approval, fields, _ = granted(line)
    wrong, reason = MUTATIONS[field]
    body = canonical({**fields, field: wrong})
    line.put(approval, SignedGrant(body=body, signature=KEY._secret.sign(b"guardrail grant v1\n" + body)))
    answer = line.send()
    assert answer.startswith("REJECTED (nothing was executed): send_money amount=500")
    assert f"the grant for it does not hold: it {reason}" in answer
    assert line.sent == []


@pytest.mark.parametrize("how", ["a field more", "a field less", "another key", "no context"])
def test_other_forgeries_are_refused(line: Line, how: str) -> None:
    approval, fields, signed = granted(line)
    match how:
        case "a field more":
            body = canonical({**fields, "also": "this"})
            forged = SignedGrant(body=body, signature=KEY._secret.sign(b"guardrail grant v1\n" + body))
        case "a field less":
            body = canonical({name: value for name, value in fields.items() if name != "nonce"})
            forged = SignedGrant(body=body, signature=KEY._secret.sign(b"guardrail grant v1\n" + body))
        case "another key":
            forged = SigningKey.generate().sign(KEY.public.verify(signed))
        case _:
            forged = replace(signed, signature=KEY._secret.sign(signed.body))
    line.put(approval, forged)
    assert line.send().startswith("REJECTED")
    assert line.sent == []


def test_a_grant_of_one_request_does_not_admit_another(line: Line) -> None:
    _, _, signed = granted(line)
    assert line.send(500) == "sent 500"
    assert line.send(501).startswith("WAITING")
    other = line.agent.approvals("pending")[-1].id
    bare = line.opened(Asking())
    bare.vote(other, "bob", "approve", channel="http")
    bare.close()
    line.put(other, signed)
    assert "it is for another request" in line.send(501)
    assert line.sent == [500]


def test_a_grant_ends(line: Line, clock: Clock) -> None:
    granted(line)
    clock.forward(seconds=601)
    assert line.send().startswith("REJECTED")
    assert line.sent == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(where=st.integers(0, 10_000), bit=st.integers(0, 7), signature=st.booleans())
def test_no_flipped_bit_of_body_or_signature_verifies(where: int, bit: int, signature: bool) -> None:
    signed = KEY.sign(
        Grant(
            request="0" * 32, digest=CALL, tool_digest=CALL, agent="payer", chain=("payer",), revision="r",
            state="approved", votes=({**OTHER_VOTE},), not_before="2026-01-31T12:00:00.000Z",
            expires="2026-01-31T12:10:00.000Z", nonce="0" * 32,
        )
    )  # fmt: skip
    part = bytearray(signed.signature if signature else signed.body)
    part[where % len(part)] ^= 1 << bit
    forged = replace(signed, **{"signature" if signature else "body": bytes(part)})
    with pytest.raises(Refused):
        KEY.public.verify(forged)


# -- keys ------------------------------------------------------------------------------------------------


def test_a_key_is_written_for_its_owner_and_read_again_with_its_public_half_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "service.key"
    public = SigningKey.generate().write(path)
    assert public == tmp_path / "service.pub"
    assert (path.stat().st_mode & 0o777, PublicKeys.read([public]).ids) == (
        0o600,
        SigningKey.read(path).public.ids,
    )
    with pytest.raises(ConfigError, match="the key cannot be written: File exists"):
        SigningKey.generate().write(path)


def test_both_keys_are_believed_while_one_follows_the_other(line: Line) -> None:
    grant = Grant.model_validate_json(granted(line)[2].body)
    new = SigningKey.generate()
    both = PublicKeys([*KEY.public._keys, *new.public._keys])
    assert [both.verify(key.sign(grant)) for key in (KEY, new)] == [grant, grant]


def _missing(path: Path) -> None:
    pass


def _open_to_all(path: Path) -> None:
    SigningKey.generate().write(path)
    os.chmod(path, 0o644)


def _rubbish(path: Path) -> None:
    path.write_text("rubbish")
    os.chmod(path, 0o600)


def _rsa(path: Path) -> None:
    key = generate_private_key(65537, 2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    os.chmod(path, 0o600)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (_missing, "cannot be read"),
        (_open_to_all, "others may read the signing key"),
        (_rubbish, "no signing key"),
        (_rsa, "not an Ed25519 key"),
    ],
)
def test_a_signing_key_that_cannot_be_used_is_refused(
    tmp_path: Path, prepare: Callable[[Path], None], said: str
) -> None:
    prepare(tmp_path / "key")
    with pytest.raises(ConfigError, match=said):
        SigningKey.read(tmp_path / "key")


def test_a_public_key_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    with pytest.raises(ConfigError, match="cannot be read"):
        PublicKeys.read([path])
    path.write_text("rubbish")
    with pytest.raises(ConfigError, match="no public key"):
        PublicKeys.read([path])
    path.write_bytes(
        generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        PublicKeys.read([path])


def test_nobody_believes_a_key_that_is_not_listed() -> None:
    signed = SignedGrant(body=b"{}", signature=Ed25519PrivateKey.generate().sign(b"guardrail grant v1\n{}"))
    with pytest.raises(Refused):
        PublicKeys([]).verify(signed)
