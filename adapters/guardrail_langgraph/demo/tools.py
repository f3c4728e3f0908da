"""The tools of the demo: ordinary LangChain tools that really read, write, call and pay.

Nothing in here knows of guardrail.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from langchain_core.tools import BaseTool, tool

from guardrail_langgraph.demo.bank import OURS, Bank

TIMEOUT: Final = 30.0
"""Seconds until a web request is given up."""

FAILURES: Final = (OSError, ValueError, sqlite3.Error, HTTPException)
"""What a tool raises when it cannot do what it was asked; the model reads the message."""


def file_tools(folder: Path) -> tuple[BaseTool, ...]:
    """Reading, listing, writing and deleting files; relative paths are relative to `folder`."""

    def read_file(path: str) -> str:
        """Read a text file.

        Args:
            path: which file, e.g. workspace/inbox/invoice-101.txt
        """
        return (folder / path).read_text(encoding="utf-8")

    def list_files(path: str) -> str:
        """List the names of the files in a folder.

        Args:
            path: which folder, e.g. workspace/inbox
        """
        return "\n".join(sorted(entry.name for entry in (folder / path).iterdir()))

    def write_file(path: str, content: str) -> str:
        """Write a text file; one that exists already is replaced.

        Args:
            path: which file, e.g. workspace/notes/invoice-101.md
            content: what it shall hold.
        """
        (folder / path).write_text(content, encoding="utf-8")
        return f"{len(content)} characters written to {path}"

    def delete_file(path: str) -> str:
        """Delete a file for good.

        Args:
            path: which file.
        """
        (folder / path).unlink()
        return f"{path} is deleted"

    return tuple(_tool(each) for each in (read_file, list_files, write_file, delete_file))


def http_get(url: str) -> str:
    """Read a web page. The supplier directory answers at …/suppliers/NAME.

    Args:
        url: its address.
    """
    return _fetched(url)


def http_post(url: str, body: str) -> str:
    """Send text to a web address.

    Args:
        url: the address.
        body: the text.
    """
    return _fetched(url, body)


def web_tools() -> tuple[BaseTool, ...]:
    """Reading and posting over HTTP."""
    return _tool(http_get), _tool(http_post)


def bank_tools(bank: Bank, receipts: str) -> tuple[BaseTool, ...]:
    """Looking at our account and paying from it.

    Args:
        bank: the bank.
        receipts: URL that hands out a receipt for every transfer, after it was made.
    """

    def balance() -> str:
        """What our own account holds."""
        return f"{OURS} holds EUR {bank.balance(OURS) / 100:.2f}"

    def send_money(account: str, amount_cents: int, memo: str) -> str:
        """Send money from our own account to another one. This cannot be taken back.

        Args:
            account: who gets it, e.g. ACC-2001
            amount_cents: how much, in cents: EUR 12.50 is 1250
            memo: what it is for.
        """
        number = bank.send(account, amount_cents, memo)
        # The money has moved; a process that dies from here on does not live to say so.
        receipt = _fetched(receipts, str(number))
        return f"EUR {amount_cents / 100:.2f} sent to {account}, transfer {number}, {receipt}"

    return _tool(balance), _tool(send_money)


def _tool(function: Callable[..., Any]) -> BaseTool:
    return tool(parse_docstring=True)(function)


def _fetched(url: str, body: str | None = None) -> str:
    """One request, straight to the host: no proxy, and a redirect, which nobody has judged, is no way on."""
    place = urlsplit(url)
    if place.scheme not in _CONNECTIONS or not place.hostname:
        raise ValueError(f"{place.scheme or url} is not spoken here")
    with closing(_CONNECTIONS[place.scheme](place.hostname, place.port, timeout=TIMEOUT)) as connection:
        target = urlunsplit(("", "", place.path or "/", place.query, ""))
        connection.request("GET" if body is None else "POST", target, None if body is None else body.encode())
        answer = connection.getresponse()
        text: str = answer.read().decode("utf-8", "replace")
    if answer.status != HTTPStatus.OK:
        raise OSError(f"the server answers {answer.status} {answer.reason}")
    return text


_CONNECTIONS: Final[Mapping[str, type[HTTPConnection]]] = {"http": HTTPConnection, "https": HTTPSConnection}
