"""Archives: what OPA packs is read, and what could mean another thing to somebody else is refused."""

import gzip
import io
import tarfile
import tracemalloc

import pytest

from guardrail.editions.archives import MAX_ENTRIES, MAX_UNPACKED, unpacked
from guardrail.errors import BundleRefused
from tests.editions.shelf import packed, tape


def refused(archive: bytes) -> str:
    with pytest.raises(BundleRefused) as caught:
        unpacked(archive)
    assert caught.value.code == "malformed"
    return caught.value.message


def with_member(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return gzip.compress(body.getvalue())


def special(kind: bytes, link: str = "") -> bytes:
    member = tarfile.TarInfo("a.rego")
    member.type, member.linkname = kind, link
    return with_member(member)


@pytest.mark.parametrize("name", ["a/b.rego", "/a/b.rego", "./a/b.rego"])
def test_packers_write_one_name_in_three_ways(name: str):
    assert unpacked(packed({name: b"text", "data.json": b"{}"})) == {"a/b.rego": b"text", "data.json": b"{}"}


def test_folders_are_passed_over():
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        folder = tarfile.TarInfo("a/")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert unpacked(gzip.compress(body.getvalue())) == {}


@pytest.mark.parametrize(
    "name",
    ["../a.rego", "/../a.rego", "a/../../b.rego", "a/./b.rego", "//etc/a.rego", "a//b.rego", "a\\b.rego", "c:/a.rego",
     "a\nb.rego", ".", "..", "a/" + "b" * 1100],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(name: str):
    assert "is no plain path inside of a bundle" in refused(packed({name: b"x"}))


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.CONTTYPE, "something else"),
        (b"Z", "something else"),
    ],
)
def test_what_is_no_plain_file_is_refused(kind: bytes, what: str):
    assert refused(special(kind, "/etc/passwd")) == f"'a.rego' in the bundle is {what}"


@pytest.mark.parametrize("second", ["a.rego", "/a.rego", "./a.rego"])
def test_two_files_of_one_name_are_refused(second: str):
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for name in ("a.rego", second):
            archive.addfile(tarfile.TarInfo(name))
    assert refused(gzip.compress(body.getvalue())) == "the bundle has two files 'a.rego'"


def test_a_sparse_file_is_refused_before_it_grows():
    member = tarfile.TarInfo("data.json")
    member.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40),
        "GNU.sparse.name": "data.json",
    }  # fmt: skip
    assert refused(with_member(member, b"1\n0\n1\n" + b" " * 506)) in {
        "'data.json' in the bundle is a sparse file",
        "'data.json' in the bundle is something else",
    }


def test_a_bomb_is_refused_without_being_unpacked():
    bomb = gzip.compress(bytes(50 * MAX_UNPACKED))
    tracemalloc.start()
    said = refused(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said == f"the bundle is more than {MAX_UNPACKED:,} bytes once it is unpacked"
    assert peak < 4 * MAX_UNPACKED


def test_too_many_entries_are_refused():
    many = packed({f"{number}.txt": b"" for number in range(MAX_ENTRIES + 1)})
    assert refused(many) == f"the bundle has more than {MAX_ENTRIES:,} entries"


def test_every_cut_of_an_archive_is_refused():
    whole = packed({"a.rego": b"package a\n", "data.json": b"{}"})
    for end in range(len(whole)):
        with pytest.raises(BundleRefused):
            unpacked(whole[:end])


def test_what_stands_where_the_archive_should_end_is_refused():
    body = tape({"a.rego": b"package a\n"})
    second = tape({"b.rego": b"package b\n"})
    unended = body[:1024]
    assert unpacked(gzip.compress(unended + bytes(1024))) == {"a.rego": b"package a\n"}
    for rest in (b"", bytes(512), b"x" * 1024, bytes(1024) + second, bytes(1024) + b"x"):
        assert refused(gzip.compress(unended + rest)) == "the tar archive of the bundle has no proper end"


@pytest.mark.parametrize(
    "garbage", [b"", b"garbage", b"<html>not found</html>", gzip.compress(b"no tar" * 200, mtime=0)]
)
def test_garbage_is_refused(garbage: bytes):
    assert refused(garbage)
