"""What an OPA server has decided, recomputed by the embedded interpreter from the bundle that was stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guardrail.bundles import Bundle
from guardrail.canonical import canonical, digest
from guardrail.errors import InvalidArguments, PolicyError
from guardrail.policy import Policy
from guardrail.rego import RegoPolicy


class StoredOpa:
    """Reads what an `OpaPolicy` stores. No server is asked: one means the same on every back end."""

    @classmethod
    def stored(cls, bundle: Mapping[str, Any]) -> Policy:
        """The embedded policy that decides as the server did, where it had the bundle that was stored.

        Raises:
            PolicyError: no bundle was stored, or it would not be activated today.
        """
        if bundle.get("rego") is None:
            raise PolicyError("an OPA server decided, and what by is not stored")
        return RegoPolicy.stored(bundle)

    @staticmethod
    def revision_of(bundle: Mapping[str, Any]) -> str:
        """The revision that a stored `bundle` has by what is in it, whatever reads it today.

        Raises:
            PolicyError: this is not what an `OpaPolicy` stores.
        """
        rego = bundle.get("rego")
        named = {**bundle, "rego": None if rego is None else Bundle.from_json(rego).revision}
        try:
            return digest(canonical(named))
        except InvalidArguments as error:
            raise PolicyError(
                f"what is stored is not the policy of an OPA server: {error.message}"
            ) from error
