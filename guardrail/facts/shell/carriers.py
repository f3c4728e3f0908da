"""Programs that run what their own words say: what they run is a command of its own.

Of those in the tables every option that is accepted is written down; with any other it is not known
where the inner command begins, and the text is not understood. Programs that run code in a language of
their own, or that run commands in ways that are not read here, are never understood. The list is
what is known, and no list of such programs is whole: a policy names the programs that may run, never
those that may not.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from guardrail.facts.extractor import NotUnderstoodError

Word = str | None
"""A word of a command; None = not literal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """What a program runs: the words of a command, or a text for the shell; `why` = not fully known."""

    words: tuple[Word, ...] = ()
    text: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carrier:
    """A program whose first operands (after `skip` of them) are a command."""

    flags: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    skip: int = 0
    why: str = ""


def _carrier(flags: str = "", values: str = "", *, skip: int = 0, why: str = "") -> _Carrier:
    return _Carrier(flags=frozenset(flags.split()), values=frozenset(values.split()), skip=skip, why=why)


_CARRIERS: Final[Mapping[str, _Carrier]] = {
    "sudo": _carrier("-n -E -H -S -b -k --non-interactive --set-home --stdin", "-u -g --user --group"),
    "doas": _carrier("-n", "-u"),
    "env": _carrier("-i --ignore-environment", "-u --unset"),
    "command": _carrier("-p"),
    "builtin": _carrier(),
    "exec": _carrier("-c -l", "-a"),
    "nohup": _carrier(),
    "setsid": _carrier("-c -f -w --ctty --fork --wait"),
    "time": _carrier("-p -v --portability --verbose"),
    "nice": _carrier("", "-n --adjustment"),
    "ionice": _carrier("-t --ignore", "-c -n --class --classdata"),
    "timeout": _carrier(
        "-f -p -v --foreground --preserve-status --verbose", "-k -s --kill-after --signal", skip=1
    ),
    "stdbuf": _carrier("", "-i -o -e --input --output --error"),
    "busybox": _carrier(),
    "taskset": _carrier("-a -c --all-tasks --cpu-list", skip=1),
    "setpriv": _carrier(
        "--nnp --no-new-privs --clear-groups --keep-groups --init-groups --reset-env",
        "--reuid --regid --ruid --euid --rgid --egid --groups --inh-caps --ambient-caps --bounding-set",
    ),
    "corepack": _carrier(why="corepack runs a version of a package manager that it fetches"),
    "xargs": _carrier(
        "-0 -r -t -x --null --no-run-if-empty --verbose --exit",
        "-n -P -L -s -d -a --max-args --max-procs --max-lines --max-chars --delimiter --arg-file -I",
        why="xargs adds words to the command that it runs",
    ),
}
_SHELLS: Final = frozenset(
    {"sh", "bash", "rbash", "dash", "ash", "ksh", "rksh", "mksh", "lksh", "yash", "posh"}
)
_INTERPRETER: Final = re.compile(
    r"(?:python|pypy|perl|ruby|php|node|nodejs|lua|tclsh|zsh|fish|csh|tcsh|pwsh)[0-9.]*"
)
_RUNNERS_WORDS: Final = (
    "ssh parallel watch script chroot su runuser flock strace ltrace gdb unshare nsenter docker podman "
    "kubectl awk gawk mawk nawk sed vi vim nvim ex emacs ed expect screen tmux at batch crontab "
    "pkexec run0 sg newgrp fakeroot fakechroot chrt numactl prlimit setarch linux32 linux64 firejail bwrap proxychains "
    "proxychains4 torsocks torify xvfb-run dbus-run-session unbuffer rlwrap entr dumb-init tini gosu su-exec faketime "
    "hyperfine chronic ifne toybox start-stop-daemon cpulimit trickle eatmydata catchsegv valgrind perf "
    "systemd-run Rscript R deno osascript wine psql sqlite3 mysql bc dc m4 jshell ghci irb pry"
)
_RUNNERS: Final = frozenset(_RUNNERS_WORDS.split())
_CHANGING_WORDS: Final = (
    ". source alias unalias trap enable hash set shopt export declare typeset local readonly unset read "
    "mapfile readarray getopts let bind complete compopt compgen fc history jobs wait caller return"
)
_CHANGING: Final = frozenset(_CHANGING_WORDS.split())
_IN_ENVIRONMENT: Final = _carrier(
    "-v --verbose --no-capture-output --live-stream", "-n --name -p --prefix --cwd"
)
_PROJECTS: Final[Mapping[str, _Carrier]] = {
    **dict.fromkeys(["uv", "poetry", "pdm", "pipenv", "rye", "hatch"], _carrier()),
    **dict.fromkeys(["conda", "mamba"], _IN_ENVIRONMENT),
}
"""Programs whose `run` runs a command in the environment of a project."""
_MODULES_WORDS: Final = (
    "pip uv pipx poetry pdm pipenv pytest unittest venv virtualenv http.server json.tool compileall py_compile mypy "
    "ruff black isort flake8 pylint build twine sphinx mkdocs zipfile tarfile tabnanny tokenize ast dis platform "
    "site sysconfig calendar base64 gzip uuid this"
)
_MODULES: Final = frozenset(_MODULES_WORDS.split())
"""Modules of Python that run no code out of their words or their input."""
_PSEUDO_FILE: Final = re.compile(
    r"/+(?:dev|proc)/.*|(?:.*/)?(?:dev/(?:stdin|fd/.*|tty.*)|proc/.*)", re.DOTALL
)
_COMMAND_TEXT: Final = re.compile(r"-[elux]*c[elux]*")
_EXECUTES: Final = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


def inner(words: Sequence[Word]) -> Inner | None:
    """What a command runs besides its own program; None = nothing that is known.

    Args:
        words: the words of the command; the first is literal.

    Raises:
        NotUnderstoodError: it runs something, and what cannot be told.
    """
    name = (words[0] or "").rpartition("/")[2]
    rest = words[1:]
    if name in _PROJECTS and list(rest[:1]) == ["run"]:
        return _carried(name, _PROJECTS[name], rest[1:])
    if name in _CARRIERS:
        return _carried(name, _CARRIERS[name], rest)
    if name == "eval":
        if None in rest:
            raise NotUnderstoodError("eval runs words that are not literal")
        return Inner(text=" ".join(word for word in rest if word is not None))
    if name in _SHELLS:
        return _shell(name, rest)
    if name == "find":
        return _found(rest)
    _check_opaque(name, rest)
    return None


def _carried(name: str, carrier: _Carrier, words: Sequence[Word]) -> Inner | None:
    at = 0
    while at < len(words):
        word = words[at]
        if word is None:
            raise NotUnderstoodError(f"what {name} runs is not literal")
        if word == "--":
            at += 1
            break
        if not word.startswith("-") or word == "-":
            break
        option, equals, _ = word.partition("=")
        if option in carrier.values and (not equals or option.startswith("--")):
            at += 1 if equals else 2
        elif word in carrier.flags:
            at += 1
        else:
            raise NotUnderstoodError(f"{name} has an option that is not read here")
    command = tuple(words[at + carrier.skip :])
    why = carrier.why
    while command and command[0] is not None and "=" in command[0]:
        command, why = command[1:], f"{name} sets a variable"
    if why and not command:
        raise NotUnderstoodError(why)
    return Inner(words=command, why=why) if command else None


def _shell(name: str, words: Sequence[Word]) -> Inner | None:
    first = words[0] if words else "-"
    if first is None:
        raise NotUnderstoodError(f"what {name} runs is not literal")
    if not first.startswith(("-", "+")) or first == "--help":
        _check_script(name, first)
        return None  # a script: a program like any other
    if not _COMMAND_TEXT.fullmatch(first) or len(words) < 2 or words[1] is None:
        raise NotUnderstoodError(f"{name} runs what it reads, or what is not literal")
    if words[1].startswith(("-", "+")):
        raise NotUnderstoodError(f"{name} has an option that is not read here")
    return Inner(text=words[1])


def _found(words: Sequence[Word]) -> Inner | None:
    at = next((at for at, word in enumerate(words) if word in _EXECUTES), None)
    if at is None:
        return None
    command = list(words[at + 1 :])
    ends = [command.index(end) for end in (";", "+") if end in command]
    return Inner(
        words=tuple(command[: min(ends)] if ends else command),
        why="find adds words to the command that it runs",
    )


def _check_opaque(name: str, words: Sequence[Word]) -> None:
    if name in _RUNNERS:
        raise NotUnderstoodError(f"{name} runs what its words say, in ways that are not read here")
    if name in _CHANGING:
        raise NotUnderstoodError(f"{name} changes what other commands mean")
    if name in {"test", "printf", "["} and any(word is None or word.startswith("-v") for word in words):
        raise NotUnderstoodError(f"{name} may calculate what a variable is called")
    if _INTERPRETER.fullmatch(name):
        _check_interpreter(name, words)


def _check_interpreter(name: str, words: Sequence[Word]) -> None:
    first = words[0] if words else "-"
    if first is None or (first.startswith("-") and (first != "-m" or len(words) < 2)):
        raise NotUnderstoodError(f"{name} runs code that is not read here")
    if first == "-m" and not name.startswith(("python", "pypy")):
        raise NotUnderstoodError(f"{name} has an option that is not read here")
    if first == "-m" and words[1] not in _MODULES:
        raise NotUnderstoodError(f"{name} runs a module that may run code of its own")
    _check_script(name, first)


def _check_script(name: str, path: str) -> None:
    if _PSEUDO_FILE.fullmatch(posixpath.normpath(path)):
        raise NotUnderstoodError(f"{name} runs what it reads")
