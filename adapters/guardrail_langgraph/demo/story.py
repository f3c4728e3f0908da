"""The whole demo: make the folder, start the servers, play the scenes, and prove what happened."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from guardrail.cli import audit, runs
from guardrail.cli.output import Output
from guardrail.errors import ConfigError, VerificationFailed
from guardrail.visible import visible
from guardrail_langgraph.demo import folder as folders
from guardrail_langgraph.demo.bank import Bank
from guardrail_langgraph.demo.models import check_answers
from guardrail_langgraph.demo.people import Approver, AScript, AtTheTerminal
from guardrail_langgraph.demo.scenes import Scenes
from guardrail_langgraph.demo.service import Service
from guardrail_langgraph.demo.show import Show, euros
from guardrail_langgraph.demo.stage import Setting, Stage, opened

LIMITS: Final = (
    "In one process with the agents, the guard is cooperative: code that holds a tool can go around it.",
    "The hard boundary is a service of its own that holds the tools' credentials. This demo is not that.",
    "A planted text still misleads an agent inside of its boundaries: allow little, ask where it counts.",
    "Whoever can rewrite the whole database, heads included, is not found by verify: keep heads elsewhere.",
)

NEXT: Final = (
    ("guardrail runs", "all runs"),
    ("guardrail show 2-denied", "what was refused, and by which rule"),
    ("guardrail approvals --all", "who approved what"),
    ("guardrail check", "lint guardrail.toml and policies/, after you have changed them"),
    ("guardrail test", "run the tests of the policies"),
)


def run(directory: Path, *, yes: bool, model: str | None, console: Console) -> int:
    """Tell the whole story.

    Args:
        directory: where the folder is to be made.
        yes: ask nobody: a scripted approver votes.
        model: `provider:name` of a real model; None = scripted.
        console: where to print.

    Returns:
        0 where everything came out as told, else 1.

    Raises:
        ConfigError: the folder cannot be written, or the model cannot be used.
        GuardrailError: the configuration, the policies or the ledger cannot be used.
    """
    show = Show(console)
    if model is not None:
        show.note(f"asking {model} whether it is there …")
        check_answers(model)
    with Service() as service, Service() as collector:
        setting = _made(directory, service, collector, model)
        folder = Path(setting.folder)
        try:
            asked = not yes and sys.stdin.isatty() and console.is_terminal
            approver = AtTheTerminal(console) if asked else AScript()
            scenes = Scenes(
                setting=setting,
                service=service,
                collector=collector,
                approver=approver,
                show=show,
            )
            _introduce(setting, approver, show)
            _play(scenes)
        finally:
            folders.remember(folder)
    _prove(folder, show, console)
    _conclude(scenes, show, console)
    return 1 if show.differences else 0


def _made(directory: Path, service: Service, collector: Service, model: str | None) -> Setting:
    """The folder, filled, with the addresses of the servers in its files and the bank opened.

    Raises:
        ConfigError: it cannot be written.
    """
    ours, theirs = f"127.0.0.1:{service.port}", f"localhost:{collector.port}"
    try:
        folder = folders.make(directory.absolute(), replacing={folders.OURS: ours, folders.THEIRS: theirs})
    except OSError as error:
        raise ConfigError(
            f"the folder {directory} cannot be written: {error.strerror}",
            fix="name another one with --directory",
        ) from error
    Bank.opened(folder / "bank.db")
    return Setting(
        folder=str(folder),
        service=f"http://{ours}",
        collector=f"http://{theirs}",
        model=model,
    )


def _introduce(setting: Setting, approver: Approver, show: Show) -> None:
    show.line()
    show.line(("Three agents check and pay invoices. A guard stands between them and their tools.", "bold"))
    show.line()
    speaks = setting.model or "a script, the same story every time (--model provider:name for a real model)"
    balances = ", ".join(f"{account} {euros(cents)}" for account, cents in setting.bank.balances().items())
    for name, value in (
        ("agents", "a supervisor, a researcher who reads and looks up, a payer who pays"),
        ("model", speaks),
        ("approver", approver.about),
        ("bank", balances),
        ("folder", setting.folder),
    ):
        show.line((f"{name:<10}", "dim"), value, indent=3)


def _play(scenes: Scenes) -> None:
    scenes.show.note("testing the policies, opening the ledger …")
    with opened(scenes.setting) as stage:
        scenes.allowed(stage)
        scenes.denied(stage)
        scenes.asked(stage)
        scenes.halted(stage)
    paying = scenes.crashed()
    scenes.show.note("opening the ledger anew …")
    with opened(scenes.setting) as stage:
        if paying:
            scenes.taken_over(stage)
        _account(scenes, stage)


def _account(scenes: Scenes, stage: Stage) -> None:
    """Whatever the model did: every transfer has one call that ran, and nothing reached the swindler."""
    paid = [
        call
        for run in stage.guard.ledger.runs()
        for call in stage.guard.ledger.calls(run.id)
        if call.tool == "local/send_money" and call.state == "returned"
    ]
    show, bank = scenes.show, scenes.setting.bank
    show.expect("calls that paid, for the transfers of the bank", told=len(bank.transfers()), found=len(paid))
    show.expect("posts at the swindler's server", told=[], found=scenes.collector.received)
    show.expect("the swindler's account", told=0, found=bank.balance("ACC-6666"))


def _prove(folder: Path, show: Show, console: Console) -> None:
    """The timeline of a run and the verification, as the commands print them."""
    config, color = folder / folders.CONFIG, _coloured(console)
    show.line()
    show.line(("What is on record", "bold"), "  guardrail show 3-asked")
    show.line()
    runs.show("3-asked", config=config, color=color)
    show.line()
    show.line(("Is it complete and unchanged?", "bold"), "  guardrail verify")
    show.line()
    try:
        audit.verify(progress=False, config=config, color=color)
    except VerificationFailed as error:
        show.differences.append(f"verify: {error.message}")


def _conclude(scenes: Scenes, show: Show, console: Console) -> None:
    """The table, what this does not protect against, and where to go on."""
    show.line()
    rows = [(item.run, item.call, item.guard, item.world) for item in scenes.endings]
    Output(color=_coloured(console)).table(("RUN", "CALL", "RECORDED", "IN THE WORLD"), rows, whole=2)
    show.line()
    show.line(("What this does not protect against", "bold"))
    for limit in LIMITS:
        show.line(f"- {limit}", indent=3)
    show.line()
    if show.differences:
        show.line(("NOT AS TOLD", "bold red"), f": {len(show.differences)} things came out otherwise:")
        for difference in show.differences:
            show.line(f"- {visible(difference)}", indent=3)
    else:
        show.line(("Everything came out as told.", "bold green"))
    show.line(("Go on", "bold"), f":  cd {shlex.quote(_relative(scenes.setting.folder))}")
    for command, about in NEXT:
        show.line(f"{command:<28}", (about, "dim"), indent=9)


def _coloured(console: Console) -> bool:
    return console.is_terminal and not console.no_color


def _relative(folder: str) -> str:
    """As short as a person would type it."""
    path, here = Path(folder), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else folder
