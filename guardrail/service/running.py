"""Running: one process that answers, until it is told to stop, and then ends what it has begun."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from guardrail.errors import ConfigError
from guardrail.service.connections import prompt_within
from guardrail.service.logs import event, log_to_standard_error

_log: Final = logging.getLogger("guardrail.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how the service listens.

    Attributes:
        host: address to listen at.
        port: 0 = any that is free; the log says which.
        certificate: for TLS, PEM; None = plain HTTP.
        certificate_key: its private key, PEM.
        connections: at once, at the most; more are answered 503.
        within: seconds until when the headers of a request have to be there.
        grace: seconds for what is being answered when the service is told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8470
    certificate: Path | None = None
    certificate_key: Path | None = None
    connections: int = 200
    within: float = 10.0
    grace: float = 10.0


def _told(_: int, __: FrameType | None) -> None:
    """Somebody wants the service to end; uvicorn has seen to that."""


def _check_certificate(place: Place) -> None:
    """See that TLS can be spoken, before anybody is told that it is; a key under a pass phrase asks nobody for it."""
    if place.certificate is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place.certificate, place.certificate_key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"serve: {place.certificate} with {place.certificate_key} cannot be used for TLS: {error}",
            fix="correct certificate and certificate_key in [serve]: PEM, one belonging to the other, no pass phrase",
        ) from error


def run(app: ASGIApp, place: Place) -> None:
    """Answer until SIGTERM or SIGINT; then finish what is being answered and told, and return.

    Raises:
        ConfigError: the address is taken, or not of this computer; the certificate or its key cannot be used.
    """
    _check_certificate(place)
    log_to_standard_error()
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        listening = socket.create_server((place.host, place.port), family=family, backlog=512)
    except OSError as error:
        raise ConfigError(
            f"serve: {place.host}:{place.port} cannot be listened at: {error.strerror}",
            fix="name another host or port in [serve], or end what listens there",
        ) from error
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on",
        http=prompt_within(place.within), ws="none", h11_max_incomplete_event_size=16_384, timeout_keep_alive=5,
        limit_concurrency=place.connections, timeout_graceful_shutdown=int(place.grace),
        ssl_certfile=place.certificate, ssl_keyfile=place.certificate_key,
    )  # fmt: skip
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # uvicorn hands the signal on once it is done: that is the end
        signal.signal(number, _told)
    event("listening", host=place.host, port=listening.getsockname()[1], tls=place.certificate is not None)
    with listening:
        uvicorn.Server(config).run(sockets=[listening])
