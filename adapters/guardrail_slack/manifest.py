"""The manifest of the Slack app: what is pasted where Slack asks "Create an app from a manifest"."""

from __future__ import annotations

from typing import Any, Final

from guardrail_slack.endpoint import PATH

SCOPES: Final = ("chat:write",)
"""All that the app may do: post, as itself, in channels to which it was invited."""


def manifest(url: str, *, name: str = "Guardrail") -> dict[str, Any]:
    """The manifest of an app.

    Args:
        url: where `guardrail serve` is reached from the internet, without `/slack`.
        name: what people call the app.
    """
    return {
        "display_information": {
            "name": name,
            "description": "Asks people before agents act, and shows them what would run.",
        },
        "features": {"bot_user": {"display_name": name, "always_online": True}},
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "interactivity": {"is_enabled": True, "request_url": f"{url.rstrip('/')}/slack{PATH}"},
            "org_deploy_enabled": False,
            "socket_mode_enabled": False,
            "token_rotation_enabled": False,
        },
    }
