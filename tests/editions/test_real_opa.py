"""A real `opa` builds and signs; here it is read. Where there is none, golden bundles of `test_reading.py` stand in."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from guardrail.editions import Edition, VerificationKey, read_edition
from guardrail.editions.archives import unpacked
from guardrail.editions.sources import Fetched, FolderSource
from guardrail.errors import BundleRefused
from tests.editions.shelf import manifest, rule

TOOLS = Path(__file__).parents[2] / ".tools" / "opa"
OPA = os.environ.get("GUARDRAIL_OPA") or shutil.which("opa") or (str(TOOLS) if TOOLS.is_file() else None)

pytestmark = pytest.mark.skipif(OPA is None, reason="there is no opa: neither on PATH nor in .tools/")

DATA: dict[str, Any] = {
    "plain": [1, 2.5, -0.0, 1e300, 123456789012345, True, False, None, "", [], {}],
    "text": 'quotes " and \\ and / and \u2028\u2029 <&> é 😀 \x01\x08\x0c\n\r\t\x1f\x7f\x80 \ufeff',
    "keys": {"b": 1, "a": 2, "é": 3, "z\u2028": 4, "😀": 5, "\uffff": 6, "": 7, "A": 8, "a b": 9},
}


def opa(*arguments: str | Path, cwd: Path | None = None) -> str:
    assert OPA is not None
    done = subprocess.run([OPA, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "paying.rego").write_bytes(rule("from opa"))
    (folder / "settings").mkdir()
    (folder / "settings" / "data.json").write_text(json.dumps(DATA))
    (folder / ".manifest").write_bytes(manifest("r1", 41, roots=["guardrail/rules/paying", "settings"]))
    return folder


def pair(folder: Path, kind: str) -> tuple[Path, bytes]:
    """A private key in a file, and the public one."""
    makers: dict[str, Any] = {
        "RS": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "PS": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES": lambda: ec.generate_private_key(ec.SECP256R1()),
        "Ed": ed25519.Ed25519PrivateKey.generate,
    }
    secret = makers[kind[:2]]()
    path = folder / "private.pem"
    path.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return path, secret.public_key().public_bytes(serialization.Encoding.PEM, form)


def built(folder: Path, *more: str | Path) -> dict[str, bytes]:
    opa("build", "-b", folder, "-o", folder.parent / "bundle.tar.gz", *more)
    return unpacked((folder.parent / "bundle.tar.gz").read_bytes())


def test_what_opa_builds_means_the_same_here(folder: Path):
    found = read_edition(built(folder))
    assert (found.label, found.counter, found.bundle.data) == ("r1", 41, {"settings": DATA})
    answer = opa("eval", "-b", folder.parent / "bundle.tar.gz", "data.settings", "--format", "raw")
    assert found.bundle.data["settings"] == json.loads(answer)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_what_opa_signs_is_believed(folder: Path, algorithm: Any):
    private, public = pair(folder.parent, algorithm)
    files = built(folder, "--signing-key", private, "--signing-alg", algorithm, "--verification-key-id", "ci")
    key = VerificationKey(id="ci", algorithm=algorithm, key=public)
    assert read_edition(files, keys=[key]).key == "ci"
    for name in sorted(files.keys() - {".signatures.json"}):
        with pytest.raises(BundleRefused, match="is missing"):
            read_edition({one: files[one] for one in files if one != name}, keys=[key])
        swapped = files[name].replace(b"1", b"2") if b"1" in files[name] else files[name] + b"# more\n"
        with pytest.raises(BundleRefused, match="is not the file that was signed"):
            read_edition({**files, name: swapped}, keys=[key])


def test_a_shared_secret_and_a_scope(folder: Path):
    (folder.parent / "claims.json").write_text('{"scope": "production", "keyid": "shared"}')
    secret = "0123456789abcdef" * 2
    files = built(
        folder,
        "--signing-key",
        secret,
        "--signing-alg",
        "HS256",
        "--claims-file",
        folder.parent / "claims.json",
    )
    key = VerificationKey(id="shared", algorithm="HS256", key=secret.encode(), scope="production")
    assert read_edition(files, keys=[key]).key == "shared"


def test_a_signed_folder_is_read(folder: Path):
    private, public = pair(folder.parent, "ES256")
    (folder / "README.md").write_text("about these policies")
    opa("sign", "--signing-key", private, "--signing-alg", "ES256", "--bundle", ".", "-o", ".", cwd=folder)
    key = VerificationKey(id="default", algorithm="ES256", key=public)

    def read() -> Edition:
        source = FolderSource(folder, "policies")
        assert source.look("") == "unsettled"  # it was written a moment ago
        looked = source.look("")
        assert isinstance(looked, Fetched)
        return read_edition(looked.files, keys=[key])

    assert (read().counter, read().bundle.data) == (41, {"settings": DATA})
    (folder / "rules" / "more.rego").write_bytes(rule("more"))
    with pytest.raises(BundleRefused, match=r"rules/more\.rego is not covered by the signature") as caught:
        read()
    assert "a folder is signed from inside of it" in caught.value.fix
