"""An approver's process: says yes over HTTP to whatever waits, as each of its people, until it is killed.

python -m tests.service.approver FOLDER TOKEN…
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import httpx


def main() -> None:
    """See the module."""
    folder, tokens = Path(sys.argv[1]), sys.argv[2:]
    while True:
        try:
            url = (folder / "url").read_text()
            for token in tokens:
                headers = {"Authorization": f"Bearer {token}"}
                waiting = httpx.get(f"{url}/v1/requests", headers=headers).json()["requests"]
                for request in waiting:
                    path = f"{url}/v1/requests/{request['id']}/votes"
                    answer = httpx.post(path, json={"answer": "approve", "opened": True}, headers=headers)
                    if answer.status_code not in (200, 409):
                        print(answer.status_code, answer.text, flush=True)
        except httpx.HTTPError:
            pass  # the service is being killed, or started
        time.sleep(0.05)


if __name__ == "__main__":
    main()
