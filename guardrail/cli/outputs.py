"""`outputs`: how much of what was read had been reviewed."""

from __future__ import annotations

from guardrail.cli.options import CONFIG, AsJson, Color, ConfigPath, listing, opened


def outputs(config: ConfigPath = CONFIG, *, as_json: AsJson = False, color: Color = None) -> None:
    """How much of what agents and users read had been reviewed, as sinks and the ledger have counted it."""
    with opened(config) as (settings, ledger):
        found = ledger.emissions.figures()
    output = listing(settings, color=color, as_json=as_json)
    if as_json:
        output.document(found.as_json())
        return
    coverage = "-" if found.coverage is None else f"{found.coverage:.1%}"
    output.fields(
        [
            ("told to users", f"{found.told}, {found.reviewed} of them reviewed ({coverage})"),
            ("refused by sinks", found.refused),
        ]
    )
    rows = [
        (item.tool, item.returned, ", ".join(f"{count} {what}" for what, count in item.released.items()))
        for item in found.tools
    ]
    if rows:
        output.table(("TOOL", "RETURNED", "OF THESE"), rows)
