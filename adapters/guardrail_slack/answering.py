"""What a click or a dialog leads to: a vote or an edit through `Voting`, and a word to the person who did it.

Runs in threads, after Slack has its answer: the database may take its time. A post that is lost here (the process
dies) is no vote, and the buttons are still there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from guardrail.approvals import Answer
from guardrail.canonical import canonical, digest, parse
from guardrail.errors import Conflict, GuardrailError, InvalidArguments, LedgerError, LedgerUnavailable
from guardrail.showing import Shown, changes
from guardrail.slack_settings import MESSAGES
from guardrail.visible import visible
from guardrail_slack import blocks, modals
from guardrail_slack.elements import TEXT, clipped, section
from guardrail_slack.interactions import Click, Submission
from guardrail_slack.messages import SlackMessages
from guardrail_slack.web import SlackFailed, Web

if TYPE_CHECKING:
    from guardrail.ledger import Ledger
    from guardrail.voting import Voting

_log: Final = logging.getLogger(__name__)

_NOT_WRITTEN: Final = "The ledger cannot be written just now, so nothing was counted. Please try again."
_COUNTED: Final = "Your yes is counted. More people have to say yes before it runs."
_NOT_HERE: Final = "This request cannot be shown whole here, so it cannot be approved or edited here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What Slack is answered when a dialog is sent off, before anything is looked up.

    Attributes:
        body: Slack's `response_action`; empty closes the dialog.
        goes_on: whether there is something left to do.
    """

    body: Mapping[str, Any]
    goes_on: bool = True


def at_once(submission: Submission) -> Reply:
    """The reply: an edit that is no JSON object is sent back, one whose changes were not shown is kept open."""
    if submission.callback != modals.EDITED:
        return Reply(body={})
    try:
        arguments = _arguments(submission)
    except InvalidArguments as error:
        told = {modals.ARGUMENTS: clipped(visible(error.message), 150)}
        return Reply(body={"response_action": "errors", "errors": told}, goes_on=False)
    if submission.reviewed == digest(canonical(arguments)):
        return Reply(body={})
    return Reply(body={"response_action": "update", "view": modals.wait()})


class Answering:
    """Does what people say in Slack, and tells them what came of it.

    Args:
        ledger: where requests are.
        voting: takes votes and edits, and knows who is which Slack user.
        web: the Web API.
        messages: the channel that posted what was clicked on.
        look: a request as it stands now, by its id.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        voting: Voting,
        web: Web,
        messages: SlackMessages,
        look: Callable[[str], Shown],
    ) -> None:
        self._ledger = ledger
        self._voting = voting
        self._web = web
        self._messages = messages
        self._look = look

    def clicked(self, click: Click) -> None:
        """Do what the button says."""
        match click.action:
            case blocks.APPROVE:
                self._answer(
                    click.user, click.request, lambda person: self._vote(click.request, person, "approve")
                )
            case blocks.REJECT:
                self._slack("views.open", trigger_id=click.trigger, view=modals.reason(click.request))
            case _:
                opened = self._slack("views.open", trigger_id=click.trigger, view=modals.wait())
                if opened is not None:
                    self._show(
                        opened["view"]["id"], click.user, lambda person: self._form(click.request, person)
                    )

    def submitted(self, submission: Submission) -> None:
        """Do what the dialog was for."""
        user, request, why = submission.user, submission.request, submission.typed[modals.WHY]
        if submission.callback == modals.REASON:
            self._answer(user, request, lambda person: self._vote(request, person, "reject", why))
        elif submission.reviewed == digest(canonical(_arguments(submission))):
            self._answer(user, request, lambda person: self._edit(submission, person))
        else:
            self._show(submission.view, user, lambda person: self._review(submission, person))

    # -- votes and edits: each answers what to tell the person ----------------------------------------

    def _vote(self, request: str, person: str, answer: Answer, why: str = "") -> str:
        whole = blocks.can_approve(self._look(request))
        if answer == "approve" and not whole:
            raise Conflict(_NOT_HERE)
        voted = self._voting.vote(request, person, answer, channel=MESSAGES, reason=why, opened=whole)
        if voted.state != "pending":
            return ""  # the message says so: what is decided lies in the outbox
        place = self._ledger.outbox.place(request, MESSAGES)
        if place is not None:
            try:
                self._messages.keep(place, lambda: self._look(request))
            except SlackFailed as error:
                _log.warning("request %s: its message was not updated: %s", request, error.message)
        return _COUNTED

    def _edit(self, submission: Submission, person: str) -> str:
        arguments, why = _arguments(submission), submission.typed[modals.WHY]
        self._voting.edit(submission.request, person, arguments, channel=MESSAGES, reason=why)
        return "Your edit is a new call now: it is judged anew."

    # -- dialogs --------------------------------------------------------------------------------------

    def _form(self, request: str, person: str) -> modals.View:
        text = self._editable(request, person)
        return modals.edit(request, text)

    def _review(self, submission: Submission, person: str) -> modals.View:
        self._editable(submission.request, person)
        arguments = _arguments(submission)
        found = blocks.difference(tuple(changes(self._look(submission.request).arguments, arguments)))
        if len(found) > TEXT:
            raise Conflict("so many changes cannot be shown here", fix="change less at once")
        return modals.edit(
            submission.request,
            submission.typed[modals.ARGUMENTS],
            submission.typed[modals.WHY],
            changes=found,
            reviewed=digest(canonical(arguments)) if found else "",
        )

    def _editable(self, request: str, person: str) -> str:
        """The arguments to begin with.

        Raises:
            Conflict: this person may not, or not here.
        """
        barred = self._voting.may_vote(request, person)
        if barred is not None:
            raise Conflict(barred)
        text = blocks.editable(self._look(request))
        if not text:
            raise Conflict(_NOT_HERE, fix=f"guardrail show {request}")
        return text

    def _show(self, view: str, user: str, make: Callable[[str], modals.View]) -> None:
        """Fill a dialog that is open."""
        try:
            made = make(self._person(user))
        except GuardrailError as error:
            made = modals.said(_told(error))
        self._slack("views.update", view_id=view, view=made)

    # -- words ----------------------------------------------------------------------------------------

    def _answer(self, user: str, request: str, act: Callable[[str], str]) -> None:
        try:
            text = act(self._person(user))
        except GuardrailError as error:
            text = _told(error)
        if text:
            self._tell(user, request, text)

    def _person(self, user: str) -> str:
        """Who a Slack user is.

        Raises:
            Conflict: nobody has said so.
        """
        person = self._voting.people.of_slack(user)
        if person is None:
            raise Conflict(
                f"the Slack user {user} is none of the people of guardrail.toml",
                fix=f'add slack = "{user}" to the person\'s table, [people.NAME]',
            )
        return person.id

    def _tell(self, user: str, request: str, text: str) -> None:
        """A word that only this person sees, beside the message; where that is not known, directly."""
        try:
            place = self._ledger.outbox.place(request, MESSAGES)
        except LedgerError:
            place = None
        said = {"text": "About your answer", "blocks": [section(text)]}
        if place is None:
            self._slack("chat.postMessage", channel=user, **said)
        else:
            self._slack("chat.postEphemeral", channel=place["channel"], user=user, **said)

    def _slack(self, method: str, **fields: Any) -> Mapping[str, Any] | None:
        """Call Slack for one person who can click again; None where it failed, which is logged."""
        try:
            return self._web.call(method, **fields)
        except SlackFailed as error:
            _log.warning("a person was not answered: %s", error.message)
            return None


def _told(error: GuardrailError) -> str:
    if isinstance(error, LedgerUnavailable):
        _log.warning("an answer from Slack was not counted: %s", error.message)
        return _NOT_WRITTEN
    return visible(f"{error.message}. To do: {error.fix}" if error.fix else error.message)


def _arguments(submission: Submission) -> dict[str, Any]:
    """The arguments that were typed.

    Raises:
        InvalidArguments: they are no JSON object.
    """
    arguments = parse(submission.typed[modals.ARGUMENTS])
    if not isinstance(arguments, dict):
        raise InvalidArguments('expected a JSON object: {"name": value, …}')
    return cast("dict[str, Any]", arguments)
