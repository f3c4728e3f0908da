"""The settings that environment variables stand above."""

from __future__ import annotations

from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

ENVIRONMENT: Final = {"mode": "GUARDRAIL_MODE", "outcome": "GUARDRAIL_OUTCOME", "strict": "GUARDRAIL_STRICT"}
"""Which they are."""


class Environment(EnvSettingsSource):
    """`GUARDRAIL_MODE`, `_OUTCOME` and `_STRICT`, and no other: what an agent may do stands in the file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """See the class."""
        if field_name not in ENVIRONMENT:
            return None, field_name, False
        return super().get_field_value(field, field_name)
