"""`docs/faults.md` is about the faults that there are."""

from tests.faults.matrix import FAULTS
from tests.faults.page import listed


def test_the_page_has_the_rows_of_the_matrix():
    found = listed()
    known = [(fault.part.lower(), fault.name) for fault in FAULTS]
    assert [(part.lower(), name) for part, name, _, _ in found] == known, "run `make faults`"
    assert {lost for *_, lost in found} == {"0"}
    for (_, name, answers, _), fault in zip(found, FAULTS, strict=True):
        assert answers, name
        assert answers <= fault.answers, name
