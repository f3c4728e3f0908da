"""Editions: what OPA has built is read as OPA reads it, believed if it is signed, and refused with the reason."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from guardrail.bundles import MAIN, Bundle
from guardrail.config import Config
from guardrail.editions import VerificationKey, read_edition
from guardrail.editions.archives import unpacked
from guardrail.editions.manifest import Manifest, package_of
from guardrail.editions.signatures import digest_of
from guardrail.errors import BundleRefused, ConfigError
from tests.editions.shelf import GOLDEN, edition, manifest, rule

SECRET = b"0123456789abcdef0123456789abcdef"
KEYS: Mapping[str, VerificationKey] = {
    "rs256": VerificationKey(id="default", algorithm="RS256", key=(GOLDEN / "rsa.pub").read_bytes()),
    "es256": VerificationKey(id="x", algorithm="ES256", key=(GOLDEN / "ec.pub").read_bytes()),
    "eddsa": VerificationKey(id="default", algorithm="EdDSA", key=(GOLDEN / "ed.pub").read_bytes()),
    "hs256": VerificationKey(id="default", algorithm="HS256", key=SECRET),
    "scoped": VerificationKey(
        id="any", algorithm="RS256", key=(GOLDEN / "rsa.pub").read_bytes(), scope="write"
    ),
}
DATA = {
    "settings": {
        "amounts": {
            "big": 1000,
            "list": [1, 2, None, True],
            "most": 10.5,
            "n": 12345678901,
            "text": "a\u2028<&>é\x01\x08\x0c\x7f",
        }
    }
}


def of_rsa(bits: int) -> bytes:
    key = generate_private_key(65537, bits).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def golden(name: str) -> dict[str, bytes]:
    return unpacked((GOLDEN / f"{name}.tar.gz").read_bytes())


def refused(files: Mapping[str, bytes], code: str = "malformed", **settings: Any) -> str:
    with pytest.raises(BundleRefused) as caught:
        read_edition(files, **settings)
    assert caught.value.code == code
    return caught.value.message


def test_what_opa_has_built_is_read():
    found = read_edition(golden("unsigned"))
    assert (found.label, found.counter, found.key, found.bundle.data) == ("v1", 7, "", DATA)
    assert sorted(found.bundle.modules) == [MAIN, "src/rules/amounts.rego"]


@pytest.mark.parametrize("name", KEYS)
def test_what_opa_has_signed_is_believed(name: str):
    key = KEYS[name]
    found = read_edition(golden(name), keys=[key])
    assert (found.counter, found.key, found.bundle.data) == (7, key.id, DATA)


def test_the_key_is_found_by_its_id_among_several():
    keys = [KEYS["hs256"], KEYS["es256"]]
    assert read_edition(golden("es256"), keys=keys).key == "x"
    assert "no key" not in refused(golden("scoped"), "signature", keys=keys)


@pytest.mark.parametrize("name", sorted(KEYS))
@pytest.mark.parametrize("other", sorted(KEYS))
def test_a_signature_holds_under_its_own_key_and_algorithm_alone(name: str, other: str):
    if name == other:
        return
    said = refused(golden(name), "signature", keys=[KEYS[other]])
    assert said.startswith("the bundle is not believed: ")


def test_what_is_not_signed_is_refused_where_keys_are_known():
    said = refused(golden("unsigned"), "signature", keys=[KEYS["rs256"]])
    assert said == "the bundle is not believed: it is not signed"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"src/rules/amounts.rego": b"package guardrail.rules.amounts\n"}, "src/rules/amounts.rego is not the file"),
        ({"data.json": b'{"settings":{"amounts":{"most":10.51}}}'}, "data.json is not the file that was signed"),
        ({".manifest": manifest("r2", 8)}, ".manifest is not the file that was signed"),
        ({"more.rego": b"package guardrail.rules.amounts\n"}, "more.rego is not covered by the signature"),
        ({"README.md": b"hello"}, "README.md is not covered by the signature"),
        ({"data.json": None}, "data.json is missing"),
        ({".manifest": None}, ".manifest is missing"),
        ({".signatures.json": b"{}"}, ".signatures.json is not of the form"),
        ({".signatures.json": b'{"signatures": []}'}, ".signatures.json is not of the form"),
        ({".signatures.json": b'{"signatures": ["a.b.c"]}'}, "its signature does not hold"),
        ({".signatures.json": b'{"signatures": ["a.b.c", "a.b.c"]}'}, ".signatures.json is not of the form"),
        ({".signatures.json": b'{"signatures": ["a.b.c"], "plugin": "own"}'}, ".signatures.json is not of the form"),
    ],
)  # fmt: skip
def test_what_was_changed_after_it_was_signed_is_refused(changes: dict[str, bytes | None], why: str):
    files = {name: content for name, content in (golden("rs256") | changes).items() if content is not None}
    assert refused(files, "signature", keys=[KEYS["rs256"]]).startswith(f"the bundle is not believed: {why}")


def test_how_data_is_written_is_not_what_is_signed():
    files = golden("rs256")
    amounts = json.loads(files["data.json"], parse_int=str, parse_float=str)["settings"]["amounts"]
    assert amounts["big"] == "1e3"
    spaced = files["data.json"].replace(b":", b" : ").replace(b",", b" ,\n")
    assert read_edition({**files, "data.json": spaced}, keys=[KEYS["rs256"]]).bundle.data == DATA
    other = files["data.json"].replace(b"1e3", b"1000")
    assert "data.json is not the file" in refused(
        {**files, "data.json": other}, "signature", keys=[KEYS["rs256"]]
    )


@pytest.mark.parametrize("value", [b'{"\\ud800": 1}', b"[" * 900 + b"]" * 900, b"[" * 100_000])
def test_what_has_no_digest_is_refused(value: bytes):
    files = {**golden("rs256"), "data.json": value}
    assert refused(files, keys=[KEYS["rs256"]]).startswith("data.json holds no JSON that can be signed: ")


_NAMES = st.one_of(
    st.sampled_from(["a.rego", "data.json", ".manifest", ".signatures.json", "b/data.json"]), st.text()
)
_CONTENTS = st.one_of(
    st.binary(max_size=40), st.sampled_from([rule("m"), manifest("r", 1), b'{"\\ud800": [1e999]}', b"[" * 5_000]),
    st.recursive(
        st.none() | st.text(max_size=3) | st.floats(), lambda inner: st.dictionaries(st.text(max_size=3), inner)
    ).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@given(st.dictionaries(_NAMES, _CONTENTS, max_size=4), st.booleans())
def test_whatever_is_in_a_bundle_it_is_read_or_refused(files: dict[str, bytes], signed: bool):
    with suppress(BundleRefused):
        read_edition(files, keys=[KEYS["rs256"]] if signed else [])


@pytest.mark.parametrize("part", range(3))
def test_every_byte_of_a_token_counts(part: int):
    files = golden("eddsa")
    parts = json.loads(files[".signatures.json"])["signatures"][0].split(".")
    for place in range(0, len(parts[part]), 7):
        text = parts[part]
        turned = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        token = ".".join([*parts[:part], turned, *parts[part + 1 :]])
        changed = {**files, ".signatures.json": json.dumps({"signatures": [token]}).encode()}
        assert refused(changed, "signature", keys=[KEYS["eddsa"]])


def test_an_unsigned_token_is_refused():
    import base64

    def encoded(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    files = {"a.rego": rule("m")}
    listed = [{"name": "a.rego", "hash": digest_of("a.rego", files["a.rego"]), "algorithm": "SHA-256"}]
    for algorithm in ("none", "None", "HS256"):
        token = f"{encoded({'alg': algorithm, 'kid': 'default'})}.{encoded({'files': listed})}."
        signed = {**files, ".signatures.json": json.dumps({"signatures": [token]}).encode()}
        assert refused(signed, "signature", keys=[KEYS["rs256"]])


def test_a_scope_has_to_be_the_one_that_is_expected():
    key = KEYS["scoped"]
    without = VerificationKey(id="any", algorithm="RS256", key=key.key)
    said = refused(golden("scoped"), "signature", keys=[without])
    assert said == "the bundle is not believed: it is signed for the scope 'write', and '' is expected"


@pytest.mark.parametrize(
    ("algorithm", "key", "why"),
    [
        ("HS256", b"short", "a secret of less than 32 bytes can be guessed"),
        ("HS256", (GOLDEN / "rsa.pub").read_bytes(), "this is no key for HS256"),
        ("RS256", b"nonsense", "this is no key for RS256"),
        ("RS256", (GOLDEN / "ec.pub").read_bytes(), "this is no key for RS256"),
        ("ES256", (GOLDEN / "rsa.pub").read_bytes(), "this is no key for ES256"),
        ("RS256", of_rsa(1024), "an RSA key of 1024 bits can be broken"),
        ("PS512", of_rsa(1024), "an RSA key of 1024 bits can be broken"),
        ("EdDSA", b"-----BEGIN PRIVATE KEY-----\n", "this is a private key"),
    ],
)
def test_a_key_of_another_kind_is_found_at_the_start(algorithm: Any, key: bytes, why: str):
    with pytest.raises(ConfigError, match=f"policies.keys.k: {why}"):
        VerificationKey(id="k", algorithm=algorithm, key=key)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("patch.json", b"{}", "patch.json: this is a delta bundle"),
        ("policy.wasm", b"", "policy.wasm: it is compiled"),
        ("deep/policy.wasm", b"", "deep/policy.wasm: it is compiled"),
        ("plan.json", b"{}", "plan.json: it is compiled"),
        ("plan.pb", b"", "plan.pb: it is compiled"),
        (".manifest.pb", b"", ".manifest.pb: a manifest in protobuf is not read"),
        ("deep/.manifest", b"{}", "deep/.manifest: it may stand at the top only"),
        ("own.manifest", b"{}", "own.manifest: it may stand at the top only"),
        ("deep/.signatures.json", b"{}", "deep/.signatures.json: it may stand at the top only"),
        ("data.yaml", b"a: 1", "data.yaml: YAML is not read the same everywhere"),
        (".hidden/a.rego", b"package a", ".hidden/a.rego is hidden, and OPA would read it"),
        ("._a.rego", b"\0", "._a.rego is hidden, and OPA would read it"),
        ("a.rego", b"\xff", "a.rego is no UTF-8 text"),
        ("\udcff.txt", b"", r"'\udcff.txt' is no name that can be shown"),
        ("\udcff/patch.json", b"", r"'\udcff/patch.json' is no name that can be shown"),
        ("a\u202eogr.txt", b"", r"'a\u202eogr.txt' is no name that can be shown"),
        ("a.rego", b'package a["\\ud800"]', "a.rego: this is no name of a package that can be shown"),
        (".manifest", b'{"revision": "a\\u0000b"}', ".manifest: revision: Value error, expected letters"),
        ("data.json", b"[]", "data.json holds no JSON object"),
        ("data.json", b'{"a": 1, "a": 2}', "data.json: "),
        ("data.json", b"{", "data.json: "),
        (".manifest", b"[]", ".manifest: "),
        (".manifest", b'{"wat": 1}', ".manifest: wat: "),
        (".manifest", manifest(rego_version=0), ".manifest: rego_version: this is Rego v0"),
        (".manifest", manifest(file_rego_versions={"/a.rego": 0}), ".manifest: /a.rego: this is Rego v0"),
        (".manifest", manifest(wasm=[{"entrypoint": "a"}]), ".manifest: it names policies compiled to Wasm"),
        (".manifest", manifest(roots=["a", "a/b"]), ".manifest: the roots 'a' and 'a/b' overlap"),
        (".manifest", manifest(roots=["a", "b", "/a/"]), ".manifest: the roots 'a' and 'a' overlap"),
        (".manifest", manifest(roots=["", "a"]), ".manifest: the roots '' and 'a' overlap"),
        (".manifest", manifest(counter=-1), ".manifest: metadata.guardrail.counter: "),
        (".manifest", b'{"metadata": {"guardrail": {"counter": 1.0}}}', ".manifest: metadata.guardrail.counter: "),
        (".manifest", b'{"metadata": {"guardrail": {"count": 1}}}', ".manifest: metadata.guardrail.count: "),
        (".manifest", manifest(roots=["other"]), "paying.rego: the roots ['other'] do not permit package"),
        (".manifest", manifest(roots=[]), "paying.rego: the roots [] do not permit package"),
    ],
)  # fmt: skip
def test_what_means_nothing_here_is_refused_and_named(name: str, content: bytes, why: str):
    assert refused({"paying.rego": rule("m"), name: content}).startswith(why)


@pytest.mark.parametrize("name", ["data.yaml", "settings/data.yml"])
def test_who_brings_yaml_is_told_what_to_do(name: str):
    with pytest.raises(BundleRefused) as caught:
        read_edition({"paying.rego": rule("m"), name: b"a: 1"})
    assert caught.value.message == f"{name}: YAML is not read the same everywhere"
    assert caught.value.fix == (
        f"write {name.rpartition('.')[0]}.json in its place, or let OPA do so: "
        "opa build -b FOLDER -o bundle.tar.gz, and hand out what that writes"
    )


@pytest.mark.parametrize("name", ["v0", "plan"])
def test_what_opa_builds_for_others_is_refused(name: str):
    assert refused(golden(name)).startswith(
        (".manifest: rego_version: this is Rego v0", "plan.json: it is compiled")
    )


def test_data_stands_below_the_roots():
    files = {
        "paying.rego": rule("m"),
        ".manifest": manifest(roots=["guardrail/rules/paying", "settings/a"]),
        "data.json": b'{"settings": {"a": 1}}',
    }
    assert read_edition(files).bundle.data == {"settings": {"a": 1}}
    said = refused({**files, "settings/data.json": b'{"b": 1}'})
    assert said == "the roots ['guardrail/rules/paying', 'settings/a'] do not permit data at /settings/b"


def test_the_roots_of_a_bundle_are_its_own():
    shipped = Bundle.shipped(["shell"])
    wide = {**edition(1), ".manifest": manifest(roots=["guardrail/rules"])}
    assert "the root 'guardrail/rules' overlaps: package guardrail.rules." in refused(wide, beside=shipped)
    narrow = {**edition(1), ".manifest": manifest(roots=["guardrail/rules/paying"])}
    joined = read_edition(narrow, beside=shipped).bundle
    assert set(shipped.modules) | {"paying.rego"} == set(joined.modules)


def test_an_approval_policy_of_ones_own_takes_the_place_of_the_shipped_one():
    own = b"package guardrail.approval\n\ndecision := {}\n"
    joined = read_edition({**edition(1), "votes.rego": own}, beside=Bundle.shipped()).bundle
    assert [path for path in joined.modules if "approval" in joined.modules[path].split("\n")[0]] == [
        "votes.rego"
    ]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("package a.b", ("a", "b")),
        ("# first\n\n  # second\npackage a # third", ("a",)),
        ('package a["b-c"].d\n', ("a", "b-c", "d")),
    ],
)
def test_the_package_of_a_module_is_found(source: str, path: tuple[str, ...]):
    assert package_of("a.rego", source) == path


@pytest.mark.parametrize("source", ["", "# package a", "x := `\npackage a`", "import data.x\npackage a"])
def test_a_module_begins_with_its_package(source: str):
    with pytest.raises(BundleRefused, match=r"a\.rego does not begin with a package"):
        package_of("a.rego", source)


def test_two_editions_with_the_same_files_are_one():
    assert read_edition(edition(1)).digest == read_edition(dict(reversed(edition(1).items()))).digest
    assert read_edition(edition(1)).digest != read_edition(edition(2)).digest


def test_the_page_shows_what_is_read(tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs" / "bundles.md").read_text(encoding="utf-8")
    (settings,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "guardrail.toml").write_text(settings, encoding="utf-8")
    declared = Config.load(tmp_path / "guardrail.toml").policies
    assert (declared.poll, list(declared.keys)) == (30.0, ["ci-2026", "staging"])
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert Manifest.read(shown.encode()).counter == 1764530000


def test_a_manifest_that_says_nothing_permits_everything():
    assert Manifest.read(b"{}").paths == ((),)
