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
    assert refused(with_member(member, b"1\n0\n1\n" + b" " * 506)) == "a file in the bundle is a sparse file"


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


def header(kind: bytes, size: int, name: bytes = b"a.rego") -> bytes:
    """A block that begins a member, of any size, as no packer writes it."""
    block = bytearray(512)
    block[: len(name)], block[100:107], block[156:157], block[257:265] = (
        name,
        b"0000644",
        kind,
        b"ustar\x0000",
    )
    octal = b"%011o\0" % max(size, 0)
    block[124:136] = octal if size >= 0 else b"\xff" * 4 + size.to_bytes(8, "big", signed=True)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(content: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An archive with one file, behind a header that says more of it."""
    padded = content + bytes(-len(content) % 512)
    return gzip.compress(header(kind, len(content)) + padded + header(tarfile.REGTYPE, 0) + bytes(1024))


@pytest.mark.parametrize("size", [-512, -1024])
@pytest.mark.parametrize("kind", [b"0", b"5", b"L", b"K", b"x", b"g", b"S", b"7"])
def test_a_size_below_zero_is_refused(kind: bytes, size: int):
    body = header(b"0", 0) + header(kind, size, b"b.rego") + bytes(1024)
    assert "below zero" in refused(gzip.compress(body))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"1" * 60_000, "it has an extended header that is none"),
        (b"1" * 8_000_000, "it has a header of more than 65,536 bytes"),
        (b"5009 a=" + b"1" * 5001 + b"\n", "it has an extended header with a number that is too long"),
        (b"2 " * 30_000 + b"=", "it has an extended header that is none"),
        (b"0 a=b\n", "it has an extended header that is none"),
        (b"9 a=b\n", "it has an extended header that is none"),
    ],
)
def test_an_extended_header_that_would_take_hours_is_refused(kind: bytes, content: bytes, why: str):
    assert refused(extended(content, kind)) == f"the tar archive of the bundle is not read: {why}"


def test_a_name_of_a_file_that_is_as_long_as_hours_is_refused():
    assert "a header of more than 65,536 bytes" in refused(extended(b"a" * 70_000, tarfile.GNUTYPE_LONGNAME))


def test_headers_before_headers_without_end_are_refused():
    one = header(tarfile.XHDTYPE, 6) + b"6 a=b\n" + bytes(506)
    assert "this is no tar archive" in refused(gzip.compress(one * 3_000 + header(b"0", 0) + bytes(1024)))


def test_what_git_archive_writes_is_read():
    assert unpacked(extended(b"18 comment=abcdef\n", tarfile.XGLTYPE)) == {"a.rego": b""}


@pytest.mark.parametrize("record", [b"15 path=b.rego\n", b"10 size=5\n"])
def test_one_name_for_all_files_is_refused(record: bytes):
    assert "it has one name or size for all of its files" in refused(extended(record, tarfile.XGLTYPE))


@pytest.mark.parametrize("record", [b"11 size=-5\n", b"13 size=-512\n"])
def test_a_size_below_zero_in_an_extended_header_is_refused(record: bytes):
    assert "below zero" in refused(extended(record))
