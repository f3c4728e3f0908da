"""Slack, whole: the real ledger, voting, delivery and endpoint over real HTTP, and a stand-in for Slack itself."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from guardrail_slack.answering import Answering
from guardrail_slack.endpoint import PATH, SlackEndpoint
from guardrail_slack.messages import Routes, SlackMessages
from guardrail_slack.testing import Posted, SlackStandIn
from guardrail_slack.web import Web

from guardrail.delivery import Delivery
from guardrail.errors import Denied
from guardrail.guard import Guardrail
from guardrail.ledger import Ledger
from guardrail.ledger.granting import Asking
from guardrail.people import People, Person
from guardrail.policy import PolicyInput
from guardrail.sealing import SealingKey
from guardrail.showing import Shown, show
from guardrail.testing import ScriptedPolicy, decision
from guardrail.voting import Voting

PEOPLE = (
    Person(id="ben", slack=("U0BEN",)),
    Person(id="cleo", slack=("U0CLEO", "U1CLEO")),
    Person(id="anna", slack=("U0ANNA",), principals=("user:anna",)),
    Person(id="dora", slack=("U0DORA",), principals=("user:dora",)),
)
LINK = "https://guardrail.example.com/approvals/{id}"


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """An ASGI application on a port of its own; answers its address."""
    settings = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def judged(given: PolicyInput) -> Any:
    """Every payment is asked for, as its own argument `ask` says."""
    asked = given.call.arguments.get("ask") or {}
    return decision("ask", rule="payments.large", message="more than 100", **asked)


class Scene:
    """A workspace, an agent that asks, and people who click."""

    def __init__(self, folder: Path, *, hide: tuple[str, ...] = ()) -> None:
        self.hide = hide
        self.sent: list[dict[str, Any]] = []
        self.key = SealingKey.create(folder / "guardrail.key")
        self.path = folder / "guardrail.db"
        self.ledger = Ledger.open(self.path, key=self.key, asking=Asking(channels=("slack",)))
        self.slack = SlackStandIn()
        self.people = People(PEOPLE)
        self.voting = voting_over(self.ledger, self.people)
        self.guard = Guardrail(
            policy=ScriptedPolicy(judged), ledger=self.ledger, voting=self.voting, hide=hide
        )
        self.web = Web(self.slack.token, url=self.slack.url)
        self.messages = SlackMessages(self.web, Routes(usual="C0PAYMENTS", rules={}, tools={}), link=LINK)
        self.endpoint = SlackEndpoint(
            team=self.slack.team,
            app=self.slack.app,
            secrets=(self.slack.secret,),
            answering=Answering(
                ledger=self.ledger,
                voting=self.voting,
                web=self.web,
                messages=self.messages,
                look=self.look,
            ),
        )
        self.delivery = Delivery(self.ledger, [self.messages], self.look, every=0.02)

    def look(self, request: str) -> Shown:
        return show(self.ledger, request, key=self.key.masking, hide=self.hide)

    @contextmanager
    def running(self) -> Iterator["Scene"]:
        with ExitStack() as stack:
            stack.callback(self.ledger.close)
            stack.enter_context(self.slack)
            stack.callback(self.endpoint.close)
            self.slack.endpoint = stack.enter_context(serving(self.endpoint.app)) + PATH
            stack.enter_context(self.delivery)
            yield self

    def send(self, to: str = "bob", amount: int = 500, **more: Any) -> str:
        """The agent sends money; what it reads then."""

        def send_money(to: str, amount: int, ask: dict[str, Any], memo: str) -> str:
            """Send money."""
            self.sent.append({"to": to, "amount": amount})
            return f"sent {amount} to {to}"

        with self.guard.run("run-1", principal="user:dora"):
            tool = self.guard.tool(
                send_money, agent="payer", server="bank", waiting=more.pop("waiting", "answer")
            )
            try:
                return tool(to, amount, more.pop("ask", {}), more.pop("memo", ""))
            except Denied as denied:
                return str(denied)

    def ask(self, *arguments: Any, **more: Any) -> tuple[str, Posted]:
        """Ask people for a payment; answers the request's id and its message in Slack."""
        before = len(self.slack.posts)
        self.send(*arguments, **more)
        request = self.ledger.approvals()[-1].id
        return request, self.slack.wait(lambda slack: slack.posts[before:])[0]

    def votes(self, request: str) -> tuple[str, list[tuple[str, str, str, str]]]:
        found = self.ledger.approval(request)
        return found.state, [(vote.person, vote.answer, vote.channel, vote.reason) for vote in found.votes]


def voting_over(ledger: Ledger, people: People) -> Voting:
    """Votes judged by the approval policy that ships with guardrail."""
    return Voting(ledger, people, pending_per_run=100)


@pytest.fixture(name="scene")
def _scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path).running() as scene:
        yield scene
