"""Bundles: what is read from a folder, what is refused there, and what the revision says."""

import json
import os
from pathlib import Path

import pytest

from guardrail.bundles import MAIN, MAX_BYTES, Bundle, shipped_folder
from guardrail.errors import PolicyError

RULE = 'package guardrail.rules.a\n\nallow contains {"rule": "a", "message": "m"} if input.arguments.x\n'


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "a.rego").write_text(RULE)
    return folder


def main_source() -> str:
    return (shipped_folder() / "main.rego").read_text()


def test_modules_and_data_stand_where_their_folders_say(folder: Path):
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "b.rego").write_text("package b\n")
    (folder / "data.json").write_text('{"settings": {"n": 1}, "sub": {"here": true}}')
    (folder / "sub" / "deep" / "data.json").write_text('{"x": [1.5, "é"]}')
    (folder / "README.md").write_text("not a policy")
    bundle = Bundle.from_directory(folder)
    assert dict(bundle.modules) == {"a.rego": RULE, MAIN: main_source(), "sub/b.rego": "package b\n"}
    assert bundle.data == {"settings": {"n": 1}, "sub": {"here": True, "deep": {"x": [1.5, "é"]}}}


def test_several_folders_are_one_bundle(folder: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.rego").write_text("package b\n")
    (other / "data.json").write_text('{"b": 1}')
    (folder / "data.json").write_text('{"a": 1}')
    bundle = Bundle.from_directory(folder, other)
    assert (sorted(bundle.modules), bundle.data) == (["a.rego", "b.rego", MAIN], {"a": 1, "b": 1})


def test_a_bundle_with_its_own_main_gets_no_other(folder: Path):
    own = "# ours\npackage guardrail # main\n\ndecision := {}\n"
    (folder / "ours.rego").write_text(own)
    assert dict(Bundle.from_directory(folder).modules) == {"a.rego": RULE, "ours.rego": own}


def test_the_shipped_policies_are_a_bundle_with_one_main():
    modules = Bundle.shipped().modules
    assert "main.rego" in modules
    assert MAIN not in modules


def test_shipped_and_own_policies_join_without_a_second_main(folder: Path):
    joined = Bundle.join(Bundle.shipped(), Bundle.from_directory(folder))
    assert set(joined.modules) == {*Bundle.shipped().modules, "a.rego"}


def test_two_own_bundles_join_with_the_shipped_main(folder: Path):
    joined = Bundle.join(Bundle.from_directory(folder), Bundle.of({"b.rego": "package b\n"}, {"b": 1}))
    assert (sorted(joined.modules), joined.data) == (["a.rego", "b.rego", MAIN], {"b": 1})


def test_bundles_that_contradict_each_other_do_not_join(folder: Path):
    one = Bundle.from_directory(folder)
    with pytest.raises(PolicyError, match=r"a\.rego stands in two bundles with different texts"):
        Bundle.join(one, Bundle.of({"a.rego": "package other\n"}))
    with pytest.raises(PolicyError, match=r"gives data\.settings\.n another value"):
        Bundle.join(Bundle.of({}, {"settings": {"n": 1}}), Bundle.of({}, {"settings": {"n": 2}}))


def test_the_stored_form_gives_the_same_bundle_again(folder: Path):
    (folder / "data.json").write_text('{"n": 1.5, "t": "é"}')
    bundle = Bundle.from_directory(folder)
    again = Bundle.from_json(json.loads(json.dumps(bundle.as_json())))
    assert (again, again.revision) == (bundle, bundle.revision)


@pytest.mark.parametrize(
    "stored", [{}, {"modules": {}}, {"modules": [], "data": {}}, {"modules": {}, "data": 1}]
)
def test_what_is_no_stored_bundle_is_refused(stored: dict[str, object]):
    with pytest.raises(PolicyError, match="not a bundle"):
        Bundle.from_json(stored)


def test_every_byte_moves_the_revision(folder: Path):
    revisions = {Bundle.from_directory(folder).revision}
    (folder / "data.json").write_text('{"n": 1}')
    revisions.add(Bundle.from_directory(folder).revision)
    (folder / "data.json").write_text('{"n": 2}')
    revisions.add(Bundle.from_directory(folder).revision)
    (folder / "a.rego").write_text(RULE + "\n")
    revisions.add(Bundle.from_directory(folder).revision)
    (folder / "a.rego").rename(folder / "b.rego")
    revisions.add(Bundle.from_directory(folder).revision)
    assert len(revisions) == 5


def test_the_order_and_spelling_of_data_do_not_move_the_revision(folder: Path):
    (folder / "data.json").write_text('{"a": 1, "b": 2.0}')
    before = Bundle.from_directory(folder).revision
    (folder / "data.json").write_text('{ "b": 2, "a": 1 }')
    assert Bundle.from_directory(folder).revision == before


def test_nobody_can_change_a_bundle(folder: Path):
    bundle = Bundle.of({"a.rego": RULE}, {"n": [1]})
    bundle.data["n"].append(2)
    with pytest.raises(TypeError):
        bundle.modules["a.rego"] = "package b"  # type: ignore[index]
    assert bundle.data == {"n": [1]}


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path):
    outside = tmp_path / "outside.rego"
    outside.write_text("package b\n")
    (folder / "b.rego").symlink_to(outside)
    with pytest.raises(PolicyError, match=r"b\.rego is a link out of the folder"):
        Bundle.from_directory(folder)


def test_a_linked_folder_is_refused_rather_than_skipped(folder: Path, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (folder / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(PolicyError, match=r"sub is a linked folder"):
        Bundle.from_directory(folder)


def test_files_as_a_cluster_mounts_them_are_read_once(tmp_path: Path):
    real = tmp_path / "mounted" / "..2026_01_01"
    real.mkdir(parents=True)
    (real / "a.rego").write_text(RULE)
    (tmp_path / "mounted" / "..data").symlink_to("..2026_01_01")
    (tmp_path / "mounted" / "a.rego").symlink_to("..data/a.rego")
    assert sorted(Bundle.from_directory(tmp_path / "mounted").modules) == ["a.rego", MAIN]


def test_data_that_would_not_be_read_is_refused(folder: Path):
    (folder / "data.yaml").write_text("a: 1\n")
    with pytest.raises(PolicyError, match=r"data\.yaml would not be read") as caught:
        Bundle.from_directory(folder)
    assert caught.value.fix == "write data as data.json"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "holds no JSON object"),
        ("{", "not JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": 9007199254740993}', "integer beyond"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "nested deeper"),
        ("", "not JSON"),
    ],
)
def test_data_that_is_not_plain_json_is_refused_by_name(folder: Path, text: str, why: str):
    (folder / "data.json").write_text(text)
    with pytest.raises(PolicyError) as caught:
        Bundle.from_directory(folder)
    assert str(folder / "data.json") in caught.value.message
    assert why in caught.value.message


def test_a_module_that_is_no_text_is_refused(folder: Path):
    (folder / "b.rego").write_bytes(b"package b\n\xff")
    with pytest.raises(PolicyError, match=r"b\.rego cannot be read as UTF-8"):
        Bundle.from_directory(folder)


def test_one_path_in_two_folders_is_refused(folder: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.rego").write_text("package b\n")
    with pytest.raises(PolicyError, match=r"a\.rego stands in two of the folders"):
        Bundle.from_directory(folder, other)


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(PolicyError, match="is not a folder of policies"):
        Bundle.from_directory(tmp_path / "none")
    with pytest.raises(PolicyError, match=r"no \.rego file in"):
        Bundle.from_directory(tmp_path)


def test_too_much_is_refused(folder: Path):
    with pytest.raises(PolicyError, match="at most 4,000,000 bytes of each"):
        Bundle.of({"a.rego": "#" * (MAX_BYTES + 1)})
    with pytest.raises(PolicyError, match="at most 4,000,000 are accepted"):
        Bundle.of({}, {"a": "x" * MAX_BYTES})
    with pytest.raises(PolicyError, match="at most 1,000 are accepted"):
        Bundle.of({f"{number}.rego": "package a" for number in range(1_001)})
    (folder / "b.rego").write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(PolicyError, match=r"b\.rego is larger than"):
        Bundle.from_directory(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(folder: Path):
    (folder / "a.rego").chmod(0)
    with pytest.raises(PolicyError, match=r"a\.rego cannot be read"):
        Bundle.from_directory(folder)


def test_a_test_file_of_the_package_guardrail_does_not_stand_for_the_main():
    test = "package guardrail\n\ntest_x if data.guardrail.decision\n"
    assert MAIN in Bundle.of({"a.rego": RULE, "main_test.rego": test}).modules
