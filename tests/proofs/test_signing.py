"""Who signs: a key file, or a command in a process of its own; nothing is believed that does not verify."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail.errors import ConfigError, VerificationFailed
from guardrail.proofs.signing import CommandSigner, FileSigner, read_public, sign
from tests.proofs.conftest import ORIGIN

SIGN = """
import sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key
key = load_pem_private_key(open(sys.argv[1], "rb").read(), password=None)
sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read()))
"""


@pytest.fixture(name="key")
def _key(signer: FileSigner, tmp_path: Path) -> Path:
    path = tmp_path / "log.key"
    assert signer.write(path) == tmp_path / "log.pub"
    return path


def test_a_key_file_is_its_owners_and_signs(signer: FileSigner, key: Path):
    assert key.stat().st_mode & 0o777 == 0o600
    read = FileSigner.read(ORIGIN, key)
    assert (str(read.key), read_public(key.with_suffix(".pub"))) == (str(signer.key), signer.key)
    assert sign("a text\n", read) == sign("a text\n", signer)
    with pytest.raises(ConfigError, match="cannot be written"):
        signer.write(key)
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read the signing key"):
        FileSigner.read(ORIGIN, key)


def test_a_command_signs_in_a_process_of_its_own(signer: FileSigner, key: Path, tmp_path: Path):
    command = CommandSigner(signer.key, [sys.executable, "-c", SIGN, key.name], tmp_path)
    assert sign("a text\n", command) == sign("a text\n", signer)


def test_openssl_can_be_that_command(signer: FileSigner, key: Path, tmp_path: Path):
    """As docs/proofs.md shows it."""
    if not openssl().startswith("OpenSSL 3"):
        pytest.skip("needs OpenSSL 3")
    script = "set -e; cat > text; openssl pkeyutl -sign -rawin -inkey log.key -in text"
    command = CommandSigner(signer.key, ["sh", "-c", script], tmp_path)
    assert sign("a text\n", command) == sign("a text\n", signer)


def openssl() -> str:
    """Which one is here."""
    found = shutil.which("openssl")
    command = [sys.executable, "-c", ""] if found is None else [found, "version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('no token in the reader')", r"failed \(1\): no token in the reader"),
        ("print('c2lnbmF0dXJl')", "answered 13 bytes, and not the 64"),
        ("print()", "answered 1 bytes"),
    ],
)
def test_a_command_that_does_not_sign_is_told(code: str, message: str, signer: FileSigner, tmp_path: Path):
    with pytest.raises(ConfigError, match=message):
        sign("a text\n", CommandSigner(signer.key, [sys.executable, "-c", code], tmp_path))


def test_a_command_that_is_not_there_is_told(signer: FileSigner, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"did not sign: .*No such file"):
        sign("a text\n", CommandSigner(signer.key, [str(tmp_path / "nothing")], tmp_path))


def test_what_another_key_has_signed_is_not_believed(signer: FileSigner, tmp_path: Path):
    FileSigner.generate(ORIGIN).write(tmp_path / "other.key")
    command = CommandSigner(signer.key, [sys.executable, "-c", SIGN, "other.key"], tmp_path)
    with pytest.raises(VerificationFailed, match=f"does not verify under the public key of {ORIGIN}"):
        sign("a text\n", command)


def test_a_key_whose_name_cannot_stand_in_a_note_is_refused():
    for name in ("", "two words", "one+one", "a\nb"):
        with pytest.raises(ConfigError, match="is no name of a key"):
            FileSigner.generate(name)


def test_a_public_key_that_is_none_is_refused(tmp_path: Path):
    for content, message in ((b"nothing", "no base64|no public key"), (b"\xff", "can't decode")):
        (tmp_path / "log.pub").write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            read_public(tmp_path / "log.pub")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_public(tmp_path / "nothing.pub")
