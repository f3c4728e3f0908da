"""A path is where it leads once links are followed, and inside a root only if it really is."""

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.paths import MAX_BYTES, read_path


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Path:
    """A folder with app/ (a root), app2/, and links between them."""
    folder = tmp_path.resolve()
    for name in ("app/notes", "app2"):
        (folder / name).mkdir(parents=True)
    for name in ("app/a.txt", "app2/b.txt", "secret.txt"):
        (folder / name).write_text("x")
    for link, target in {
        "app/out": "..",
        "app/file-out": "../secret.txt",
        "app/absolute": str(folder / "app2"),
        "app/in": "notes",
        "app/dangling": "nowhere",
        "app/loop": "loop",
        "app/ping": "pong",
        "app/pong": "ping",
        "to-app": "app",
    }.items():
        (folder / link).symlink_to(target)
    return folder


def read(text: str, here: Path) -> Findings:
    return read_path(text, Surroundings(roots={"app": here / "app"}, folder=here))


def why(text: str, here: Path) -> str:
    with pytest.raises(NotUnderstoodError) as caught:
        read(text, here)
    return str(caught.value)


def fact(raw: str, resolved: Path, **changed: Any) -> Findings:
    plain = {
        "raw": raw,
        "resolved": str(resolved),
        "inside": ["app"],
        "exists": True,
        "kind": "file",
        "links": False,
    }
    return Findings(facts=(plain | changed,))


@pytest.mark.parametrize("text", ["app/a.txt", "./app//a.txt", "app/../app/./a.txt", "app/notes/../a.txt"])
def test_a_plain_path_is_resolved(text: str, here: Path):
    assert read(text, here) == fact(text, here / "app/a.txt")


def test_an_absolute_path_is_resolved(here: Path):
    assert read(f"{here}/app/a.txt", here) == fact(f"{here}/app/a.txt", here / "app/a.txt")


def test_a_path_to_the_top_or_above_it_is_the_top(here: Path):
    expected = fact("/../..", Path("/"), inside=[], kind="directory")
    assert read("/../..", here) == expected


def test_the_root_itself_is_inside_it(here: Path):
    assert read("app", here) == fact("app", here / "app", kind="directory")


def test_a_root_is_no_prefix_of_its_neighbour(here: Path):
    assert read("app2/b.txt", here) == fact("app2/b.txt", here / "app2/b.txt", inside=[])


def test_dots_lead_out_of_the_root(here: Path):
    assert read("app/../secret.txt", here) == fact("app/../secret.txt", here / "secret.txt", inside=[])


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("app/file-out", "secret.txt"),
        ("app/out/secret.txt", "secret.txt"),
        ("app/absolute/b.txt", "app2/b.txt"),
        ("app/out/app2/../secret.txt", "secret.txt"),
    ],
)
def test_a_symlink_out_of_the_root_is_not_inside_it(text: str, resolved: str, here: Path):
    assert read(text, here) == fact(text, here / resolved, inside=[], links=True)


def test_dots_behind_a_link_go_up_from_where_the_link_leads(here: Path):
    """Read as text, `app/absolute/..` is `app`; the system goes to the parent of `app2`."""
    assert read("app/absolute/../secret.txt", here) == fact(
        "app/absolute/../secret.txt", here / "secret.txt", inside=[], links=True
    )


def test_a_link_that_stays_inside_is_inside(here: Path):
    assert read("app/in", here) == fact("app/in", here / "app/notes", kind="directory", links=True)
    assert read("to-app/a.txt", here) == fact("to-app/a.txt", here / "app/a.txt", links=True)


def test_of_a_missing_file_the_nearest_existing_folder_is_resolved(here: Path):
    missing = {"exists": False, "kind": "missing"}
    assert read("app/new/b.txt", here) == fact("app/new/b.txt", here / "app/new/b.txt", **missing)
    assert read("app/in/b.txt", here) == fact("app/in/b.txt", here / "app/notes/b.txt", links=True, **missing)
    assert read("app/out/b.txt", here) == fact(
        "app/out/b.txt", here / "b.txt", inside=[], links=True, **missing
    )


def test_several_roots_are_named_the_innermost_first(here: Path):
    roots = {"all": here, "notes": here / "app/notes", "app": here / "app"}
    found = read_path("app/notes", Surroundings(roots=roots, folder=here))
    assert found == fact("app/notes", here / "app/notes", inside=["notes", "app", "all"], kind="directory")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("app/dangling", "it goes through a link that leads nowhere"),
        ("app/loop", "it goes through a loop of links"),
        ("app/ping/x", "it goes through a loop of links"),
        ("app/new/../a.txt", "it goes up from something that is no folder"),
        ("app/a.txt/../a.txt", "it goes up from something that is no folder"),
        ("app/a.txt/x", "it cannot be looked at: Not a directory"),
        ("app/" + "n" * 300, "it cannot be looked at: File name too long"),
        ("a/" * (MAX_BYTES // 2) + "b", "it is longer than 4,096 bytes"),
        ("/proc/self/root/etc", "it goes through a link of /proc, which leads elsewhere than it says"),
        ("", "it is empty"),
        ("app/a\x00.txt", "it holds a control character"),
        ("app/a\n.txt", "it holds a control character"),
        ("app\\..\\secret.txt", "it holds a backslash, which some programs take for a separator"),
        ("~/a.txt", "it begins with '~', which some programs expand and others do not"),
        ("~root/a.txt", "it begins with '~', which some programs expand and others do not"),
        ("$HOME/a.txt", "it holds a variable, which some programs expand and others do not"),
        ("app/${X}", "it holds a variable, which some programs expand and others do not"),
        ("file:///etc/passwd", "it is a URL, not a path"),
        ("app/u\u0308.txt", "it is not in Unicode normal form C: file systems differ on what it names"),
        ("app/\uff0e\uff0e/secret.txt", "it holds look-alikes of dots or separators"),
        ("app/\u2025/secret.txt", "it holds look-alikes of dots or separators"),
        ("app\uff0fa.txt", "it holds look-alikes of dots or separators"),
        ("app/\ud800", "it holds a lone surrogate"),
    ],
)
def test_what_may_lead_elsewhere_is_not_understood(text: str, reason: str, here: Path):
    assert why(text, here) == reason


@pytest.mark.parametrize(
    "name", ["ü.txt", "日本.txt", "a…b.txt", "price 5$.txt", "backup~", "a:b", "[id].tsx", "...", "a b"]
)
def test_unusual_names_are_plain_names(name: str, here: Path):
    (here / "app" / name).write_text("x")
    assert read(f"app/{name}", here) == fact(f"app/{name}", here / "app" / name)


def test_a_pipe_a_socket_and_a_device_ask_for_a_person(here: Path):
    os.mkfifo(here / "app/pipe")
    caution = "it is a device, a pipe or a socket"
    expected = fact("app/pipe", here / "app/pipe", kind="other").facts
    assert read("app/pipe", here) == Findings(facts=expected, caution=caution)
    assert read("/dev/null", here).caution == caution
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short}/s")
        assert read(f"{short}/s", here).caution == caution


def test_a_name_that_is_no_text_is_not_understood(here: Path):
    odd = os.fsdecode(b"\xff")
    (here / "app" / odd).mkdir()
    (here / "app/odd").symlink_to(odd)
    assert why("app/odd/x", here) == "it leads through a name that is no text"


def test_a_folder_that_does_not_exist_makes_relative_paths_unclear_and_absolute_ones_not(here: Path):
    given = Surroundings(roots={"app": here / "app"}, folder=here / "gone")
    with pytest.raises(NotUnderstoodError, match="it cannot be looked at: No such file or directory"):
        read_path("a.txt", given)
    assert read_path(f"{here}/app", given) == fact(f"{here}/app", here / "app", kind="directory")


NAMES = ["a", "b", "c", "d"]
PARTS = st.lists(st.sampled_from([*NAMES, "..", ".", ""]), min_size=1, max_size=7).map("/".join)
LAYOUT = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join),
        st.one_of(st.just("file"), st.just("folder"), PARTS, PARTS.map(lambda target: f"TOP/{target}")),
    ),
    max_size=12,
)


def build(top: Path, layout: list[tuple[str, str]]) -> None:
    """Files, folders and links, wherever they fit."""
    for place, what in layout:
        path = top / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if what == "file":
                path.write_text("x")
            elif what == "folder":
                path.mkdir()
            else:
                path.symlink_to(what.replace("TOP", str(top)) or ".")
        except OSError:
            continue  # something else stands there, or the way leads through a broken link


@settings(max_examples=300, deadline=None)
@given(layout=LAYOUT, text=PARTS)
@example(layout=[("a", "file"), ("b", "TOP/a/.")], text="b")
@example(layout=[("a", "file")], text="a/")
def test_nothing_resolved_inside_a_root_really_lies_outside(layout: list[tuple[str, str]], text: str):
    """Against the system's own answer, in a folder of random files and links."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name).resolve()
        build(top, layout)
        given = Surroundings(roots={"root": top / "a"}, folder=top)
        try:
            (found,) = read_path(text or ".", given).facts
        except NotUnderstoodError:
            return
        real = os.path.realpath(top / text)
        assert (found["resolved"], found["exists"]) == (real, (top / text).exists())
        assert (found["inside"] == ["root"]) == (real == f"{top}/a" or real.startswith(f"{top}/a/"))
        assert read_path(text or ".", given).facts == (found,)


@settings(deadline=None)
@given(st.one_of(st.text(), st.text("/.~$\\\x00ab\u0308\uff0e", max_size=30), st.binary().map(os.fsdecode)))
def test_no_text_makes_it_raise_anything_else(text: str):
    given = Surroundings(roots={"tmp": Path("/tmp")}, folder=Path("/"))
    try:
        (found,) = read_path(text, given).facts
    except NotUnderstoodError:
        return
    assert found["resolved"].startswith("/")
