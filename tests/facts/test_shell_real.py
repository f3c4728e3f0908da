"""What real shells run, beside what the facts say: they may run less, never more.

Every program on the PATH of a throw-away folder is a stub that writes down its words, so what a shell
runs is seen from outside. Programs that run others (`env`, `timeout`, …) are the real ones.
"""

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from guardrail.facts.extractor import Findings, NotUnderstoodError, Surroundings
from guardrail.facts.shell import read_command

SHELLS = [path for name in ("bash", "dash") if (path := shutil.which(name))]
STUBS = ("ls", "rm", "git", "a", "b", "if!")
CARRIERS = [
    name for name in ("env", "nohup", "timeout", "nice", "setsid", "stdbuf", "sh", "bash") if shutil.which(name)
]  # fmt: skip
STUB = """#!/bin/sh
out=
for word in "${0##*/}" "$@"; do out="$out$word\x1f"; done
printf '%s\x1e' "$out" >&9
"""


class Folder:
    """A folder with stubs, in which texts are run."""

    def __init__(self, path: Path) -> None:
        self.work, self.bin = path / "work", path / "bin"
        self.work.mkdir()
        self.bin.mkdir()
        for name in STUBS:
            (self.bin / name).write_text(STUB)
            (self.bin / name).chmod(0o755)
        for name in CARRIERS:
            (self.bin / name).symlink_to(os.path.realpath(shutil.which(name) or ""))

    def run(self, shell: str, text: str) -> tuple[Counter[tuple[str, ...]], set[str]]:
        """Every command that was started, with its words, and every file that was made."""
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as log:

            def log_on_9() -> None:
                os.dup2(writer, 9)

            with subprocess.Popen(
                [shell, "-c", text],
                cwd=self.work,
                env={"PATH": str(self.bin), "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=log_on_9,  # noqa: PLW1509  one thread runs this test
                pass_fds=(9,),
            ) as process:
                os.close(writer)
                told = log.read().decode()  # until the last command, in the background too, has ended
                process.wait(timeout=20)
        made = {path.name for path in self.work.iterdir()}
        for path in self.work.iterdir():
            path.unlink()
        return Counter(tuple(entry.split("\x1f")[:-1]) for entry in told.split("\x1e")[:-1]), made


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("shell"))


def read(text: str) -> Findings | None:
    """The facts, where the text is fully understood."""
    try:
        found = read_command(text, Surroundings(roots={}, folder=Path()))
    except NotUnderstoodError:
        return None
    return None if found.caution else found


def check(folder: Folder, text: str, found: Findings) -> None:
    told = Counter((fact["name"], *fact["words"][1:]) for fact in found.facts if fact["words"])
    writes = {item["target"] for fact in found.facts for item in fact["redirects"] if item["writes"]}
    for shell in SHELLS:
        ran, made = folder.run(shell, text)
        assert (ran - told, made - writes) == (Counter(), set()), (shell, text)


QUIET = st.text(st.sampled_from("abr1-=.,:^%+@/_"), min_size=1, max_size=5)
QUOTED = st.one_of(
    st.text(st.sampled_from('ab ;|&<>()$`\\"*~#!{}\né'), max_size=6).map("'{}'".format),
    st.text(st.sampled_from("ab ;|&<>()'*~#!{}\né"), max_size=6).map('"{}"'.format),
)
WORD = st.lists(st.one_of(QUIET, QUOTED), min_size=1, max_size=3).map("".join)
PROGRAM = st.one_of(
    st.sampled_from([*STUBS[:5], "'if!'", "r''m", 'l"s"', "echo", "true", "false"]),
    st.sampled_from(
        ["env", "nohup", "nice -n 1", "timeout 9", "setsid -w", "time", "command", "exec", "stdbuf -o L"]
    ).map("{} ls".format),
    st.sampled_from(["sh -c 'rm a; ls b'", "bash -ec 'ls; rm'", "eval 'ls a;' rm", "env -i sh -c ls"]),
)  # fmt: skip
REDIRECT = st.tuples(
    st.sampled_from(["", "", "2", "12"]), st.sampled_from([">", ">>", ">|", "&>", ">&", "<"]),
    st.sampled_from(["", " "]), st.sampled_from(["out", "'o u t'", "1", "/dev/null"]),
).map("".join)  # fmt: skip
SIMPLE = st.tuples(st.lists(REDIRECT, max_size=1), PROGRAM, st.lists(st.one_of(WORD, WORD, REDIRECT), max_size=3)).map(
    lambda parts: " ".join([*parts[0], parts[1], *parts[2]])
)  # fmt: skip
PLAIN = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([";", "&", "&&", "||", "|", "\n", " ; ", " & "]), inner).map(
            "".join
        ),
        inner.map("({})".format),
    ),
    max_leaves=4,
)


@pytest.mark.skipif(not SHELLS, reason="there is no shell here")
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(text=PLAIN)
def test_a_shell_runs_no_more_than_the_facts_say(folder: Folder, text: str):
    found = read(text)
    assume(found is not None)
    check(folder, text, found or Findings())


NOISE = st.sampled_from(
    ["", " ", "\n", "\t", ";", "&", "|", "(", ")", "<", ">", "$", "`", "'", '"', "\\", "#", "!", "~", "{", "}", "*",
     "=", "2", "a=", "if", "time ", "! ", "$(ls)", "\u00a0", "\r", "-", "^", "[", "%"]
)  # fmt: skip


@pytest.mark.skipif(not SHELLS, reason="there is no shell here")
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(text=PLAIN, noise=NOISE, at=st.floats(0, 1), cut=st.booleans())
def test_nor_where_a_text_was_spoilt_somewhere(folder: Folder, text: str, noise: str, at: float, cut: bool):
    place = round(at * len(text))
    text = text[:place] + noise + text[place + cut :]
    found = read(text)
    assume(found is not None)
    check(folder, text, found or Findings())


@pytest.mark.parametrize(
    "text", ["ls a; rm 'b c' > out", "ls & (rm x | a) && b", "env nice -n 1 sh -c 'ls; rm x'"]
)
def test_the_log_sees_what_runs(folder: Folder, text: str):
    """A log that sees nothing would find nothing."""
    found = read(text)
    assert found is not None
    for shell in SHELLS:
        ran, _ = folder.run(shell, text)
        assert ran == Counter(
            tuple(fact["words"]) for fact in found.facts if fact["name"] in STUBS and fact["words"]
        )
