"""A bundle server that hands out garbage, or what is older, or nobody's: the last good policies go on deciding."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import jwt

from guardrail.editions.signatures import digest_of
from tests.editions.shelf import Shelf, edition, packed, serving
from tests.faults.fault import GOES_ON, Fault, Scene
from tests.faults.project import project

_SOURCE = '[policies]\nsource = "{url}"\npoll = "100ms"\ntimeout = "1s"\n'
_KEYS = '[policies.keys.ci]\nalgorithm = "HS256"\nsecret = "file:secret"\n'
_OURS, _THEIRS = "ours" * 10, "theirs" * 10


def _signed(files: Mapping[str, bytes], secret: str) -> dict[str, bytes]:
    """The files with a signature over all of them, as OPA writes it."""
    listed = [
        {"name": name, "hash": digest_of(name, content), "algorithm": "SHA-256"}
        for name, content in files.items()
    ]
    token = jwt.encode({"files": listed}, secret, algorithm="HS256", headers={"kid": "ci"})
    return {**files, ".signatures.json": json.dumps({"signatures": [token]}).encode()}


def _handing_out(
    bad: Callable[[Shelf], object], *, keys: bool = False
) -> Callable[[Path], AbstractContextManager[Scene]]:
    """A server that hands out the second edition, and after the fault the third; `bad` spoils what it hands out."""

    def good(number: int) -> dict[str, bytes]:
        return _signed(edition(number), _OURS) if keys else edition(number)

    @contextmanager
    def scene(folder: Path) -> Iterator[Scene]:
        (folder / "secret").write_text(_OURS)
        shelf = Shelf()
        shelf.put(good(2))

        def mend() -> None:
            shelf.promised = None
            shelf.put(good(3))

        with (
            serving(shelf),
            project(folder, policies=_SOURCE.format(url=shelf.url) + (_KEYS if keys else "")) as (
                guard,
                ledger,
            ),
        ):
            yield Scene(guard=guard, place=ledger.path, strike=lambda: bad(shelf), mend=mend)

    return scene


def _is(**changes: Any) -> Callable[[Shelf], None]:
    def change(shelf: Shelf) -> None:
        for name, value in changes.items():
            setattr(shelf, name, value)

    return change


def _fault(
    name: str,
    scene: Callable[[Path], AbstractContextManager[Scene]],
    state: str,
    says: str,
    about: str = "policies",
) -> Fault:
    return Fault(
        name=name, part="bundle server", scene=scene, answers=GOES_ON, about=about, state=state, says=says,
        exit_code=4 if state == "down" else 1,
    )  # fmt: skip


FAULTS = [
    _fault("answers with 503", _handing_out(_is(status=503)), "down", "503"),
    _fault("hands out garbage", _handing_out(_is(body=b"<html>404</html>")), "error", ""),
    _fault("hands out half an archive", _handing_out(_is(body=packed(edition(3))[:150])), "error", ""),
    _fault("breaks off in the middle", _handing_out(_is(promised=100_000)), "down", ""),
    _fault(
        "hands out an older edition",
        _handing_out(lambda shelf: shelf.put(edition(1))),
        "error",
        "go back",
        "edition",
    ),
    _fault(
        "hands out what others have signed",
        _handing_out(lambda shelf: shelf.put(_signed(edition(3), _THEIRS)), keys=True),
        "error",
        "signature",
    ),
    _fault(
        "hands out what does not pass the pre-flight",
        _handing_out(
            lambda shelf: shelf.put(edition(3) | {"more.rego": b"package guardrail.rules.more\n\nallow := "})
        ),
        "error",
        "",
    ),
]
