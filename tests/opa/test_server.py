"""A real OPA server: killed, stopped, restarted, behind TLS, behind a token."""

import asyncio
import datetime
import ipaddress
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from guardrail.bundles import Bundle
from guardrail.decisions import Decision
from guardrail.errors import ConfigError
from guardrail.opa import OpaPolicy, Server
from guardrail.opa.process import Process
from guardrail.opa.readiness import readiness
from guardrail.opa.testing import HOLD, StandIn, decided, reply
from guardrail.policy import PolicyInput
from tests.opa.conftest import BUNDLE, given

Ask = Callable[[OpaPolicy, PolicyInput], Decision]
AUTHORIZED = """package system.authz

default allow := false

allow if input.identity == "let-me-in"
"""


def blocking(policy: OpaPolicy, asked: PolicyInput) -> Decision:
    return policy.decide(asked)


def awaited(policy: OpaPolicy, asked: PolicyInput) -> Decision:
    return asyncio.run(policy.decide_async(asked))


@pytest.fixture(name="ask", params=[blocking, awaited], ids=lambda way: way.__name__)
def _ask(request: pytest.FixtureRequest) -> Ask:
    way: Ask = request.param
    return way


def said(decision: Decision) -> str:
    return decision.effect if decision.effect == "allow" else decision.reasons[0].code


def test_a_server_that_is_killed_and_started_again_decides_again(opa: None, ask: Ask):
    with Process(BUNDLE) as process:
        with closing(OpaPolicy(Server(url=process.url, timeout=20), bundle=BUNDLE, failures=0)) as policy:
            found = [said(ask(policy, given()))]
            process.kill()
            found += [said(ask(policy, given()))]
            process.start()
            found += [said(ask(policy, given()))]
    assert found == ["allow", "policy.unreachable", "allow"]


def test_a_server_that_stands_still_costs_a_deadline_and_then_decides_again(opa: None, ask: Ask):
    with Process(BUNDLE) as process:
        with closing(OpaPolicy(Server(url=process.url, timeout=3), bundle=BUNDLE, failures=0)) as policy:
            found = [said(ask(policy, given()))]
            process.stop()
            found += [said(ask(policy, given()))]
            process.go_on()
            found += [said(ask(policy, given()))]
    assert found == ["allow", "policy.timeout", "allow"]


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of an authority of one's own, and of a server that it vouches for."""
    folder = tmp_path_factory.mktemp("authority")
    now = datetime.datetime.now(datetime.UTC)

    def certified(
        name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
    ):
        authority = signer is key
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
            built = built.add_extension(here, critical=False)
        signed = built.sign(signer, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(secret)
        return signed

    for name in ("ours", "theirs"):
        secret = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certified(name, issuer, secret, secret)
        if name == "ours":
            certified("server", issuer, ec.generate_private_key(ec.SECP256R1()), secret)
            certified("client", issuer, ec.generate_private_key(ec.SECP256R1()), secret)
    return folder


@pytest.fixture(name="secure", scope="module")
def _secure(authority: Path, needs_opa: None) -> Iterator[Process]:
    options = [
        f"--tls-cert-file={authority}/server.pem", f"--tls-private-key-file={authority}/server.key",
        f"--tls-ca-cert-file={authority}/ours.pem", "--authentication=tls",
    ]  # fmt: skip
    with Process(BUNDLE, options=options) as process:
        yield process


def test_an_authority_of_ones_own_vouches_for_the_server_and_for_the_client(
    opa: None, ask: Ask, authority: Path, secure: Process
):
    server = Server(
        url=secure.url, timeout=20, authority=f"{authority}/ours.pem",
        certificate=f"{authority}/client.pem", key=f"{authority}/client.key",
    )  # fmt: skip
    with closing(OpaPolicy(server)) as policy:
        assert said(ask(policy, given())) == "allow"


@pytest.mark.parametrize(
    ("vouching", "shown"), [("theirs.pem", "client"), ("", "client"), ("ours.pem", "")], ids=str
)
def test_without_the_right_certificates_nothing_is_decided(
    opa: None, ask: Ask, authority: Path, secure: Process, vouching: str, shown: str
):
    server = Server(
        url=secure.url, timeout=20, authority=f"{authority}/{vouching}" if vouching else "",
        certificate=f"{authority}/{shown}.pem" if shown else "", key=f"{authority}/{shown}.key" if shown else "",
    )  # fmt: skip
    with closing(OpaPolicy(server)) as policy:
        assert said(ask(policy, given())) == "policy.unreachable"


def test_a_certificate_that_cannot_be_read_is_told_at_once(authority: Path):
    with pytest.raises(ConfigError, match=r"gone\.pem"):
        OpaPolicy(Server(url="https://127.0.0.1:1", authority=f"{authority}/gone.pem"))


def test_a_server_that_wants_a_token_gets_it(opa: None, ask: Ask, tmp_path: Path):
    (tmp_path / "authz.rego").write_text(AUTHORIZED)
    options = ["--authentication=token", "--authorization=basic", str(tmp_path / "authz.rego")]
    bundle = Bundle.of({"pay.rego": BUNDLE.modules["pay.rego"], "authz.rego": AUTHORIZED})
    with Process(bundle, options=options[:2]) as process:
        for token, expected in (
            ("let-me-in", "allow"),
            ("", "policy.refused"),
            ("guessed", "policy.refused"),
        ):
            with closing(OpaPolicy(Server(url=process.url, token=token, timeout=20))) as policy:
                assert said(ask(policy, given())) == expected
        renewed = Server(url=process.url, token="guessed", renewal=lambda: "let-me-in", timeout=20)
        with closing(OpaPolicy(renewed)) as policy:
            assert said(ask(policy, given())) == "allow"


# --- readiness ------------------------------------------------------------------------------------------


def test_a_server_with_the_same_policies_is_ready(policy: OpaPolicy):
    found = readiness(policy)
    assert (found.state, found.fix) == ("ready", "")
    assert "it decides by the policies that are here" in found.text


def test_a_server_without_policies_is_not(opa: None):
    with Process() as process, closing(OpaPolicy(Server(url=process.url, timeout=20))) as policy:
        found = readiness(policy)
    assert (found.state, "data.guardrail.decision has no value" in found.text) == ("wrong", True)


def test_a_server_whose_bundle_never_arrives_says_so(opa: None, tmp_path: Path):
    options = [
        "--set", "services.none.url=http://127.0.0.1:1", "--set", "bundles.ours.service=none",
        "--set", "bundles.ours.resource=x",
    ]  # fmt: skip
    with (
        Process(options=options) as process,
        closing(OpaPolicy(Server(url=process.url, timeout=20))) as policy,
    ):
        found = readiness(policy)
    assert (found.state, "not ready" in found.text) == ("down", True)


def test_a_server_that_is_gone_or_says_nonsense_is_named():
    with closing(OpaPolicy(Server(url="http://127.0.0.1:1", timeout=20))) as policy:
        gone = readiness(policy)
    with StandIn(lambda _: reply(b"<html>")) as stand_in:
        with closing(OpaPolicy(Server(url=stand_in.url, timeout=20))) as policy:
            page = readiness(policy)
    with StandIn(lambda _: decided({"allow": "all"})) as stand_in:
        with closing(OpaPolicy(Server(url=stand_in.url, timeout=20))) as policy:
            malformed = readiness(policy)
    with StandIn(HOLD) as stand_in, closing(OpaPolicy(Server(url=stand_in.url, timeout=0.2))) as policy:
        silent = readiness(policy)
    assert [found.state for found in (gone, page, malformed, silent)] == ["down", "wrong", "wrong", "down"]
    assert page.fix == "see what answers there, and name an OPA server under [opa]"
    assert "http://127.0.0.1:1 cannot be reached" in gone.text
