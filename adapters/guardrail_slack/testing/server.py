"""The HTTP server of the stand-in."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardrail_slack.testing.stand_in import SlackStandIn
    from guardrail_slack.testing.values import Fault


def handler(slack: SlackStandIn) -> type[BaseHTTPRequestHandler]:
    """What takes the calls of one stand-in."""

    class Handler(BaseHTTPRequestHandler):
        """One call."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            hook = self.path.startswith("/services/")
            method = "webhook" if hook else self.path.removeprefix("/api/")
            fault = slack.fault(method)
            time.sleep(fault.delay)
            answer = "ok"
            if (fault.status == 200 and not fault.hang_up) or fault.done:
                fields = json.loads(body)
                if hook:
                    slack.take_notice(fields)
                else:
                    answer = json.dumps(slack.answer(method, self.headers.get("Authorization", ""), fields))
            if fault.hang_up:
                self.close_connection = True
                return
            self._send(fault, answer)

        def _send(self, fault: Fault, answer: str) -> None:
            text = (fault.body if fault.status != 200 else answer).encode()
            self.send_response(fault.status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            if fault.retry_after is not None:
                self.send_header("Retry-After", str(fault.retry_after))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Tests do not want to read it."""

    return Handler
