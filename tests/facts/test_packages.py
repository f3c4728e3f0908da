"""Packages are what a registry would be asked for, or it cannot be told and is opaque."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.facts.extractor import Extractor, Findings, NotUnderstoodError, Surroundings
from guardrail.facts.packages import MAX_LENGTH, read_npm, read_package_json, read_pypi
from guardrail.facts.packages.code import read_python
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
        ("pip list", []),
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
        ("uv run --with a b", "uv has an option that is not read here"),
        ("PIP_INDEX_URL=https://a.example pip install a", "it sets a variable"),
    ],
)
def test_an_install_whose_packages_cannot_be_told_is_opaque(text: str, why: str):
    assert why in read_command(text, HERE).caution


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
