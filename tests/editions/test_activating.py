"""Activating: what takes the place of what, what is refused, and that the last good edition stays whatever happens."""

import json
import os
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from guardrail import Guardrail
from guardrail.cli.app import app
from guardrail.editions.signatures import digest_of
from guardrail.editions.sources import Fetched, FileSource, FolderSource
from guardrail.errors import BundleUnreachable, ConfigError, PolicyError
from guardrail.ledger import Ledger
from tests.editions.conftest import Team, said
from tests.editions.shelf import Shelf, edition, manifest, packed, rule, serving


def paid() -> str:
    """A tool."""
    return "paid"


def told(guard: Guardrail) -> list[tuple[str, str, str]]:
    """What was written down of the source: result, code and label."""
    return [(one.result, one.code, one.label) for one in guard.ledger.activations.all()]


FIRST = ("activated", "", "r1")


def test_a_server_is_asked_with_what_is_known(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    guard, feed = team.guard()
    assert (said(guard), feed.look(), shelf.statuses) == ("edition 1", "same", [200, 304])
    shelf.put(edition(2))
    assert (feed.look(), said(guard), feed.look(), shelf.statuses[2:]) == (
        "activated",
        "edition 2",
        "same",
        [200, 304],
    )
    assert told(guard) == [FIRST, ("activated", "", "r2")]
    assert [one.get("Prefer") for one in shelf.asked] == ["modes=snapshot"] * 4
    verified = guard.ledger.verify()
    assert verified.ok, verified.faults


def test_a_server_without_etags_is_asked_for_the_whole(team: Team, shelf: Shelf):
    shelf.etags = False
    team.configure(shelf.url)
    guard, feed = team.guard()
    assert (feed.look(), shelf.statuses, told(guard)) == ("same", [200, 200], [FIRST])


def test_an_activation_names_what_it_follows(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    guard, feed = team.guard()
    first = guard.policy.revision
    shelf.put(edition(2))
    feed.look()
    shelf.put({**edition(3), "paying.rego": b"garbage"})
    feed.look()
    begun, taken, left = guard.ledger.activations.all()
    assert (begun.previous, begun.policy) == ("", first)
    assert (taken.previous, taken.policy, taken.counter) == (first, guard.policy.revision, 2)
    assert (left.result, left.previous, left.policy) == ("refused", taken.policy, taken.policy)
    records = [record.fields for record in guard.ledger.records() if record.kind == "activation"]
    assert [(one["turn"], one["result"], one["by"]) for one in records] == [
        (1, "activated", "guard"), (2, "activated", "guard"), (3, "refused", "guard"),
    ]  # fmt: skip


BAD: dict[str, tuple[Callable[[Shelf], None], str]] = {
    "garbage": (lambda shelf: setattr(shelf, "body", b"<html>oops</html>"), "malformed"),
    "nothing": (lambda shelf: setattr(shelf, "body", b""), "malformed"),
    "cut off": (lambda shelf: setattr(shelf, "body", packed(edition(2))[:-20]), "malformed"),
    "less than promised": (lambda shelf: setattr(shelf, "promised", 100_000), "unreachable"),
    "too large": (lambda shelf: setattr(shelf, "body", os.urandom(20_000)), "malformed"),
    "no rego": (lambda shelf: shelf.put({".manifest": manifest("r2", 2)}), "malformed"),
    "a delta": (lambda shelf: shelf.put({"patch.json": b"{}"}), "malformed"),
    "older": (lambda shelf: shelf.put(edition(0)), "rollback"),
    "uncounted": (lambda shelf: shelf.put({"paying.rego": rule("edition 2")}), "rollback"),
    "counted twice": (lambda shelf: shelf.put({**edition(2), ".manifest": manifest("r2", 1)}), "rollback"),
    "not rego": (lambda shelf: shelf.put({**edition(2), "paying.rego": b"package a\n\nx := {"}), "preflight"),
    "of the clock": (
        lambda shelf: shelf.put({**edition(2), "more.rego": b"package more\n\nx := time.now_ns()\n"}),
        "preflight",
    ),
    "failing its test": (
        lambda shelf: shelf.put({**edition(2), "more_test.rego": b"package more_test\n\ntest_it if false\n"}),
        "policy",
    ),
    "named in half a character": (
        lambda shelf: shelf.put({**edition(2), "\udcff.txt": b"", "\udcff/patch.json": b"{}"}),
        "malformed",
    ),
    "labelled with what ends a text": (
        lambda shelf: shelf.put({**edition(2), ".manifest": manifest("r\0", 2)}),
        "malformed",
    ),
    "not there": (lambda shelf: setattr(shelf, "status", 404), "unreachable"),
    "broken": (lambda shelf: setattr(shelf, "status", 500), "unreachable"),
    "elsewhere": (
        lambda shelf: (
            setattr(shelf, "status", 302),
            shelf.headers.update(Location="http://localhost:1/b.tar.gz"),
        )[0],
        "unreachable",
    ),
    "in circles": (
        lambda shelf: (setattr(shelf, "status", 307), shelf.headers.update(Location="/again"))[0],
        "unreachable",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_whatever_a_server_does_the_last_good_edition_stays(team: Team, shelf: Shelf, name: str):
    team.configure(shelf.url, more="bundle_bytes = 10000")
    guard, feed = team.guard()
    paying = guard.tool(paid, agent="clerk", name="pay")

    def call() -> None:
        with guard.run("run"):
            assert paying() == "paid"

    call()
    before = guard.policy.revision
    shelf.etags = False
    spoil, code = BAD[name]
    spoil(shelf)
    found = feed.look()
    call()
    assert found == ("unreachable" if code == "unreachable" else "refused")
    assert (said(guard), guard.policy.revision) == ("edition 1", before)
    assert feed.look() == found  # and it is not written down again
    assert [one[:2] for one in told(guard)] == [("activated", ""), ("refused", code)]
    shelf.promised, shelf.headers = None, {}
    shelf.put(edition(1))
    assert (feed.look(), feed.trouble) == ("same", None)
    shelf.put(edition(2))
    assert (feed.look(), said(guard)) == ("activated", "edition 2")
    call()
    assert [one[0] for one in told(guard)] == ["activated", "refused", "recovered", "activated"]
    kinds = Counter(record.kind for record in guard.ledger.records())
    assert (kinds["admitted"], kinds["settled"], kinds["denied"], guard.ledger.status().unknown) == (
        3,
        3,
        0,
        0,
    )
    verified = guard.ledger.verify()
    assert verified.ok, verified.faults


def test_a_server_that_says_unchanged_to_somebody_who_knows_nothing_is_not_believed(team: Team, shelf: Shelf):
    shelf.status = 304
    team.configure(shelf.url)
    with pytest.raises(PolicyError, match="nothing has changed"):
        team.guard()


def test_what_stands_in_the_query_is_sent_and_told_to_nobody(team: Team, shelf: Shelf):
    team.configure(f"{shelf.url}?sig=planted-1")
    shelf.put(edition(2))
    guard, _ = team.guard()
    guard.close()
    shelf.put(edition(1))
    team.configure(f"{shelf.url}?sig=planted-2")  # the same source, so nothing goes back
    guard, feed = team.guard()
    assert said(guard) == "edition 2"
    shelf.status = 500
    feed.look()
    assert feed.trouble is not None
    listed = CliRunner().invoke(app, ["policies", "--config", str(team.folder / "guardrail.toml"), "--json"])
    doctor = CliRunner().invoke(app, ["doctor", "--config", str(team.folder / "guardrail.toml")])
    told = [str(record.fields) for record in guard.ledger.records()]
    assert "planted" not in "".join([feed.trouble.message, listed.output, doctor.output, *told])
    assert f'"source": "{shelf.url}"' in listed.output
    assert [target.rpartition("=")[2] for target in shelf.targets][:1] == ["planted-1"]


def test_a_redirect_on_the_same_server_is_followed(team: Team, shelf: Shelf):
    team.configure(shelf.url.replace("/bundles/", "/old/"))
    guard, _ = team.guard()
    assert said(guard) == "edition 1"


def test_a_slow_server_costs_its_time_and_no_more(team: Team, shelf: Shelf):
    team.configure(shelf.url, more='timeout = "200ms"')
    guard, feed = team.guard()
    shelf.hold = threading.Event()
    assert (feed.look(), said(guard)) == ("unreachable", "edition 1")
    assert feed.trouble is not None
    assert "did not answer within 0.2 s" in feed.trouble.message


def test_a_server_that_drips_is_cut_off(team: Team, shelf: Shelf):
    with socket.create_server(("127.0.0.1", 0)) as server:
        team.configure(f"http://127.0.0.1:{server.getsockname()[1]}/b.tar.gz", more='timeout = "300ms"')
        over = threading.Event()

        def drip() -> None:
            taken, _ = server.accept()
            with taken:
                taken.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.02):
                    try:
                        taken.sendall(b"X-Drip: 1\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(PolicyError, match=r"did not answer within 0\.3 s"):
                team.guard()
        finally:
            over.set()
            thread.join()


def test_without_a_source_and_without_a_last_edition_nothing_starts(team: Team, shelf: Shelf):
    shelf.status = 500
    team.configure(shelf.url)
    with pytest.raises(PolicyError, match=r"gives no policies, and none were activated before: .* 500"):
        team.guard()


def test_the_last_good_edition_outlives_the_server_and_the_process(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    guard, feed = team.guard()
    shelf.put(edition(2))
    feed.look()
    revision = guard.policy.revision
    guard.close()
    shelf.status = 503
    again, feed = team.guard()
    assert (said(again), again.policy.revision) == ("edition 2", revision)
    assert isinstance(feed.trouble, BundleUnreachable)
    assert told(again)[2:] == [("activated", "", "r2"), ("refused", "unreachable", "")]
    shelf.put(edition(1))
    assert (feed.look(), said(again)) == ("refused", "edition 2")  # it has not forgotten where it was
    shelf.put(edition(3))
    assert (feed.look(), said(again)) == ("activated", "edition 3")


def test_an_older_edition_is_refused_after_a_restart(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    guard, feed = team.guard()
    shelf.put(edition(2))
    feed.look()
    guard.close()
    shelf.put(edition(1))
    again, _ = team.guard()
    assert said(again) == "edition 2"
    assert told(again)[-1][:2] == ("refused", "rollback")


def test_what_was_activated_last_is_used_only_as_it_was_stored(team: Team, shelf: Shelf):
    from guardrail.ledger.sqlite import driver

    team.configure(shelf.url)
    guard, _ = team.guard()
    guard.close()
    connection = driver.connect(str(team.folder / "guardrail.db"))
    connection.execute(
        "UPDATE policies SET bundle = CAST(replace(CAST(bundle AS TEXT), 'pay', 'buy') AS BLOB)"
    )
    connection.commit()
    connection.close()
    shelf.status = 503
    with pytest.raises(PolicyError, match="is not what was stored"):
        team.guard()


def test_another_process_that_is_ahead_is_not_undone(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    ahead, feed = team.guard()
    behind, other = team.guard()
    shelf.put(edition(3))
    feed.look()
    shelf.put(edition(2))
    assert (other.look(), said(behind), said(ahead)) == ("refused", "edition 1", "edition 3")
    shelf.put(edition(3))
    assert (other.look(), said(behind)) == ("activated", "edition 3")


def test_a_server_names_its_hour(team: Team, shelf: Shelf):
    team.configure(shelf.url, poll="2s")
    _, feed = team.guard()
    shelf.status = 503
    waits: list[float] = []
    for _ in range(6):
        assert feed.look() == "unreachable"
        waits.append(feed.delay("unreachable"))
    assert [
        low <= wait <= high for wait, (low, high) in zip(waits, [(0.5, 1), *[(1, 2)] * 5], strict=True)
    ] == [True] * 6
    shelf.headers["Retry-After"] = "120"
    feed.look()
    assert feed.delay("unreachable") == 120
    shelf.headers["Retry-After"] = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    feed.look()
    assert 500 < feed.delay("unreachable") <= 600
    for strange in ("-1", "soon", "9" * 30, ""):
        shelf.headers["Retry-After"] = strange
        feed.look()
        assert feed.delay("unreachable") <= 3600
    assert 1.8 <= feed.delay("same") <= 2.2


def test_a_token_is_sent_and_read_anew(team: Team, shelf: Shelf):
    secret = team.folder / "token"
    secret.write_text("one\n")
    team.configure(shelf.url, more='token = "file:token"')
    _, feed = team.guard()
    secret.write_text("two\n")
    feed.look()
    assert [one.get("Authorization") for one in shelf.asked] == ["Bearer one", "Bearer two"]
    secret.unlink()
    assert feed.look() == "unreachable"


def signed(files: dict[str, bytes], key: Any) -> dict[str, bytes]:
    """The files with a signature over all of them, as OPA writes it."""
    import jwt

    listed = [
        {"name": name, "hash": digest_of(name, content), "algorithm": "SHA-256"}
        for name, content in files.items()
    ]
    token = jwt.encode({"files": listed}, key, algorithm="EdDSA", headers={"kid": "ci"})
    return {**files, ".signatures.json": json.dumps({"signatures": [token]}).encode()}


def test_only_what_is_signed_is_activated_where_a_key_is_known(team: Team, shelf: Shelf):
    ours, theirs = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    (team.folder / "ci.pub").write_bytes(
        ours.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    shelf.put(signed(edition(1), ours))
    team.configure(shelf.url, more='[policies.keys.ci]\nalgorithm = "EdDSA"\nfile = "ci.pub"')
    guard, feed = team.guard()
    for bad in (
        edition(2),
        signed(edition(2), theirs),
        signed(edition(2), ours) | {"more.rego": rule("m", "more")},
    ):
        shelf.put(bad)
        assert (feed.look(), said(guard)) == ("refused", "edition 1")
    shelf.put(signed(edition(2), ours))
    assert (feed.look(), said(guard)) == ("activated", "edition 2")
    shelf.put(signed(edition(1), ours))  # an older one, whose signature still holds
    assert (feed.look(), said(guard)) == ("refused", "edition 2")
    assert [one[1] for one in told(guard)] == ["", "signature", "signature", "signature", "", "rollback"]


def test_a_folder_is_taken_once_it_is_still(team: Team):
    folder = team.folder / "policies"
    folder.mkdir()
    (folder / "paying.rego").write_bytes(rule("edition 1"))
    team.configure("policies")
    guard, feed = team.guard()
    assert (said(guard), feed.look()) == ("edition 1", "same")
    (folder / "paying.rego").write_bytes(rule("edition 2"))
    assert feed.look() == "unsettled"
    (folder / "more.rego").write_bytes(rule("half", "half"))
    assert feed.look() == "unsettled"
    assert (feed.look(), said(guard), feed.look()) == ("activated", "edition 2", "same")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_was_written_a_moment_ago_is_looked_at_twice_at_the_start_too(tmp_path: Path, kind: str):
    folder, file = tmp_path / "policies", tmp_path / "bundle.tar.gz"
    folder.mkdir()

    def write(number: int) -> None:
        files = {f"{one}.rego": rule("m", f"r{one}") for one in range(number)}
        file.write_bytes(packed(files))
        for name, content in files.items():
            (folder / name).write_bytes(content)

    source = FolderSource(folder, "s") if kind == "folder" else FileSource(file, "s", most=1_000_000)
    write(1)
    assert source.look("") == "unsettled"  # a deny may not have been copied yet
    write(2)
    assert source.look("") == "unsettled"
    found = source.look("")
    assert isinstance(found, Fetched)
    assert sorted(found.files) == ["0.rego", "1.rego"]


def test_half_a_folder_is_not_activated(team: Team):
    folder = team.folder / "policies"
    folder.mkdir()
    (folder / "paying.rego").write_bytes(rule("edition 1"))
    team.configure("policies")
    guard, feed = team.guard()
    (folder / "paying.rego").write_bytes(rule("edition 2")[:-6])
    assert [feed.look() for _ in range(3)] == ["unsettled", "refused", "refused"]
    assert said(guard) == "edition 1"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert (feed.look(), said(guard)) == ("unreachable", "edition 1")
    folder.mkdir()
    (folder / "paying.rego").write_bytes(rule("edition 3"))
    assert [feed.look(), feed.look(), said(guard)] == ["unsettled", "activated", "edition 3"]


def test_a_folder_may_be_swapped_as_a_whole(team: Team):
    for number in (1, 2):
        (team.folder / f"release-{number}").mkdir()
        (team.folder / f"release-{number}" / "paying.rego").write_bytes(rule(f"edition {number}"))
    link = team.folder / "current"
    link.symlink_to("release-1")
    team.configure("current")
    guard, feed = team.guard()
    (team.folder / "next").symlink_to("release-2")
    (team.folder / "next").rename(link)
    assert [feed.look(), feed.look(), said(guard)] == ["unsettled", "activated", "edition 2"]


def test_links_in_a_folder_stay_inside(team: Team):
    folder = team.folder / "policies"
    folder.mkdir()
    (folder / "paying.rego").write_bytes(rule("edition 1"))
    (team.folder / "outside.rego").write_bytes(rule("outside", "outside"))
    team.configure("policies")
    guard, feed = team.guard()
    (folder / "more.rego").symlink_to(team.folder / "outside.rego")
    assert (feed.look(), said(guard)) == ("refused", "edition 1")
    assert feed.trouble is not None
    assert "is a link out of policies" in feed.trouble.message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_folder_with_a_pipe_or_a_link_to_itself_is_refused_at_once(team: Team):
    policies = team.folder / "policies"
    policies.mkdir()
    (policies / "paying.rego").write_bytes(rule("edition 1"))
    team.configure("policies")
    guard, feed = team.guard()
    os.mkfifo(policies / "more.rego")
    assert (feed.look(), feed.look(), said(guard)) == ("unsettled", "refused", "edition 1")
    (policies / "more.rego").unlink()
    (policies / "more.rego").symlink_to("more.rego")
    assert {feed.look(), feed.look()} == {"unreachable"}
    (policies / "more.rego").unlink()
    assert (feed.look(), feed.look(), said(guard)) == ("unsettled", "same", "edition 1")


def test_a_tag_that_cannot_be_sent_back_is_not(team: Team, shelf: Shelf):
    shelf.etags = False
    shelf.headers["ETag"] = '"\xe9"'
    team.configure(shelf.url)
    guard, feed = team.guard()
    assert (feed.look(), feed.look(), told(guard)) == ("same", "same", [FIRST])
    assert [one.get("If-None-Match") for one in shelf.asked] == [None] * 3


def test_a_file_is_taken_whole(team: Team):
    file = team.folder / "bundle.tar.gz"
    file.write_bytes(packed(edition(1)))
    team.configure("bundle.tar.gz")
    guard, feed = team.guard()
    file.write_bytes(packed(edition(2))[:100])
    assert [feed.look(), feed.look()] == ["unsettled", "refused"]
    file.write_bytes(packed(edition(2)))
    assert [feed.look(), feed.look(), said(guard)] == ["unsettled", "activated", "edition 2"]
    file.unlink()
    assert (feed.look(), said(guard)) == ("unreachable", "edition 2")


def test_an_edition_that_failed_is_not_tried_again_until_it_changes(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    guard, feed = team.guard()
    test = b'package more_test\n\ntest_it if {\n\tprint("ran")\n\tfalse\n}\n'
    shelf.put({**edition(2), "more_test.rego": test})
    feed.look()
    trouble = feed.trouble
    feed.look()
    assert feed.trouble is trouble  # the same error: nothing was run again
    shelf.status = 503
    feed.look()
    assert isinstance(feed.trouble, BundleUnreachable)
    shelf.status = 200
    feed.look()
    assert feed.trouble is trouble
    assert [one[1] for one in told(guard)] == ["", "policy", "unreachable", "policy"]


def test_the_ledger_is_lost_and_the_last_good_edition_stays(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    guard, feed = team.guard()
    shelf.put(edition(2))
    guard.ledger.close()
    assert feed.look() == "refused"
    assert guard.policy.pinned().revision == guard.policy.revision


def test_the_thread_looks_by_itself_and_ends_with_the_guard(team: Team, shelf: Shelf):
    team.configure(shelf.url, poll="20ms")
    guard, _ = team.guard()
    shelf.put(edition(2))
    until(lambda: said(guard) == "edition 2")
    guard.close()
    assert "guardrail-policies" not in {thread.name for thread in threading.enumerate()}


def test_closing_does_not_wait_for_a_slow_server(team: Team, shelf: Shelf):
    team.configure(shelf.url, poll="20ms", more='timeout = "1h"')
    guard, _ = team.guard()
    shelf.hold = threading.Event()
    asked = len(shelf.asked)
    until(lambda: len(shelf.asked) > asked)
    guard.close()
    assert "guardrail-policies" not in {thread.name for thread in threading.enumerate()}


def test_a_forked_child_looks_by_itself(team: Team, shelf: Shelf):
    team.configure(shelf.url, poll="20ms")
    guard, _ = team.guard()
    shelf.put(edition(2))
    until(lambda: said(guard) == "edition 2")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        until(lambda: said(guard) == "edition 3")
        os.write(write, said(guard).encode())
        os._exit(0)
    os.close(write)
    shelf.put(edition(3))
    assert os.read(read, 100) == b"edition 3"
    os.close(read)
    assert os.waitpid(child, 0)[1] == 0
    until(lambda: said(guard) == "edition 3")
    assert [one for one in told(guard) if one[2] == "r3"] == [("activated", "", "r3")] * 2


def until(reached: Callable[[], bool]) -> None:
    """Wait for what another thread does; the time limit of the test ends it otherwise."""
    while not reached():
        time.sleep(0.005)


def test_votes_are_judged_by_what_was_activated_last(team: Team, shelf: Shelf):
    team.configure(shelf.url)
    guard, feed = team.guard()
    shipped = guard.voting._policy.revision
    own = b'package guardrail.approval\n\ndecision := {"barred": [], "met": true}\n'
    shelf.put({**edition(2), "votes.rego": own})
    feed.look()
    assert guard.voting._policy.revision != shipped
    assert guard.voting._policy._bundle.modules["votes.rego"] == own.decode()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('paths = ["x"]', "expected paths or source, not both"),
        ("bundle_bytes = 10", "greater than or equal to 1024"),
        ('[policies.keys.k]\nalgorithm = "RS256"', "expected file, and it alone, for RS256"),
        ('[policies.keys.k]\nalgorithm = "HS256"\nfile = "x"', "expected secret, and it alone, for HS256"),
        ('[policies.keys.k]\nalgorithm = "none"\nfile = "x"', "algorithm"),
        ('[policies.keys.k]\nalgorithm = "HS256"\nsecret = "my-secret"', "not the secret itself"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(team: Team, more: str, why: str):
    team.configure("policies", more=more)
    with pytest.raises(ConfigError, match=why):
        team.guard()


@pytest.mark.parametrize(
    ("source", "more", "why"),
    [
        ("http://example.org/b", "", "expected https:// in source"),
        ("http://example.org/b", '[policies.keys.k]\nalgorithm = "RS256"\nfile = "x"', None),
        ("https://anna:pw@example.org/b", "", "expected an address without a user or password"),
        ("ftp://example.org/b", "", "expected a path, or an address"),
        ("policies", 'token = "env:X"', "expected token only beside the source that it is for"),
        ("~/policies", "", "expected a path"),
    ],
)
def test_a_source_that_cannot_be_trusted_is_refused(team: Team, source: str, more: str, why: str | None):
    from guardrail.config import Config

    team.configure(source, more=more)
    if why is None:
        Config.load(team.folder / "guardrail.toml")
    else:
        with pytest.raises(ConfigError, match=why):
            Config.load(team.folder / "guardrail.toml")


def authority(folder: Path) -> Any:
    """A certificate of one's own for this computer, as a file, and a context that serves under it."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bundles")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


def test_a_server_is_believed_under_the_authority_that_is_named(team: Team):
    shelf = Shelf()
    shelf.put(edition(1))
    with serving(shelf, wrap=authority(team.folder)):
        team.configure(shelf.url, more='authority = "ca.pem"')
        guard, feed = team.guard()
        assert (said(guard), feed.look()) == ("edition 1", "same")
        (team.folder / "ca.pem").unlink()
        assert feed.look() == "unreachable"
        guard.close()
        (team.folder / "guardrail.db").unlink()
        (team.folder / "guardrail.key").unlink()
        team.configure(shelf.url)
        with pytest.raises(PolicyError, match="CERTIFICATE_VERIFY_FAILED"):
            team.guard()


def test_what_is_changed_in_the_table_is_found(team: Team, shelf: Shelf):
    from guardrail.ledger.sqlite import driver

    team.configure(shelf.url)
    guard, _ = team.guard()
    guard.close()
    connection = driver.connect(str(team.folder / "guardrail.db"))
    connection.execute("UPDATE activations SET counter = 0")
    connection.commit()
    connection.close()
    with Ledger.open(team.folder / "guardrail.db", key=_key(team)) as ledger:
        assert [fault.what for fault in ledger.verify().faults] == [
            f"activation 1 of {shelf.url} is not the one that is recorded"
        ]


def _key(team: Team) -> Any:
    from guardrail.sealing import SealingKey

    return SealingKey.read(team.folder / "guardrail.key")
