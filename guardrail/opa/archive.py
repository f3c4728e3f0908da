"""A bundle in the form that OPA servers load, with its digest as the revision that they tell with every decision."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator

from guardrail.bundles import Bundle
from guardrail.canonical import canonical
from guardrail.editions.manifest import package_of


def archive(bundle: Bundle) -> bytes:
    """The bundle as `bundle.tar.gz`: the same bytes for the same bundle. Its tests are left out.

    A server that decides by it tells `bundle.revision` with each decision, so that both sides can be compared.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, content in _files(bundle):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _files(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    packages = {package_of(path, source)[0] for path, source in bundle.rules.items()}
    roots = sorted(packages | set(bundle.data))  # the rest of the server's `data` is left to others
    yield ".manifest", canonical({"revision": bundle.revision, "roots": roots, "rego_version": 1})
    yield "data.json", bundle.data_json
    for path, source in bundle.rules.items():
        yield path, source.encode()
