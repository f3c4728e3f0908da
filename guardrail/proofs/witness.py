"""A witness (C2SP tlog-witness): a server that signs a checkpoint only if it is a later state of the last it signed.

Whoever believes the witness needs no copy of earlier checkpoints to know that none was taken back. It is told how
large log 0 is and what its root is, and nothing else of the ledger.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardrail.errors import AnchorUnavailable, VerificationFailed
from guardrail.merkle import consistency_proof
from guardrail.verifier.checkpoints import Checkpoint, whole
from guardrail.verifier.notes import Note, NotVerified, PublicKey, Signature, encode64

if TYPE_CHECKING:
    import httpx

SIZE_TYPE: Final = "text/x.tlog.size"
"""Media type of the answer that says which size the witness has signed last."""
_WITHIN: Final = 10.0
_ANSWER_BYTES: Final = 64_000


@dataclass(frozen=True, slots=True)
class _At:
    """The witness has signed another size last."""

    size: int


class Witness:
    """One witness.

    Args:
        url: below which it answers to `add-checkpoint`; ends with a slash.
        key: what verifies its signatures.
    """

    def __init__(self, url: str, key: PublicKey) -> None:
        self._url = url
        self.key = key
        self.title = f"witness {key.name}"

    def held(self, last: Note | None) -> Sequence[Note]:
        """See `Anchor`. A witness says whether the ledger's last checkpoint is the last that it has signed."""
        if last is None:
            return ()
        size = Checkpoint.parse(last.text).size
        answer = self._ask(size, (), last)
        if isinstance(answer, Note):
            return (answer,)
        self._check(answer, size)
        return ()

    def add(self, note: Note, leaves: Callable[[], Sequence[bytes]]) -> Note:
        """See `Anchor`."""
        size = Checkpoint.parse(note.text).size
        answer = self._ask(0, (), note)
        if isinstance(answer, _At):
            self._check(answer, size, same=False)
            proof = consistency_proof(leaves(), answer.size) if answer.size else []
            answer = self._ask(answer.size, proof, note)
        if isinstance(answer, _At):
            self._check(answer, size)
            raise AnchorUnavailable(
                f"{self.title} has been told of another checkpoint meanwhile", fix="try again"
            )
        return answer

    def _check(self, answer: _At, size: int, *, same: bool = True) -> None:
        """Whether what the witness has signed last can be an earlier state of a log of this size.

        Args:
            answer: what it says.
            size: of the log.
            same: it was told that it has signed this very size, and does not agree.
        """
        if answer.size > size:
            what = f"has signed checkpoint {answer.size}, and the last one here is {size}"
        elif same and answer.size == size:
            what = f"has signed another checkpoint {size} than the one here"
        else:
            return
        raise VerificationFailed(
            f"{self.title} {what}", fix="this ledger was cut or replaced: compare it with a backup"
        )

    def _ask(self, old: int, proof: Sequence[bytes], note: Note) -> Note | _At:
        """Ask for a signature.

        Args:
            old: which size the witness is thought to have signed last.
            proof: that the checkpoint is a later state of that one.
            note: the checkpoint.
        """
        lines = [f"old {old}", *map(encode64, proof)]
        status, kind, body = self._post("\n".join(lines) + f"\n\n{note}")
        if status == 200:
            return self._signed(note, body)
        if status == 409 and kind == SIZE_TYPE:
            try:
                return _At(whole(body.removesuffix("\n")))
            except NotVerified as error:
                raise AnchorUnavailable(f"{self.title} did not say what it has signed: {error}") from error
        if status in (409, 422):
            raise VerificationFailed(
                f"{self.title} refuses this checkpoint: it is no later state of what it has signed ({status})",
                fix="compare the ledger with a backup",
            )
        known = {403: "it does not know the key that signed", 404: "it does not know this log"}
        why = known.get(status, "see its log")
        raise AnchorUnavailable(f"{self.title} answered with {status}", fix=f"{why}: ask whoever runs it")

    def _signed(self, note: Note, body: str) -> Note:
        try:
            lines = [Signature.parse(line) for line in body.removesuffix("\n").split("\n")]
            own = [line for line in lines if (line.name, line.key_id) == (self.key.name, self.key.key_id)]
            signed = note.signed_also(own)
            if own and signed.signers((self.key,)):
                return signed
        except NotVerified as error:
            raise AnchorUnavailable(f"{self.title} did not sign: {error}") from error
        raise AnchorUnavailable(f"{self.title} signed with another key than {self.key}")

    def _post(self, body: str) -> tuple[int, str, str]:
        import httpx  # noqa: PLC0415  takes a tenth of a second, see ADR 6

        try:
            with (
                httpx.Client(trust_env=False, follow_redirects=False, timeout=_WITHIN) as client,
                client.stream("POST", f"{self._url}add-checkpoint", content=body.encode()) as response,
            ):
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                return response.status_code, kind, _read(response).decode()
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, ValueError) as error:
            raise AnchorUnavailable(
                f"{self.title} could not be asked ({type(error).__name__}: {error})"
            ) from error


def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _ANSWER_BYTES:
            raise ValueError("its answer is too long")
    return bytes(body)
