"""A network between a client and PostgreSQL that is cut at the worst moment: when the client has asked to commit."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import Literal

Cut = Literal["before", "after"]
"""Before the server has heard of it, or after it has answered and before the client has heard that."""


class Wire:
    """Passes on what both sides say.

    Args:
        folder: where clients find the server: its socket appears there.
        server: the folder with the socket of the server itself.

    Attributes:
        cut: what happens to the next commit, or other words; None = nothing.
        words: at which the cut is.
        open: new clients are let through.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.cut: Cut | None = None
        self.words = b"COMMIT"
        self.open = True
        self._server = str(server / ".s.PGSQL.5432")
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / ".s.PGSQL.5432"))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nobody through any more."""
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if not self.open:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                threading.Thread(target=self._asks, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answers, args=(client, server), daemon=True).start()

    def _asks(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while said := client.recv(1 << 16):
                cut = self.cut if self.words in said else None
                if cut is not None:
                    self.cut = None
                    client.shutdown(socket.SHUT_RDWR)  # whatever is answered, the client does not hear it
                if cut != "before":
                    server.sendall(said)
                if cut is not None:
                    break
            server.shutdown(socket.SHUT_WR)  # it hangs up then, and both ends are closed

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while said := server.recv(1 << 16):
                with contextlib.suppress(OSError):
                    client.sendall(said)
        for side in (client, server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()
