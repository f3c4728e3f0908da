"""People at an HTTP client: say yes or no to whatever waits, again and too late, until the process is killed.

    python -m tests.approvals.approver FOLDER

Two of them have to agree; every seventh number is refused by the first. Beside them the person whom the agents act
for tries to vote, and somebody who is always late. What is answered to those two stands in the file `late`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.approvals.world import append, awake

QUORUM = ("ben", "eve")
REFUSED = 7
"""Numbers that this divides are refused."""


class Office:
    """Everybody with their tokens."""

    def __init__(self, folder: Path, tokens: dict[str, str]) -> None:
        self._folder, self._tokens = folder, tokens
        self._client = httpx.Client(timeout=10)

    def answer_all(self) -> None:
        """Everybody answers what waits."""
        for request in self._get("ben", "/v1/requests")["requests"]:
            shown = self._get("ben", f"/v1/requests/{request['id']}")
            answer = "reject" if shown["arguments"]["number"] % REFUSED == 0 else "approve"
            self._note("barred", request["id"], self._vote("anna", request["id"], "approve"))
            voted = [self._vote(person, request["id"], answer) for person in (*QUORUM, QUORUM[0])]
            if any(said.is_success and said.json()["state"] != "pending" for said in voted):
                self._note("late", request["id"], self._vote("mia", request["id"], "approve"))

    def _vote(self, person: str, request: str, answer: str) -> httpx.Response:
        said = self._client.post(
            self._url(f"/v1/requests/{request}/votes"),
            json={"answer": answer, "opened": True},
            headers=self._as(person),
        )
        assert said.status_code in (200, 409, 503), said.text
        return said

    def _get(self, person: str, path: str) -> dict[str, Any]:
        said = self._client.get(self._url(path), headers=self._as(person))
        said.raise_for_status()
        document: dict[str, Any] = said.json()
        return document

    def _url(self, path: str) -> str:
        return (self._folder / "url").read_text() + path

    def _as(self, person: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._tokens[person]}"}

    def _note(self, kind: str, request: str, said: httpx.Response) -> None:
        if said.status_code != 503:
            append(self._folder / "late", json.dumps([kind, request, said.status_code, said.text]))


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    office = Office(folder, json.loads((folder / "tokens-of-people.json").read_text()))
    awake(folder)
    while True:
        try:
            office.answer_all()
        except (httpx.HTTPError, OSError):
            pass  # the service is being killed, or started
        time.sleep(0.02)


if __name__ == "__main__":
    main()
