"""The demo's folder: replaced only where nothing but the demo has written to it."""

import json
from pathlib import Path

import pytest
from guardrail_langgraph.demo import folder as demo_folder

ADDRESSES = {"127.0.0.1:8650": "127.0.0.1:1", "localhost:8666": "localhost:2"}


def made(wanted: Path) -> Path:
    return demo_folder.make(wanted, replacing=ADDRESSES)


def texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in {".txt", ".toml", ".rego", ".csv", ".md"}
    }


def test_the_folder_holds_config_policies_and_workspace(tmp_path):
    folder = made(tmp_path / "deep" / "demo")
    assert folder == tmp_path / "deep" / "demo"
    assert {name for name in texts(folder) if not name.endswith(".rego")} == {
        "guardrail.toml",
        "workspace/inbox/invoice-101.txt",
        "workspace/inbox/invoice-102.txt",
        "workspace/inbox/invoice-103.txt",
        "workspace/private/salaries.csv",
    }
    assert (folder / "workspace/notes").is_dir()


def test_the_addresses_of_the_servers_stand_in_the_files(tmp_path):
    shown = texts(made(tmp_path / "demo"))
    assert "http://localhost:2/collect" in shown["workspace/inbox/invoice-102.txt"]
    assert '"127.0.0.1:1"' in shown["guardrail.toml"]
    assert not any(address in text for address in ADDRESSES for text in shown.values())


def test_a_second_demo_replaces_the_first(tmp_path):
    first = made(tmp_path / "demo")
    (first / "guardrail.db").write_bytes(b"a ledger")
    (first / "guardrail.key").write_bytes(b"a key")
    (first / "workspace/notes/invoice-101.md").write_text("a note")
    demo_folder.remember(first)
    before = texts(first)
    assert made(tmp_path / "demo") == first
    del before["workspace/notes/invoice-101.md"]
    assert (texts(first), (first / "guardrail.db").exists()) == (before, False)


def add_a_file(folder: Path) -> Path:
    (folder / "mine.txt").write_text("mine")
    return folder / "mine.txt"


def change_a_policy(folder: Path) -> Path:
    config = folder / "guardrail.toml"
    config.write_text(config.read_text() + "# mine\n")
    return config


def add_a_folder(folder: Path) -> Path:
    (folder / "workspace/mine").mkdir()
    return folder / "workspace/mine"


def add_a_link(folder: Path) -> Path:
    (folder / "link").symlink_to(folder.parent)
    return folder / "link"


def put_a_link_in_place_of_the_ledger(folder: Path) -> Path:
    (folder / "guardrail.db").symlink_to(folder.parent / "elsewhere.db")
    return folder / "guardrail.db"


def lose_the_list(folder: Path) -> Path:
    (folder / demo_folder.LIST).unlink()
    return folder / "guardrail.toml"


def spoil_the_list(folder: Path) -> Path:
    (folder / demo_folder.LIST).write_text("[")
    return folder / "guardrail.toml"


@pytest.mark.parametrize(
    "change",
    [
        add_a_file, change_a_policy, add_a_folder, add_a_link, put_a_link_in_place_of_the_ledger,
        lose_the_list, spoil_the_list,
    ],
)  # fmt: skip
def test_a_folder_that_somebody_else_wrote_to_is_left_alone(tmp_path, change):
    first = made(tmp_path / "demo")
    kept = change(first)
    before = sorted(path.relative_to(first) for path in first.rglob("*"))
    assert made(tmp_path / "demo") == tmp_path / "demo-2"
    assert (
        kept.is_symlink() or kept.exists(),
        sorted(path.relative_to(first) for path in first.rglob("*")),
    ) == (
        True,
        before,
    )


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/thesis.txt").write_text("years of work")
    (tmp_path / "demo-2").write_text("a file")
    (tmp_path / "demo-3").symlink_to(tmp_path)
    (tmp_path / "demo-4").mkdir()
    assert made(tmp_path / "demo") == tmp_path / "demo-4"
    assert (tmp_path / "demo/thesis.txt").read_text() == "years of work"


def test_the_list_names_everything_that_was_written(tmp_path):
    folder = made(tmp_path / "demo")
    listed = json.loads((folder / demo_folder.LIST).read_text())
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")} - {demo_folder.LIST}
    assert set(listed) == found
