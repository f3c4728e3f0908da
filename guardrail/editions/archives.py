"""Bundles as OPA packs them: a `.tar.gz`, taken apart in memory and within bounds, or refused.

Nothing is written to disk, so no name in an archive can lead anywhere; what a name may be is checked all the same,
since rules and data are found by it. Whatever would be left out silently is refused: a second file of the same name, a
link, what follows after the end.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self, cast

from guardrail.bundles import MAX_BYTES, MAX_FILES
from guardrail.errors import BundleRefused

MAX_UNPACKED: Final = 4 * MAX_BYTES
"""Size of an archive once it is unpacked, in bytes."""
MAX_ENTRIES: Final = 4 * MAX_FILES
"""Files and folders in one archive."""

_PLAIN: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})
_KINDS: Final[Mapping[bytes, str]] = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_UNWANTED: Final = re.compile(r"[\\:\x00-\x1f\x7f]")
_LONG_NAMES: Final = frozenset({tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK})
_EXTENDED: Final = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE})
_GLOBAL: Final = frozenset({tarfile.XGLTYPE})
_MAX_EXTENDED: Final = 65_536
"""Size of one header that says more of the next file (its whole name, say), in bytes."""
_RECORD: Final = re.compile(rb"(\d{1,5}) ")
_RUN: Final = re.compile(rb"\d{32}")
_MOVING: Final = re.compile(rb" (?:path|size)=")


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The files of an archive: path, with `/` and without one in front → content.

    Raises:
        BundleRefused: this is no whole `.tar.gz`, it is too large, or something is in it that may not be.
    """
    tape = _decompressed(archive)
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(tape), mode="r:", tarinfo=_Member) as reader:
            for member in _members(reader):
                name = checked_name(member.name)
                if name in files:
                    raise BundleRefused("malformed", f"the bundle has two files {name!r}")
                content = reader.extractfile(member)
                files[name] = b"" if content is None else content.read()
                if len(files[name]) != member.size:
                    raise BundleRefused("malformed", f"the bundle ends within its file {name!r}")
            _check_end(tape[reader.offset :])
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
        raise BundleRefused("malformed", f"this is no tar archive: {error}", fix=_HOW) from error
    return files


_HOW: Final = "make it with `opa build -b FOLDER -o bundle.tar.gz`"


def _decompressed(archive: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(archive)) as stream:
            tape = stream.read(MAX_UNPACKED + 1)
    except EOFError as error:
        raise BundleRefused("malformed", "the bundle is cut off: its gzip stream has no end") from error
    except (OSError, zlib.error) as error:
        raise BundleRefused("malformed", f"this is no .tar.gz: {error}", fix=_HOW) from error
    if len(tape) > MAX_UNPACKED:
        raise BundleRefused(
            "malformed", f"the bundle is more than {MAX_UNPACKED:,} bytes once it is unpacked"
        )
    return tape


def _members(reader: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The plain files; folders are passed over, since names say them again."""
    count = 0
    for member in reader:
        count += 1
        if count > MAX_ENTRIES:
            raise BundleRefused("malformed", f"the bundle has more than {MAX_ENTRIES:,} entries")
        if member.size < 0:
            raise _broken(f"{member.name!r} in it has a size below zero")
        if member.type == tarfile.DIRTYPE:
            continue
        if member.type not in _PLAIN or member.issparse():
            kind = _KINDS.get(member.type, "a sparse file" if member.issparse() else "something else")
            raise BundleRefused(
                "malformed", f"{member.name!r} in the bundle is {kind}", fix="put the file itself there"
            )
        yield member


class _Member(tarfile.TarInfo):
    """A header, looked at before the reader reads it.

    That one steps back over sizes below zero (CVE-2025-8194), and the time it takes grows with the square of an
    extended header (CVE-2024-6232): hours, for one that is small once it is packed, with the interpreter lock held.
    """

    def _proc_member(self, tarfile: tarfile.TarFile) -> Self:
        if self.size < 0:
            raise _broken("a size in it is below zero")
        if self.type in _LONG_NAMES | _EXTENDED and self.size > _MAX_EXTENDED:
            raise _broken(f"it has a header of more than {_MAX_EXTENDED:,} bytes")
        if self.type in _EXTENDED:
            stream = cast("io.BytesIO", tarfile.fileobj)
            begins = stream.tell()
            _check_records(stream.read(self.size), is_global=self.type in _GLOBAL)
            stream.seek(begins)
        inherited: Any = super()
        return cast("Self", inherited._proc_member(tarfile))  # noqa: SLF001  made to be overridden


def _check_records(header: bytes, *, is_global: bool) -> None:
    """Look whether an extended header is as POSIX has it: `LENGTH KEYWORD=VALUE` and a new line, again and again."""
    begins = 0
    while begins < len(header):
        found = _RECORD.match(header, begins)
        ends = begins + (int(found[1]) if found else 0)
        record = header[begins:ends]
        if len(record) < ends - begins or not record.endswith(b"\n") or b"=" not in record:
            raise _broken("it has an extended header that is none")
        begins = ends
    if _RUN.search(header):
        raise _broken("it has an extended header with a number that is too long")
    if b" GNU.sparse." in header:
        raise BundleRefused(
            "malformed", "a file in the bundle is a sparse file", fix="put the file itself there"
        )
    if is_global and _MOVING.search(header):
        raise _broken("it has one name or size for all of its files")


def _broken(why: str) -> BundleRefused:
    return BundleRefused("malformed", f"the tar archive of the bundle is not read: {why}", fix=_HOW)


def _check_end(rest: bytes) -> None:
    """After the last file stand two empty blocks; the reader takes whatever else it cannot read for the end too."""
    if len(rest) < 2 * tarfile.BLOCKSIZE or rest.strip(b"\0"):
        raise BundleRefused("malformed", "the tar archive of the bundle has no proper end", fix=_HOW)


def checked_name(name: str) -> str:
    """The path of a file inside its bundle, without what packers put in front: `/`, or `./`.

    Raises:
        BundleRefused: it leads out of the bundle, or is no plain path.
    """
    path = name.removeprefix("./").removeprefix("/")
    parts = path.split("/")
    if len(name) > 1024 or _UNWANTED.search(name) or any(part in {"", ".", ".."} for part in parts):
        raise BundleRefused("malformed", f"{name[:200]!r} is no plain path inside of a bundle")
    return path
