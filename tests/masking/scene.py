"""One deployment in which everything happens to arguments that nothing may show, and every channel is listened to.

The policies quote them wherever a policy can: in messages, in fixes, in what is observed, before the call and at its
output, to the agent and to whoever may not vote. The service and the command line run in processes of their own.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import sqlite3
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guardrail_langgraph import wrap
from guardrail_langgraph.testing import calling
from guardrail_slack.testing import SlackStandIn
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.sqlite import SqliteSaver
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typer.testing import CliRunner

from guardrail.calls import Call, Principal
from guardrail.cli.app import app
from guardrail.execution import Attempt
from guardrail.guard import Guardrail
from guardrail.outcomes import Outcome
from tests.adapters.graphs import START_MESSAGES, plain, thread, tool_messages
from tests.masking.scanning import secret
from tests.service.conftest import Deployment

CONFIG = """
[policies]
paths = ["policies"]
observe = ["quote.watched"]

[masking]
hide = ["/password", "/login/*/pin"]

[agents.payer]
tools = ["bank/*", "local/*", "guardrail/*"]
hosts = ["bank.example"]
attributes = { desk = "%(desk)s" }

%(tools)s

[people.ben]
slack = "U0BEN"
roles = ["operations"]

[people.eve]

[people.mia]

[serve]
port = 0
operators = ["role:operations"]
body_within = "1s"

[slack]
team = "T0STANDIN"
app = "A0STANDIN"
channel = "C0PAYMENTS"
api = "%(api)s"
webhook = "env:SLACK_WEBHOOK_URL"

[checkpoints]
origin = "example.com/masking"
key = "log.key"
public_keys = ["log.pub"]

[checkpoints.anchors]
file = "anchor.txt"
"""

MASK = """package guardrail.mask

hide contains sprintf("/%s", [name]) if {
	some name in ["token", "codes", "env", "url", "command", "amount"]
	input.arguments[name] != null
}
"""

QUOTING = """package guardrail.rules.quote

told := sprintf("%v and %v", [input.arguments, input.facts])

ask contains {"rule": "quote.ask", "message": told, "fix": told, "expires_in": "10m"} if {
	input.point == "action"
	input.tool.name in {"pay", "graph_pay"}
}

ask contains {"rule": "quote.open", "message": "people decide", "expires_in": "10m"} if {
	input.point == "action"
	input.tool.name == "open"
}

deny contains {"rule": "quote.deny", "message": told, "fix": told} if {
	input.point == "action"
	input.tool.name in {"refuse", "graph_refuse"}
}

deny contains {"rule": "quote.broken", "message": sprintf("%v", [to_number(given)])} if {
	given := object.get(input.arguments, "token", "")
	input.point == "action"
	input.tool.name == "broken"
}

allow contains {"rule": "quote.allow", "message": told}

allow contains {
	"rule": "quote.changed", "message": told, "obligations": {"replace": {"/memo": "changed"}},
} if {
	input.point == "action"
	input.tool.name == "change"
}

allow contains {
	"rule": "quote.misfit", "message": told, "obligations": {"replace": {"/memo": 7}},
} if {
	input.point == "action"
	input.tool.name == "misfit"
}

deny contains {"rule": "quote.watched", "message": told}

ask contains {"rule": "quote.output", "message": sprintf("%v: %v", [told, input.output.content])} if {
	input.point == "output"
	input.tool.name == "look"
}

deny contains {"rule": "quote.kept", "message": sprintf("%v: %v", [told, input.output.content])} if {
	input.point == "output"
	input.tool.name == "withhold"
}
"""

VOTERS = """package guardrail.approval

decision := {"barred": barred, "met": met}

barred contains {"rule": "voters.quote", "message": sprintf("%v", [input]), "fix": sprintf("%v", [input])} if {
	input.person.id == "mia"
}

default met := false

met if count(input.votes) > 0
"""

TOOLS = ("pay", "change", "misfit", "refuse", "broken", "fail", "look", "withhold", "validate", "open")
DEBUG = """import logging
import logging.config

configured = logging.config.dictConfig


class Whole(logging.Formatter):
    def format(self, record):
        return f"{super().format(record)} {record.__dict__!r}"


def loud(settings):
    configured(settings)
    kept = logging.FileHandler("debug.log")
    kept.setFormatter(Whole())
    for name in ("", *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
        if not name or not logger.propagate:
            logger.addHandler(kept)


logging.config.dictConfig = loud
"""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What was planted, and what was told.

    Attributes:
        masked: name → secret that nothing may tell.
        sealed: name → secret that people are shown, and that no span, log or export may tell.
        known: name → secret in a note of a person, and in the definition of a tool.
        channels: name → everything that was told there.
        holder: what was shown to whoever holds the key and asked to see it.
        buttons: tool → what could be clicked on in Slack.
    """

    masked: Mapping[str, str]
    sealed: Mapping[str, str]
    known: Mapping[str, str]
    channels: Mapping[str, bytes]
    holder: Mapping[str, bytes]
    buttons: Mapping[str, set[str]]


class Scene:
    """The deployment, what was planted in it, and what it has told so far."""

    def __init__(self, folder: Path, slack: SlackStandIn) -> None:
        self.folder, self.slack = folder, slack
        self.masked = {
            name: secret()
            for name in (
                "password",
                "pin",
                "token",
                "code",
                "member",
                "member name",
                "url",
                "command",
                "edited",
                "invalid",
            )
        }
        self.masked["amount"] = "73910284651198"
        self.sealed = {
            name: secret() for name in ("memo", "result", "raised", "task", "heard", "desk", "principal")
        }
        self.known = {"note": secret(), "description": secret()}
        self.channels: dict[str, bytes] = {}
        self.deployment = Deployment(folder)
        self.holder: dict[str, bytes] = {}
        self.buttons: dict[str, set[str]] = {}

    # -- the parts -----------------------------------------------------------------------------------

    def configure(self) -> None:
        """Write the configuration and the policies."""
        tools = "\n".join(f'[tools."bank/{name}"]\neffect = "write"\n' for name in TOOLS)
        settings = {"desk": self.sealed["desk"].replace('"', '\\"'), "tools": tools, "api": self.slack.url}
        (self.folder / "guardrail.toml").write_text(CONFIG % settings)
        policies = self.folder / "policies"
        policies.mkdir()
        for name, text in (("mask", MASK), ("quote", QUOTING), ("voters", VOTERS)):
            (policies / f"{name}.rego").write_text(text)
        (self.folder / "sitecustomize.py").write_text(DEBUG)

    def arguments(self, **more: Any) -> dict[str, Any]:
        """Arguments with secrets at the top, nested, in lists, in names and in facts."""
        masked = self.masked
        return {
            "token": masked["token"],
            "password": masked["password"],
            "login": {"first": {"pin": masked["pin"]}},
            "codes": ["code one", masked["code"]],
            "env": {masked["member name"]: masked["member"]},
            "url": f"https://bank.example/{masked['url']}?q={masked['url']}",
            "command": f"curl -H '{masked['command']}' https://bank.example/",
            "amount": int(masked["amount"]),
            "memo": self.sealed["memo"],
            **more,
        }

    def tools(self, guard: Guardrail) -> dict[str, Any]:
        """Plain functions that echo what they are given, and more."""
        sealed = self.sealed

        def act(
            token: str, password: str, login: dict[str, dict[str, str]], codes: list[str], env: dict[str, str],
            url: str, command: str, amount: int, memo: str,
        ) -> dict[str, Any]:  # fmt: skip
            return {
                "echo": [token, password, login, codes, env, url, command, amount],
                "new": sealed["result"],
            }

        def fail(
            token: str, password: str, login: dict[str, dict[str, str]], codes: list[str], env: dict[str, str],
            url: str, command: str, amount: int, memo: str,
        ) -> str:  # fmt: skip
            error = LookupError(f"{token} {codes} {amount} {sealed['raised']}")
            error.add_note(password)
            raise error

        act.__doc__ = fail.__doc__ = f"Pay, as in: pay(token={self.known['description']})"
        made: dict[str, Any] = {}
        for name in TOOLS[:-1]:
            kinds = {"url": "url", "command": "command"}
            function = fail if name == "fail" else act
            made[name] = guard.tool(
                function, agent="payer", name=name, server="bank", kinds=kinds, waiting="answer"
            )
        return made

    # -- what happens --------------------------------------------------------------------------------

    def play(self) -> None:
        """Everything, with every channel kept."""
        self.configure()
        self._command("keys", "log.key", "--log", "example.com/masking")
        with self._logged("agent log"):
            self._agents()
            self._people()
        self._graph()
        self._database("running")
        self._commands()
        self._service_ended()
        self._database("closed")

    @contextlib.contextmanager
    def _logged(self, name: str) -> Iterator[None]:
        """Every logger, at its loudest."""
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Whole())
        root, level = logging.getLogger(), logging.getLogger().level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
            self.channels[name] = stream.getvalue().encode()

    def _call(self, tools: Mapping[str, Any], name: str, **arguments: Any) -> Any:
        """Call a tool; what it raises is a channel."""
        try:
            value = tools[name](**arguments)
        except Exception as error:
            words = [str(error), repr(error), *traceback.format_exception(error)]
            outcome = getattr(error, "outcome", None)
            words += [str(getattr(outcome, word, "")) for word in ("reasons", "mask", "message")]
            self._add(f"raised by {name}", "\n".join(words))
            return error
        return value

    def _add(self, name: str, text: str | bytes) -> None:
        body = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        self.channels[name] = self.channels.get(name, b"") + b"\n" + body

    def _agents(self) -> None:
        with self.deployment.guard() as guard:
            tools = self.tools(guard)
            with guard.run("run-1", principal=self._principal, task=self.sealed["task"]):
                guard.hear(self.sealed["heard"])
                for name in TOOLS[1:-1]:
                    self._call(tools, name, **self.arguments())
                self._call(tools, "validate", **self.arguments(password=[self.masked["invalid"]]))
                self._call(tools, "validate", **self.arguments(amount=self.masked["invalid"]))
                self._call(tools, "validate", token=self.masked["invalid"])
                opened = guard.tool(_open, agent="payer", name="open", server="bank", waiting="answer")
                self._call({"open": opened}, "open", memo=self.sealed["memo"])
            self._pay(guard)
            with guard.run("run-2", principal=self._principal, task=self.sealed["task"]):
                self._call(tools, "validate", **self.arguments())

    @property
    def _principal(self) -> Principal:
        return Principal(id="user:anna", attributes={"card": self.sealed["principal"]})

    def _pay(self, guard: Guardrail) -> Outcome:
        """The call that people are asked about: the same one whenever it is made."""
        properties: dict[str, Any] = {name: {} for name in self.arguments()}
        properties["login"] = {"additionalProperties": {"properties": {"pin": {}}}}
        tool = guard.tool_definition(
            name="pay", server="bank", description=f"As in: pay({self.known['description']})",
            schema={"type": "object", "properties": properties}, kinds={"url": "url", "command": "command"},
        )  # fmt: skip
        call = Call.of(
            self.arguments(), run="run-1", id="pay-1", tool=tool, agent=guard.agent("payer", ("payer",)),
            principal=self._principal,
        )  # fmt: skip
        outcome = guard.perform(
            Attempt(call=call, invoke=lambda judged: dict(judged.arguments)), waiting="answer"
        )
        self._add("told to the agent", guard.explain(call, outcome))
        self._add("told to the agent", repr(outcome.reasons))
        return outcome

    def _people(self) -> None:
        """Slack and HTTP: a real service, whose every logger writes to a file."""
        self.service = self.deployment.serve(path=self.folder)
        self.slack.endpoint = f"{self.service.url}/slack/interactions"
        self.slack.wait(lambda it: len(it.posts) >= 3)
        ben, mia = (self.service.client(self.deployment.token(name)) for name in ("ben", "mia"))
        waiting = ben.get("/v1/requests").json()["requests"]
        for message in self.slack.posts:
            for tool in ("bank/pay", "bank/open", "guardrail/release"):
                if f" {tool}\n" in message.shown:
                    self.buttons[tool] = set(message.buttons)
                    self._add(f"slack about {tool}", repr(message))
        pay = next(item["id"] for item in waiting if item["tool"] == "bank/pay")
        self._add("http", ben.get("/v1/requests").content)
        self._add("http shown", ben.get(f"/v1/requests/{pay}").content)
        self._add("http shown to mia", mia.get(f"/v1/requests/{pay}").content)
        self._add("http", mia.post(f"/v1/requests/{pay}/votes", json={"answer": "reject"}).content)
        unseen = ben.post(f"/v1/requests/{pay}/votes", json={"answer": "approve"})
        assert unseen.status_code == 409, unseen.text
        self._add("http", unseen.content)
        self.holder["http"] = ben.get(f"/v1/requests/{pay}", params={"reveal": "true"}).content
        reason = f"{self.known['note']} {self.masked['token']} {self.masked['amount']}"
        other = {**self.arguments(token=self.masked["edited"])}
        self._add(
            "http", ben.post(f"/v1/requests/{pay}/edits", json={"arguments": other, "reason": reason}).content
        )
        with self.deployment.guard() as guard:
            assert self._pay(guard).heading == "WAITING"
        self.slack.wait(lambda it: len(it.posts) >= 4)
        again = next(
            item["id"] for item in ben.get("/v1/requests").json()["requests"] if item["tool"] == "bank/pay"
        )
        self._add("http shown", ben.get(f"/v1/requests/{again}").content)
        ben.get(f"/v1/requests/{again}", params={"reveal": "true"})
        voted = ben.post(f"/v1/requests/{again}/votes", json={"answer": "approve", "reason": reason})
        assert voted.json()["state"] == "approved", voted.text
        self._add("http", voted.content)
        with self.deployment.guard() as guard:
            assert self._pay(guard).status == "returned"
        look = next(item["id"] for item in waiting if item["tool"] == "guardrail/release")
        self._add("http shown", ben.get(f"/v1/requests/{look}").content)
        no = ben.post(f"/v1/requests/{look}/votes", json={"answer": "reject", "reason": reason})
        assert no.json()["state"] == "rejected", no.text
        self._add("http", no.content)
        ben.close()
        mia.close()

    def _graph(self) -> None:
        """A LangGraph graph with a file of checkpoints."""
        names = ("graph_pay", "graph_refuse")

        def act(token: str, memo: str) -> str:
            """Pay."""
            return f"paid {token}"

        with self._logged("graph log"), self.deployment.guard() as guard:
            tools = [StructuredTool.from_function(act, name=name) for name in names]
            given = {"token": self.masked["token"], "memo": self.sealed["memo"]}
            bad = {"token": [self.masked["invalid"]], "memo": "x"}
            script = [calling(("graph_pay", given), ("graph_refuse", given), ("graph_refuse", bad))]
            with SqliteSaver.from_conn_string(str(self.folder / "graph.sqlite")) as saver:
                graph = wrap(plain(tools, script, checkpointer=saver), guard)
                paused = graph.invoke(START_MESSAGES, thread("thread-1"))
                self._add("interrupts", repr(paused["__interrupt__"]))
                self._add("interrupts", repr(graph.get_state(thread("thread-1")).interrupts))
                (approval,) = [it for it in guard.ledger.approvals(state="pending") if it.run == "thread-1"]
                guard.ledger.vote(approval.id, "ben", "reject", channel="test", reason="no")
                done = graph.invoke(None, thread("thread-1"))
            said = tool_messages(done)
            self._add("answers in the graph", "\n".join(repr((it.content, it.artifact)) for it in said))
        with contextlib.closing(sqlite3.connect(self.folder / "graph.sqlite")) as kept:
            rows = kept.execute(
                "SELECT channel, value FROM writes WHERE channel = '__interrupt__'"
            ).fetchall()
        assert rows
        self._add("interrupts", repr(rows))

    def _database(self, when: str) -> None:
        for name in ("guardrail.db", "guardrail.db-wal", "guardrail.db-shm"):
            if (path := self.folder / name).exists():
                self.channels[f"{name} {when}"] = path.read_bytes()

    def _commands(self) -> None:
        """The command line, in every form of output; `shown` is for whoever may see what is not masked."""
        with self.deployment.config.open_ledger() as ledger:
            calls = [call.key for run in ledger.runs() for call in ledger.calls(run.id)]
            requests = [approval.id for approval in ledger.approvals()]
            runs = [run.id for run in ledger.runs()]
        pages = [f"{kind}.html" for kind in ("run", "replay")]
        told: list[tuple[str, tuple[str, ...]]] = [
            ("runs", ("runs",)), ("approvals", ("approvals", "--all")), ("doctor", ("doctor",)),
            ("verify", ("verify",)), ("outputs", ("outputs",)), ("checkpoint", ("checkpoint",)),
            ("recompute", ("replay", "--recompute")), ("what-if", ("replay", "--policy", "other")),
            *(("show run", ("show", run)) for run in runs),
            *(("show call", ("show", f"call_{key[:16]}")) for key in calls),
            *(("show approval", ("show", request)) for request in requests),
        ]  # fmt: skip
        other = self.folder / "other"
        other.mkdir()
        text = QUOTING.replace('"graph_pay"}', '"graph_pay", "validate"}')
        (other / "quote.rego").write_text(text)  # and nothing in it masks
        for name, command in told:
            for form in ((), ("--json",)):
                self._add(" ".join((name, *form)), self._command(*command, *form))
        self._command("show", "run-1", "--html", pages[0])
        self._command("replay", "--policy", "other", "--html", pages[1], "--markdown", "replay.md")
        for page in (*pages, "replay.md"):
            self._add(page, (self.folder / page).read_bytes())
        self._command("export", "--log", "exported")
        self._command("prove", "1/0", "--out", "proof")
        for path in sorted((self.folder / "exported").rglob("*")):
            if path.is_file():
                self._add("exported logs", path.read_bytes())
        for name in ("anchor.txt", "proof"):
            if (self.folder / name).exists():
                self._add("anchors and proofs", (self.folder / name).read_bytes())
        self.holder["show"] = self._command("show", "run-1", "--reveal", "--json").encode()

    def _command(self, *arguments: str) -> str:
        """The command line, in this process: all that it prints."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, arguments)
        assert done.exit_code in (0, 1), (arguments, done.output, done.exception)
        return done.output

    def _service_ended(self) -> None:
        self.service.stop()
        self._add("service log", self.service.log_path.read_bytes())
        self._add("service debug log", (self.folder / "debug.log").read_bytes())
        bodies = [repr(it) for it in (*self.slack.messages, *self.slack.notices, *self.slack.views.values())]
        self._add("slack", "\n".join(bodies))


def _open(memo: str) -> str:
    return f"opened {memo}"


class _Whole(logging.Formatter):
    """Everything that a record of a logger holds."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{super().format(record)} {record.__dict__!r}"


def main() -> None:
    """Play it in the folder that is named, and leave what was told in a file there."""
    folder = Path(sys.argv[1])
    spans, measured = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([measured]))
    with SlackStandIn() as slack:
        os.environ.update(
            SLACK_BOT_TOKEN=slack.token, SLACK_SIGNING_SECRET=slack.secret, SLACK_WEBHOOK_URL=slack.webhook
        )
        scene = Scene(folder, slack)
        try:
            scene.play()
        finally:
            scene.deployment.close()
    scene.channels["spans"] = "\n".join(span.to_json() for span in spans.get_finished_spans()).encode()
    data = measured.get_metrics_data()
    assert data is not None
    scene.channels["measurements"] = data.to_json().encode()
    told = Told(
        masked=scene.masked, sealed=scene.sealed, known=scene.known, channels=scene.channels,
        holder=scene.holder, buttons=scene.buttons,
    )  # fmt: skip
    (folder / "told").write_bytes(pickle.dumps(asdict(told)))


if __name__ == "__main__":
    main()
