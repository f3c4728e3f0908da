"""Between the check of a path and its use, nobody swaps what stands there."""

import os
from pathlib import Path
from typing import Any

import pytest

from guardrail import Guardrail
from guardrail.boundaries import Boundaries
from guardrail.boundary import Boundary
from guardrail.errors import Denied, NotJudged
from guardrail.opening import open_judged
from guardrail.testing import ScriptedPolicy


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "note.txt").write_text("hello")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(name="use")
def _use(folder: Path, tmp_path: Path) -> Any:
    """Runs a function as a tool whose `path` was judged."""
    boundaries = Boundaries({"a": Boundary(tools=("*",), paths={"work": folder})})
    with Guardrail(boundaries=boundaries, policy=ScriptedPolicy("allow"), ledger=tmp_path / "l.db") as guard:

        def use(function: Any, path: str) -> Any:
            def tool(path: str) -> Any:
                return function(path)

            return guard.tool(tool, agent="a", kinds={"path": "path"})(path)

        yield use


def read(path: str) -> str:
    with open_judged(path) as file:
        text: str = file.read()
    return text


def test_a_judged_path_is_read_and_written(use: Any, folder: Path):
    def rewrite(path: str) -> None:
        with open_judged(path, "w") as file:
            file.write("bye")

    note = str(folder / "in" / "note.txt")
    assert use(read, note) == "hello"
    use(rewrite, note)
    assert use(read, note) == "bye"


def test_a_new_file_is_made_where_it_was_judged(use: Any, folder: Path):
    def make(path: str) -> None:
        with open_judged(path, "xb") as file:
            file.write(b"new")

    use(make, str(folder / "in" / "new.txt"))
    assert (folder / "in" / "new.txt").read_bytes() == b"new"


def test_a_link_that_was_judged_leads_where_it_led_then(use: Any, folder: Path, tmp_path: Path):
    link = folder / "link"
    link.symlink_to(folder / "in" / "note.txt")

    def swap_and_read(path: str) -> str:
        link.unlink()
        link.symlink_to(tmp_path / "secret.txt")
        return read(path)

    assert use(swap_and_read, str(link)) == "hello"


@pytest.mark.parametrize("part", ["file", "folder", "pipe"])
def test_what_was_swapped_after_the_check_is_not_opened(use: Any, folder: Path, tmp_path: Path, part: str):
    note = folder / "in" / "note.txt"

    def swap_and_read(path: str) -> str:
        note.unlink()
        if part == "file":
            note.symlink_to(tmp_path / "secret.txt")
        elif part == "folder":
            (folder / "in").rmdir()
            (tmp_path / "note.txt").write_text("secret")
            (folder / "in").symlink_to(tmp_path)
        else:
            os.mkfifo(note)
        return read(path)

    with pytest.raises(NotJudged, match=r"link that was not there|no plain file any more"):
        use(swap_and_read, str(note))


def test_another_path_than_the_judged_one_is_not_opened(use: Any, folder: Path, tmp_path: Path):
    with pytest.raises(NotJudged, match="no argument of local/tool that was judged"):
        use(lambda _: read(str(tmp_path / "secret.txt")), str(folder / "in" / "note.txt"))


def test_an_encoding_that_there_is_not_leaves_no_descriptor_open(use: Any, folder: Path):
    def fail(path: str) -> set[str]:
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(LookupError):
            open_judged(path, encoding="no such")
        return set(os.listdir("/proc/self/fd")) - before

    if not Path("/proc/self/fd").exists():
        pytest.skip("looks into this process through /proc")
    assert use(fail, str(folder / "in" / "note.txt")) == set()


def test_nothing_is_opened_outside_of_a_tool(folder: Path):
    with pytest.raises(NotJudged, match="not run as a guarded tool"):
        read(str(folder / "in" / "note.txt"))


def test_outside_of_the_boundary_the_tool_does_not_run_at_all(use: Any, tmp_path: Path):
    with pytest.raises(Denied):
        use(read, str(tmp_path / "secret.txt"))


def test_a_folder_is_named_as_one(use: Any, folder: Path):
    with pytest.raises(NotJudged, match="is a folder"):
        use(read, str(folder))
