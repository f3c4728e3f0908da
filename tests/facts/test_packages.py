"""Packages are what a registry would be asked for, or it cannot be told and is opaque."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.facts.extractor import Extractor, Findings, NotUnderstoodError, Surroundings
from guardrail.facts.packages import MAX_LENGTH, read_npm, read_package_json, read_pypi
from guardrail.facts.packages.code import read_python
from guardrail.facts.packages.installs import installed
from guardrail.facts.packages.managers import MANAGERS
from guardrail.facts.packages.specifiers import package
from guardrail.facts.shell import read_command

HERE = Surroundings(roots={}, folder=Path())
ELSEWHERE = "it names a package by a URL, a repository, a path or a file, not by its name in a registry"
OPTION = "which packages it installs cannot be told: an option is not read here"
INDEX = "it installs from another index than the usual one"


def named(findings: Findings) -> list[tuple[str, str, str]]:
    packages = findings.packages or findings.facts
    return [(fact["ecosystem"], fact["name"], fact["version"]) for fact in packages]


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ("pip install Requests", [("pypi", "requests", "")]),
        (
            "pip3 -q install -U 'Flask_Login[x]>=2' six==1",
            [("pypi", "flask-login", ">=2"), ("pypi", "six", "==1")],
        ),
        ("python3 -m pip install a", [("pypi", "a", "")]),
        ("/usr/bin/pip install \"a ; python_version < '4'\"", [("pypi", "a", "")]),
        ("pip install --prefix b a", [("pypi", "a", "")]),
        ("sudo pip install a && uv add b", [("pypi", "a", ""), ("pypi", "b", "")]),
        ("sh -c 'pip install a'", [("pypi", "a", "")]),
        ("poetry run pip install a", [("pypi", "a", "")]),
        ("uv pip install a", [("pypi", "a", "")]),
        ("uvx ruff check", [("pypi", "ruff", "")]),
        ("npm install -D left-pad@1.0 @types/node", [("npm", "left-pad", "1.0"), ("npm", "@types/node", "")]),
        ("npm i x@npm:evil@1", [("npm", "evil", "1")]),
        ("npx eslint src", [("npm", "eslint", "")]),
        ("yarn global add a", [("npm", "a", "")]),
        ("gem install rails && cargo add serde", [("rubygems", "rails", ""), ("crates", "serde", "")]),
        ("apt-get install -y curl=7", [("debian", "curl", "7")]),
        ("go install example.com/a/b@v1", [("go", "example.com/a/b", "v1")]),
        ("uv tool --quiet run a", [("pypi", "a", "")]),
        ("uv add --group dev a", [("pypi", "a", "")]),
        ("python3 -m pip --timeout 5 install a", [("pypi", "a", "")]),
        ("pip2 install a && pip3.11 install b", [("pypi", "a", ""), ("pypi", "b", "")]),
        ("pnpx a b", [("npm", "a", "")]),
        ("conda run -n x pip install a", [("pypi", "a", "")]),
        ("taskset -c 0 setpriv --nnp pip install a", [("pypi", "a", "")]),
        ("pip list && pip --version && uv pip list && poetry show && npm", []),
        ("cargo build && go test ./... && apt-get update && conda env list", []),
        ("npm run build", []),
        ("echo pip install a", []),
    ],
)
def test_a_command_names_what_it_installs(text: str, packages: list[tuple[str, str, str]]):
    found = read_command(text, HERE)
    assert (named(Findings(facts=found.packages)), found.caution) == (packages, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pip install -r requirements.txt", OPTION),
        ("pip install --weird a", OPTION),
        ("pip install -i https://a.example b", INDEX),
        ("pip install a --extra-index-url=https://a.example", INDEX),
        ("npm install a --registry https://a.example", INDEX),
        ("pip install git+https://a.example/b", ELSEWHERE),
        ("pip install 'a @ https://a.example/a.whl'", ELSEWHERE),
        ("pip install .", ELSEWHERE),
        ("pip install a.whl", ELSEWHERE),
        ("npm install user/repository", ELSEWHERE),
        ("npm install ./a", ELSEWHERE),
        ("npm install", "npm installs what a file lists"),
        ("npm ci", "npm installs what a file lists"),
        ("npm init a", "npm init runs a package by another name than it is called by"),
        ("pip install $PACKAGE", "which packages it installs is not literal"),
        ("xargs pip install", "pip installs what a file lists"),
        ("python -c 'import subprocess'", "python runs code that is not read here"),
        ("uv pip --color never install a", OPTION),
        ("uv pip --directory . install a", OPTION),
        ("pip install --group dev a", OPTION),
        ("uv pip install --group dev a", OPTION),
        ("npm --prefix . install a", OPTION),
        ("corepack npm@9 install a", "corepack runs a version of a package manager that it fetches"),
        ("fakeroot pip install a", "fakeroot runs what its words say, in ways that are not read here"),
        ("bundle install", "bundle installs packages in ways that are not read here"),
        ("apt install ./a.deb", ELSEWHERE),
        ("dnf install a.rpm", ELSEWHERE),
        ("brew install user/tap/a", ELSEWHERE),
        ("uv run --with a b", "uv has an option that is not read here"),
        ("PIP_INDEX_URL=https://a.example pip install a", "it sets a variable"),
    ],
)
def test_an_install_whose_packages_cannot_be_told_is_opaque(text: str, why: str):
    assert why in read_command(text, HERE).caution


@pytest.mark.parametrize(
    "text",
    ["npm isntall a", "npm inst a", "npm install-test a", "npm link a", "npm update", "npm up", "npm rebuild",
     "npm innit a", "npm audit fix", "yarn", "yarn upgrade", "yarn exec a", "pnpm update", "bun a b", "bun update",
     "poetry self add a", "poetry install", "pipx inject black a", "pipx runpip black install a", "pipenv upgrade a",
     "uv sync", "uv pip sync a.txt", "uv tool upgrade a", "pdm sync", "pip lock a", "gem i a", "go run a.example/b@v1"],
)  # fmt: skip
def test_a_subcommand_that_is_on_no_list_may_install_anything(text: str):
    name = text.partition(" ")[0]
    found = read_command(text, HERE)
    assert (found.packages, found.caution) == (
        (),
        f"{name} may install something: its subcommand is not read here",
    )


WORDS = st.one_of(
    st.sampled_from(
        ["install", "add", "pip", "tool", "run", "list", "-q", "--color", "-t", "a", "global", "-m"]
    ),
    st.text(alphabet="abi-@.=", min_size=1, max_size=8),
)


@given(st.sampled_from(sorted(MANAGERS)), st.lists(WORDS, max_size=5))
def test_a_command_installs_nothing_only_where_its_subcommand_is_on_the_list(name: str, words: list[str]):
    if installed([name, *words]) == ((), ""):
        plain = [word for word in words if not word.startswith("-")]
        said = {"", *(" ".join(plain[at:end]) for at in range(2) for end in range(at + 1, len(plain) + 1))}
        assert said & MANAGERS[name].nothing or words[0] in {"--version", "-V", "-v", "--help", "-h"}


@pytest.mark.parametrize(
    "text",
    [
        "a.tgz",
        "a.tar.xz",
        "A.ZIP",
        "a.TAR",
        "a-1.0.tbz",
        "a.txz[x]",
        "a.tlz ; python_version > '3'",
        "a.tar.lzma",
    ],
)
def test_a_file_that_pip_would_take_for_a_package_is_no_name(text: str):
    assert read_pypi(text, HERE) == Findings(caution=ELSEWHERE)


@pytest.mark.parametrize(
    "text", ["react@..", "react@.", "react@./a", "a@npm:b@..", "a.TGZ", "a.tgz@1", "a.tar", "a@b.Tgz"]
)
def test_a_folder_or_a_file_that_npm_would_take_for_a_package_is_no_name(text: str):
    name, _, version = text.partition("@")
    manifest = json.dumps({"dependencies": {name: version}})
    assert read_npm(text, HERE) == Findings(caution=ELSEWHERE)
    assert read_package_json(manifest, HERE) == Findings(caution=ELSEWHERE)


def test_a_manifest_with_a_path_for_a_name_is_opaque():
    assert read_package_json('{"dependencies": {"../a": "1"}}', HERE) == Findings(caution=ELSEWHERE)


def test_the_packages_before_one_that_cannot_be_told_are_facts():
    assert named(Findings(facts=read_command("pip install a ./b", HERE).packages)) == [("pypi", "a", "")]


def test_specifiers_are_read_line_by_line():
    found = read_pypi("Requests[socks]>=2,<3  # for a\n\n# a comment\nsix ; python_version < '4'\n", HERE)
    raw = ["Requests[socks]>=2,<3", "six ; python_version < '4'"]
    assert found == Findings(
        facts=tuple(
            package("pypi", name, version, source="requirement", raw=text)
            for name, version, text in zip(["requests", "six"], ["<3,>=2", ""], raw, strict=True)
        )
    )


@pytest.mark.parametrize(
    "line",
    ["-r more.txt", "--index-url https://a.example", "-e .", "a \\", "git+https://a.example", "./a", "a b"],
)
def test_a_line_that_leads_elsewhere_is_opaque_and_the_others_are_facts(line: str):
    found = read_pypi(f"six\n{line}\n", HERE)
    assert (named(found), bool(found.caution)) == ([("pypi", "six", "")], True)


def test_npm_specifiers_are_read():
    found = read_npm("a @b/c@^1 d@npm:e@2", HERE)
    assert (named(found), found.caution) == ([("npm", "a", ""), ("npm", "@b/c", "^1"), ("npm", "e", "2")], "")


def test_a_manifest_names_what_it_asks_for():
    text = '{"dependencies": {"a": "^1", "b": "npm:c@1"}, "devDependencies": {"d": "*"}, "scripts": {"test": "x"}}'
    found = read_package_json(text, HERE)
    assert (named(found), found.caution) == ([("npm", "a", "^1"), ("npm", "c", "1"), ("npm", "d", "*")], "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"dependencies": {"a": "git+https://a.example/b"}}', ELSEWHERE),
        ('{"dependencies": {"a": "user/repository"}}', ELSEWHERE),
        ('{"dependencies": {"a": "file:b"}}', ELSEWHERE),
        ('{"scripts": {"postinstall": "rm -rf x"}}', "it runs a script when it is installed"),
        ('{"overrides": {"a": "1"}}', "it changes which packages others ask for"),
    ],
)
def test_a_manifest_that_asks_for_more_is_opaque(text: str, why: str):
    assert read_package_json(text, HERE).caution == why


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"a": 1, "a": 2}',
        '{"dependencies": []}',
        '{"dependencies": {"a": 1}}',
        "[" * 50_000,
        "x" * (MAX_LENGTH + 1),
    ],
)
def test_what_is_no_manifest_is_not_understood(text: str):
    with pytest.raises(NotUnderstoodError):
        read_package_json(text, HERE)


def test_code_names_what_it_imports():
    text = (
        "import os, requests as r, yaml.x\n"
        "from sklearn.linear import (a,\n    b)\n"
        "if r: import cv2; import a.b \\\n    , c\n"
        "from . import d\nfrom .e import f\n'''\nimport hidden\n'''\n"
    )
    found = read_python(text, HERE)
    assert ([(fact["raw"], fact["name"], fact["source"]) for fact in found.facts], found.caution) == (
        [
            ("requests", "requests", "import"),
            ("yaml.x", "pyyaml", "import"),
            ("sklearn.linear", "scikit-learn", "import"),
            ("cv2", "opencv-python", "import"),
            ("a.b", "a", "import"),
            ("c", "c", "import"),
        ],
        "",
    )


@pytest.mark.parametrize("text", ["__import__('x')", "importlib.import_module(x)", "exec(x)"])
def test_code_that_imports_what_it_does_not_name_is_opaque(text: str):
    assert read_python(text, HERE).caution == "it may import what its text does not name"


@pytest.mark.parametrize("text", ["def f(:", "'''", "x = (", "\x00"])
def test_what_is_no_code_is_not_understood(text: str):
    with pytest.raises(NotUnderstoodError):
        read_python(text, HERE)


PIECES = st.sampled_from(
    [
        "a",
        "@b/c",
        "==1",
        "[x]",
        ">=",
        ";",
        "@",
        "import ",
        "from ",
        "\n",
        " ",
        "(",
        ")",
        ",",
        ".",
        '"',
        "{",
        "}",
        ":",
        "-r",
        "#",
        "\\",
        "'",
        "as ",
        "npm:",
        "é",
        "\x00",
        "\t",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=20).map("".join))
def test_no_exception_escapes_and_the_same_text_has_the_same_facts(text: str):
    def answer(read: Extractor) -> Any:
        try:
            return read(text, HERE)
        except NotUnderstoodError as error:
            return str(error)

    for read in (read_pypi, read_npm, read_package_json, read_python):
        assert answer(read) == answer(read)
