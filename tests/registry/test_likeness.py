"""What names are like: popular ones are like no other, near ones are named, joined ones are seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import ConfigError
from guardrail.registry.likeness import Likeness, Popular, bare, read_popular, shipped
from guardrail.registry.names import can_exist

POPULAR = Popular(
    ["requests", "flask", "six", "huggingface-hub", "react", "python-dateutil", "pip", "@types/node"]
)


@pytest.mark.parametrize(
    ("name", "nearest", "distance"),
    [
        ("reqeusts", "requests", 1),  # two letters turned round are one edit
        ("rekwests", "requests", 2),
        ("requesst", "requests", 1),
        ("rekwezts", "", None),
        ("flas", "flask", 1),
        ("flosk", "flask", 1),
        ("flosc", "", None),  # two edits are too many for a short name
        ("sxi", "", None),  # and one for a very short one
        ("python-requests", "requests", 0),
        ("requests-py", "requests", 0),
        ("hugging-facehub", "huggingface-hub", 0),
        ("dateutil", "python-dateutil", 0),
        ("react.js", "react", 0),
        ("types-node", "@types/node", 0),
        ("something-else", "", None),
        ("", "", None),
    ],
)
def test_a_name_is_near_a_popular_one_by_its_length(name: str, nearest: str, distance: int | None):
    found = POPULAR.likeness(name)
    assert (found.rank, found.nearest, found.distance) == (None, nearest, distance)


@pytest.mark.parametrize(
    ("name", "joined"),
    [
        ("flask-gpt-helper", True),
        ("huggingface-cli", True),
        ("react-codeshift", True),
        ("requests_flask", True),
        ("helper-utils", False),  # nothing popular in it
        ("flask-quasar", False),
        ("flaskhelper", False),
        ("quasar", False),
    ],
)
def test_a_name_that_is_joined_from_popular_ones_is_seen(name: str, joined: bool):
    assert POPULAR.likeness(name).conflation is joined


@pytest.mark.parametrize("ecosystem", ["pypi", "npm"])
def test_popular_names_are_ranked_and_like_no_other(ecosystem):
    popular = shipped(ecosystem)
    names = list(popular._ranks)
    assert len(names) == 4000
    assert [popular.likeness(name) for name in names] == [Likeness(rank=rank) for rank in range(1, 4001)]
    assert all(can_exist(ecosystem, name) for name in names)


def test_a_list_of_ones_own_takes_its_place(tmp_path):
    (tmp_path / "top.txt").write_text("# ours\n\nabacus\n zither \n")
    popular = read_popular(tmp_path / "top.txt")
    assert (popular.likeness("zither").rank, popular.likeness("zithre").nearest) == (2, "zither")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_popular(tmp_path / "none.txt")


@given(st.text(max_size=50))
def test_any_text_is_like_something_or_nothing_and_always_the_same(name: str):
    assert POPULAR.likeness(name) == POPULAR.likeness(name)
    assert bare(bare(name)) is not None
