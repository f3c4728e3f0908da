"""`[opa]`: the OPA server that decides, and what becomes of calls while it cannot be asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from guardrail.bundles import Bundle
from guardrail.durations import seconds
from guardrail.errors import ConfigError
from guardrail.mistakes import MisplacedSecretError
from guardrail.opa.server import Server, address
from guardrail.slack_settings import Reference, secret

if TYPE_CHECKING:
    from guardrail.opa.policy import OpaPolicy


def _address(text: str) -> str:
    try:
        return address(text)
    except ConfigError as error:
        if "@" in text:
            raise MisplacedSecretError(
                'expected an address without a user or password; name a token, as "env:NAME"'
            ) from error
        raise ValueError(
            f"expected the address of an OPA server, as https://HOST:PORT; {error.message}"
        ) from error


_Duration = Annotated[float, BeforeValidator(seconds)]


class OpaSettings(BaseModel):
    """`[opa]`: an OPA server decides in place of the embedded interpreter.

    The policies that `[policies]` names are then what the server is believed to decide by: they are checked, and
    stored so that decisions can be recomputed.

    Attributes:
        url: its address, host and port.
        decision: the rule that is asked, without `data`.
        token: where the bearer token is that is sent to it; read anew once the server takes it no longer.
        ca: file with the certificates of the authorities that may vouch for it.
        certificate: file with the certificate that is shown to it, and
        key: file with its key.
        timeout: seconds for one question. No answer by then is a deny.
        answer_bytes: how large an answer may be.
        connections: at the same time.
        fallback: `embedded`: while the server cannot be asked, the policies of `[policies]` decide in this process,
            and every record says so.
        failures: in a row, after which the server is left alone, and
        pause: for how long, in seconds.
        outputs: whether it is asked about outputs; left out: where a rule of `[policies]` speaks of them, and where
            there are none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    url: Annotated[str, AfterValidator(_address)]
    decision: str = "guardrail.decision"
    token: Reference | None = None
    ca: str = ""
    certificate: str = ""
    key: str = ""
    timeout: _Duration = 1.0
    answer_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    connections: Annotated[int, Field(ge=1, le=1024)] = 64
    fallback: Literal["embedded"] | None = None
    failures: Annotated[int, Field(ge=0)] = 3
    pause: _Duration = 1.0
    outputs: bool | None = None

    @model_validator(mode="after")
    def _is_a_server(self) -> Self:
        try:
            self._server(Path(), token="t" if self.token else "")
        except ConfigError as error:
            raise ValueError(f"{error.message}; {error.fix}") from error
        if self.key and not self.certificate:
            raise ValueError("expected a certificate beside its key")
        if (self.ca or self.certificate) and not self.url.startswith("https:"):
            raise ValueError(
                "certificates mean nothing without TLS; use an address that begins with https://"
            )
        return self

    def server(self, folder: Path) -> Server:
        """The server.

        Args:
            folder: what files are relative to.

        Raises:
            ConfigError: the token is not where it should be.
        """
        reference = self.token
        if reference is None:
            return self._server(folder, token="")
        return replace(
            self._server(folder, token=secret(reference, folder)), renewal=lambda: secret(reference, folder)
        )

    def policy(self, folder: Path, bundle: Bundle | None, observe: Iterable[str]) -> OpaPolicy:
        """Who decides then.

        Args:
            folder: what files are relative to.
            bundle: what the server is believed to decide by.
            observe: ids of rules that are recorded and not enforced.

        Raises:
            ConfigError: the client is not installed, or a token or certificate is not where it should be.
            PolicyError: the bundle cannot be used.
        """
        try:
            from guardrail.opa.policy import OpaPolicy  # noqa: PLC0415  an extra
        except ModuleNotFoundError as error:
            message = f"an OPA server is configured, and {error.name} is not installed"
            raise ConfigError(message, fix="pip install 'guardrail-runtime[opa]'") from error
        return OpaPolicy(
            self.server(folder),
            bundle=bundle,
            fallback=self.fallback,
            observe=observe,
            reviews=self.outputs,
            failures=self.failures,
            pause=self.pause,
        )

    def _server(self, folder: Path, *, token: str) -> Server:
        files: dict[str, Any] = {
            name: str(folder / path) if path else ""
            for name, path in (("authority", self.ca), ("certificate", self.certificate), ("key", self.key))
        }
        return Server(
            url=self.url, entry=self.decision, token=token, timeout=self.timeout,
            max_answer=self.answer_bytes, connections=self.connections, **files,
        )  # fmt: skip
