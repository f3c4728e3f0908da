"""Draw the message of docs/slack.md and the README from the real blocks: `python docs/pictures/draw.py`.

Writes `slack.svg` beside this file, or to the path that is given. It shows what the blocks hold, in about the way
Slack draws them; `tests/slack/test_picture.py` holds it to the blocks.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from xml.sax.saxutils import escape

from guardrail_slack.blocks import message
from guardrail_slack.elements import Block

from guardrail.approvals import Approval
from guardrail.canonical import canonical
from guardrail.decisions import Ask
from guardrail.showing import Shown

WIDTH = 760
LEFT = 72
COLUMNS = 92
"""Characters in a line of a frame."""
SANS = "font-family='Lato, Helvetica, Arial, sans-serif'"
MONO = "font-family='Menlo, Consolas, monospace' font-size='11.5' xml:space='preserve'"
FILLS = {"primary": ("#007a5a", "#ffffff"), "danger": ("#e01e5a", "#ffffff"), "": ("#ffffff", "#1d1c1d")}


def example() -> Shown:
    """A payment that waits, with a letter that passes for another."""
    arguments = {
        "account": "ACC-2001",
        "amount_cents": 24000,
        "memo": "invoice 101 for P\u0430ypal <!channel>",
    }
    approval = Approval(
        id="9f86d081884c7d659a2feaa0c55ad015",
        key="e0756c89b7b2f7dc" * 4,
        digest="2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        run="invoices-42",
        agent="payer",
        chain=("supervisor", "payer"),
        principal="user:anna",
        tool="bank/send_money",
        asks=(
            Ask(
                rule="invoices.large_payment",
                message="a person approves every payment of more than EUR 100",
                approvers=("role:finance",),
            ),
        ),
        revision="",
        state="pending",
        requested_at="2026-01-31T12:00:00.000Z",
        expires_at="2026-01-31T12:15:00.000Z",
    )
    return Shown(approval=approval, arguments=arguments, size=len(canonical(arguments)))


class Picture:
    """An SVG that grows downwards."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._y = 24

    def text(self, text: str, *, size: int = 14, bold: bool = False, fill: str = "#1d1c1d") -> None:
        """One line."""
        weight = " font-weight='bold'" if bold else ""
        self._parts.append(
            f"<text x='{LEFT}' y='{self._y}' {SANS} font-size='{size}'{weight} fill='{fill}'>{escape(text)}</text>"
        )
        self._y += size + 8

    def frame(self, text: str) -> None:
        """Preformatted lines in a box; long ones are broken as Slack breaks them."""
        lines = [
            part
            for line in text.split("\n")
            for part in textwrap.wrap(line, COLUMNS, drop_whitespace=False) or [""]
        ]
        height = 17 * len(lines) + 14
        self._parts.append(
            f"<rect x='{LEFT}' y='{self._y - 12}' width='{WIDTH - LEFT - 24}' height='{height}' rx='4'"
            " fill='#f8f8f8' stroke='#dddddd'/>"
        )
        for number, line in enumerate(lines):
            y = self._y + 8 + 17 * number
            self._parts.append(f"<text x='{LEFT + 10}' y='{y}' {MONO} fill='#1d1c1d'>{escape(line)}</text>")
        self._y += height + 14

    def buttons(self, buttons: list[Block]) -> None:
        """A row of buttons."""
        x = LEFT
        for button in buttons:
            label = button["text"]["text"]
            width = 30 + 8 * len(label)
            fill, ink = FILLS[button.get("style", "")]
            self._parts.append(
                f"<rect x='{x}' y='{self._y - 8}' width='{width}' height='30' rx='4' fill='{fill}' stroke='#bbbbbb'/>"
                f"<text x='{x + width / 2}' y='{self._y + 12}' {SANS} font-size='13' font-weight='bold'"
                f" text-anchor='middle' fill='{ink}'>{escape(label)}</text>"
            )
            x += width + 10
        self._y += 40

    def block(self, block: Block) -> None:
        """One block."""
        match block["type"]:
            case "header":
                self.text(block["text"]["text"], size=17, bold=True)
            case "section":
                self.text(block["text"]["text"])
            case "context":
                self.text(block["elements"][0]["text"], size=12, fill="#616061")
            case "actions":
                self.buttons(block["elements"])
            case _:
                title, frame = (part["elements"][0]["text"] for part in block["elements"])
                self.text(title, bold=True)
                self.frame(frame)

    def svg(self) -> str:
        """The document."""
        size = f"viewBox='0 0 {WIDTH} {self._y}' width='{WIDTH}' height='{self._y}'"
        head = f"<svg xmlns='http://www.w3.org/2000/svg' {size}>"
        back = "<rect width='100%' height='100%' fill='#ffffff'/>"
        face = "<rect x='16' y='12' width='40' height='40' rx='6' fill='#1d4d8f'/>"
        shield = "<path d='M36 20l11 4v8c0 7-5 11-11 14-6-3-11-7-11-14v-8z' fill='#ffffff'/>"
        return "\n".join([head, back, face + shield, *self._parts, "</svg>", ""])


def draw() -> str:
    """The picture of the example."""
    picture = Picture()
    picture.text("Guardrail  APP  14:00", size=14, bold=True)
    for block in message(example()).blocks:
        picture.block(block)
    return picture.svg()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("slack.svg")
    target.write_text(draw(), encoding="utf-8")
