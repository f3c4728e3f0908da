"""`serve`, `token`, `keys` and `resume`: the approval service, who may use it, and what goes on after it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.adapters import adapter
from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, load, opened
from guardrail.cli.output import Output
from guardrail.errors import ConfigError
from guardrail.visible import visible

if TYPE_CHECKING:
    from guardrail.channels import Channel
    from guardrail.config import Config
    from guardrail.delivery import Delivery
    from guardrail.ledger import Ledger
    from guardrail.people import Person
    from guardrail.service.parts import Decisions
    from guardrail.service.running import Place
    from guardrail.showing import Shown
    from guardrail.tokens import Holder

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def serve(
    *,
    host: Annotated[
        str | None, typer.Option("--host", help="Where to listen; left out: as \\[serve] says.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="0 = any that is free.")
    ] = None,
    config: ConfigPath = CONFIG,
) -> None:
    """Run the approval service until SIGTERM: HTTP API, delivery to the channels, and the Slack endpoint."""
    try:
        from guardrail.service.running import run  # noqa: PLC0415  the extra `serve` may be missing
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the service needs {error.name}, which is not installed",
            fix="pip install 'guardrail-runtime[serve]'",
        ) from error
    settings = load(config)
    place = _place(settings, host=host, port=port)
    with application(settings) as app:
        run(app, place)


@contextmanager
def application(settings: Config) -> Generator[Any]:
    """The service as the configuration describes it, with all that it opens."""
    from guardrail.service import Parts, create_app  # noqa: PLC0415
    from guardrail.tokens import Tokens  # noqa: PLC0415

    with ExitStack() as opened:
        ledger = opened.enter_context(settings.open_ledger(signing=True))
        voting = opened.enter_context(closing(settings.voting(ledger)))
        channels: list[Channel] = []
        mounts: dict[str, Any] = {}
        if settings.resume.callable and settings.approvals.grants != "required":
            channels.append(_resuming(settings, ledger))
        if settings.slack is not None:
            connection = adapter("slack", "connection", needed_by="[slack]")
            slack = opened.enter_context(closing(connection.connect(settings, ledger=ledger, voting=voting)))
            channels.extend(slack.channels)
            if slack.endpoint is not None:
                mounts["/slack"] = slack.endpoint.app
        parts = Parts(
            ledger=ledger,
            voting=voting,
            tokens=Tokens(settings.folder / settings.serve.tokens),
            show=_showing(settings, ledger),
            delivery=_delivery(settings, ledger, channels),
            operators=settings.serve.operators,
            decisions=_decisions(settings, ledger, opened),
            clients=settings.clients,
            principals={name: told.attributes for name, told in settings.principals.items()},
            url=settings.serve.url,
            source=settings.policies.title,
        )
        limits = settings.serve
        yield create_app(parts, mounts=mounts, body=limits.body_bytes, seconds=limits.body_within)


def token(
    person: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Whose it is, as in \\[people.NAME].")
    ] = None,
    *,
    client: Annotated[
        bool, typer.Option("--client", help="It is that of a program, as in \\[clients.NAME].")
    ] = False,
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="How long it counts; left out: always.")
    ] = None,
    shown: Annotated[bool, typer.Option("--list", help="Show which tokens there are, make none.")] = False,
    revoke: Annotated[
        str | None, typer.Option("--revoke", metavar="ID", help="Let one count no more.")
    ] = None,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Make a token for a person, or a program. It is printed once; the file holds its digest."""
    from guardrail.tokens import Tokens  # noqa: PLC0415

    if (person is not None) + shown + (revoke is not None) != 1:
        raise typer.BadParameter("name a person or a client, or --list, or --revoke ID")
    settings = load(config)
    tokens, output = Tokens(settings.folder / settings.serve.tokens), Output(color=color)
    if person is not None:
        kind: Holder = "client" if client else "person"
        if not client and person in settings.clients and person not in settings.people:
            raise typer.BadParameter(f"{visible(person)} is a program: say --client")
        known = _client(settings, person) if client else _known(settings, person).id
        made = tokens.create(known, kind=kind, lifetime=None if days is None else timedelta(days=days))
        if as_json:
            output.document({kind: known, "token": made})
            return
        output.line(made)
        Output(color=color, stream=typer.get_text_stream("stderr")).line(
            "This is the only time that it is shown. Send it as: Authorization: Bearer …"
        )
    elif revoke is not None:
        gone = tokens.revoke(revoke)
        if as_json:
            output.document({"revoked": gone.id, "person": gone.person})
        else:
            output.line(f"Token {gone.id} of {visible(gone.person)} counts no more.", style="green")
    elif as_json:
        output.document({"tokens": [item.model_dump(exclude={"digest"}) for item in tokens.all()]})
    elif tokens.all():
        rows = [
            (item.id, item.person, item.kind, item.created, item.expires or "never") for item in tokens.all()
        ]
        output.table(("TOKEN", "OF", "KIND", "CREATED", "EXPIRES"), rows)
    else:
        output.line("No tokens.")


def keys(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The new signing key; left out: that of \\[serve]."),
    ] = None,
    *,
    log: Annotated[
        str | None,
        typer.Option("--log", metavar="ORIGIN", help="A key for checkpoints, of the log with this name."),
    ] = None,
    config: ConfigPath = CONFIG,
    color: Color = None,
) -> None:
    """Make the key that signs grants, or with --log checkpoints, and its public half beside it (.pub)."""
    from guardrail.grants import SigningKey  # noqa: PLC0415

    if log is not None:
        _log_key(path, log, Output(color=color))
        return
    if path is None:
        settings = load(config)
        if settings.serve.signing_key is None:
            raise ConfigError(
                "guardrail.toml names no signing key", fix='add signing_key = "service.key" to [serve]'
            )
        path = settings.folder / settings.serve.signing_key
    key = SigningKey.generate()
    public = key.write(path)
    output = Output(color=color)
    output.line(f"wrote {path}: for the service alone")
    output.line(f"wrote {public}: key {key.public.ids[0]}, for every process that runs tools")


def resume(
    what: Annotated[
        str | None, typer.Argument(metavar="[RUN|APPROVAL]", help="Left out: whatever waits and is decided.")
    ] = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until stopped, as decisions are made.")
    ] = False,
    config: ConfigPath = CONFIG,
    as_json: AsJson = False,
    color: Color = None,
) -> None:
    """Let suspended runs go on for which people have decided, through a function of yours."""
    output = Output(color=color)
    with opened(config) as (settings, ledger):
        if watch:
            with _stopping() as wait, _delivery(settings, ledger, [_resuming(settings, ledger)]):
                output.line("Resuming what is decided; stop with Ctrl-C.")
                wait()
            return
        from guardrail.resuming import resume_all  # noqa: PLC0415

        done = resume_all(ledger, _function(settings), only=what)
    if as_json:
        output.document({"resumed": [{"run": item.run, "approval": item.id} for item in done]})
        return
    for item in done:
        output.line(f"Resumed run {visible(item.run)}: approval {item.id} is {item.state}.")
    if not done:
        output.line("Nothing that is decided waits.")


def _place(settings: Config, *, host: str | None, port: int | None) -> Place:
    """Where the service listens.

    Raises:
        ConfigError: tokens would travel in the clear, or a vote cast here would not count.
    """
    from guardrail.service.running import Place  # noqa: PLC0415

    told, folder = settings.serve, settings.folder
    address = told.host if host is None else host
    if (
        address not in ("127.0.0.1", "::1", "localhost")
        and not told.behind_proxy
        and told.certificate is None
    ):
        raise ConfigError(
            f"serve: at {address} tokens would travel in the clear",
            fix="name certificate and certificate_key in [serve], or say behind_proxy = true",
        )
    if settings.approvals.grants == "required" and told.signing_key is None:
        raise ConfigError(
            "serve: grants are required, and [serve] names no signing_key",
            fix='add signing_key = "service.key", and make it with `guardrail keys`',
        )
    return Place(
        host=address,
        port=told.port if port is None else port,
        certificate=None if told.certificate is None else folder / told.certificate,
        certificate_key=None if told.certificate_key is None else folder / told.certificate_key,
        connections=told.connections,
        within=told.body_within,
    )


# -- parts -------------------------------------------------------------------------------------------------


def _decisions(settings: Config, ledger: Ledger, opened: ExitStack) -> Decisions | None:
    """What answers programs, where the configuration names any."""
    from guardrail.guard import Guardrail  # noqa: PLC0415
    from guardrail.sealing import SealingKey  # noqa: PLC0415
    from guardrail.service.parts import Decisions  # noqa: PLC0415

    if not settings.clients:
        return None
    guard = opened.enter_context(Guardrail.from_config(settings, ledger=ledger))
    return Decisions(
        guard=guard,
        mark=SealingKey.read(settings.key_path).reference,
        lease=settings.serve.lease,
        places=settings.serve.connections // 2,  # the other half is for what need not wait
    )


def _function(settings: Config) -> Any:
    from guardrail.resuming import load as load_function  # noqa: PLC0415

    if not settings.resume.callable:
        raise ConfigError(
            "guardrail.toml does not say how a run goes on",
            fix='add [resume] with callable = "module:function"; docs/service.md shows one',
        )
    return load_function(settings.resume.callable, settings.folder)


def _resuming(settings: Config, ledger: Ledger) -> Any:
    from guardrail.resuming import Resuming  # noqa: PLC0415

    return Resuming(ledger, _function(settings))


def _delivery(settings: Config, ledger: Ledger, channels: list[Channel]) -> Delivery:
    from guardrail.delivery import Delivery  # noqa: PLC0415

    return Delivery(ledger, channels, _showing(settings, ledger))


def _showing(settings: Config, ledger: Ledger) -> Any:
    from guardrail.sealing import SealingKey  # noqa: PLC0415
    from guardrail.showing import show  # noqa: PLC0415

    masking = SealingKey.read(settings.key_path).masking

    def shown(approval: str) -> Shown:
        return show(ledger, approval, key=masking, hide=settings.masking.hide)

    return shown


def _known(settings: Config, person: str) -> Person:
    """A person of the configuration; the service knows no others.

    Raises:
        ConfigError: nobody is declared.
        Conflict: others are.
    """
    if not settings.people:
        raise ConfigError(
            "guardrail.toml declares nobody who may answer", fix=f"add a table [people.{person}] to it"
        )
    return settings.declared_people().person(person)


def _client(settings: Config, name: str) -> str:
    if name not in settings.clients:
        raise ConfigError(
            f"guardrail.toml knows no client {name!r}",
            fix=f'add a table [clients.{name}] with agents = ["…"] to it',
        )
    return name


def _log_key(path: Path | None, log: str, output: Output) -> None:
    from guardrail.proofs.signing import FileSigner  # noqa: PLC0415

    if path is None:
        raise typer.BadParameter("name the file of the new key")
    signer = FileSigner.generate(log)
    public = signer.write(path)
    output.line(f"wrote {path}: for whoever makes checkpoints, and no agent")
    output.line(f"wrote {public}: for everybody who verifies")
    output.line(str(signer.key))


@contextmanager
def _stopping() -> Generator[Callable[[], None]]:
    """What waits for SIGTERM or SIGINT; one that comes before anybody waits counts, too.

    A lock would be simpler, and now and then it never wakes: the system may hand the signal to another thread. Python
    writes to the wakeup descriptor from whichever thread it is (`signal.set_wakeup_fd`).
    """
    woken, wakes = socket.socketpair()
    with woken, wakes:
        wakes.setblocking(False)
        before = signal.set_wakeup_fd(wakes.fileno())
        for number in _STOPS:
            signal.signal(number, lambda _, __: None)

        def wait() -> None:
            while woken.recv(1)[0] not in _STOPS:  # other signals wake it as well
                pass

        try:
            yield wait
        finally:
            signal.set_wakeup_fd(before)
