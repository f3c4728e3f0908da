"""The smallest use: one plain function, one boundary, one policy. Run: python examples/quickstart/plain_function.py"""

from pathlib import Path

from guardrail import Denied, Guardrail

guard = Guardrail.from_config(Path(__file__).parent / "guardrail.toml")


def send_money(to: str, amount: float) -> str:
    """Send money to an account."""
    return f"sent {amount} to {to}"


send = guard.tool(send_money, agent="payer")

with guard.run(principal="user:anna", task="Pay Bob his 20 euros"):
    print(send("bob", amount=20))
    try:
        send("mallory", 2_000)  # positional or by keyword: the rules see the same call
    except Denied as denied:
        print(denied)
