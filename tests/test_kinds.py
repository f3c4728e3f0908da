"""What an argument means is said once, in the schema of its tool, whoever made the tool."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AnyUrl, BaseModel

from guardrail import Guardrail
from guardrail.declarations import Found, defined
from guardrail.errors import Waiting
from guardrail.functions import Signature
from guardrail.kinds import Means, kinds_in
from guardrail.settings import ToolSettings

Command = Annotated[str, Means("command")]


class Request(BaseModel):
    url: AnyUrl
    notes: list[Annotated[str, Means("text")]] = []


def shell(
    run: Command,
    folder: Path,
    files: list[Path],
    request: Request,
    more: Command | None = None,
    plain: str = "",
) -> str:
    return run


def test_an_annotation_and_a_type_of_pydantic_say_what_an_argument_means():
    assert kinds_in(Signature(shell).schema) == {
        "/run": "command",
        "/folder": "path",
        "/files": "path",
        "/request/url": "url",
        "/request/notes": "text",
        "/more": "command",
    }


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({}, {}),
        ({"properties": {"q": {"type": "string", "format": "sql:sqlite"}}}, {"/q": "sql:sqlite"}),
        ({"properties": {"a/b": {"format": "uri"}}}, {"/a~1b": "url"}),
        ({"properties": {"q": {"format": "date-time"}}}, {}),
        ({"properties": {"q": {"anyOf": [{"format": "uri"}, {"type": "null"}]}}}, {"/q": "url"}),
        ({"properties": {"q": {"anyOf": [{"format": "uri"}, {"format": "path"}]}}}, {}),
        ({"properties": {"q": {"items": {"properties": {"u": {"format": "uri"}}}}}}, {"/q/*/u": "url"}),
        ({"properties": {"q": {"format": 5, "items": "x", "properties": None}}}, {}),
        (
            {
                "$defs": {"T": {"properties": {"u": {"format": "uri"}}}},
                "properties": {"t": {"$ref": "#/$defs/T"}},
            },
            {"/t/u": "url"},
        ),
    ],
)
def test_any_schema_says_it_by_format(schema: dict[str, Any], kinds: dict[str, str]):
    assert kinds_in(schema) == kinds


def test_a_schema_that_holds_itself_is_read_down_to_a_depth():
    tree = {"properties": {"u": {"format": "uri"}, "left": {"$ref": "#/$defs/T"}}}
    found = kinds_in({"$defs": {"T": tree}, "properties": {"t": {"$ref": "#/$defs/T"}}})
    assert (found["/t/u"], found["/t/left/u"], len(found) < 8) == ("url", "url", True)


def test_the_configuration_stands_above_the_code_and_the_code_above_the_schema():
    schema = {"properties": {name: {"type": "string", "format": "uri"} for name in ("a", "b", "c")}}
    found = Found(name="t", server="local", description="", schema=schema, effect="read")
    tool = defined(found, {"a": "path", "/b": "text"}, ToolSettings())
    assert dict(tool.kinds) == {"a": "path", "/b": "text", "/c": "url"}


def test_an_annotated_function_is_decided_by_what_it_means(tmp_path: Path):
    (tmp_path / "guardrail.toml").write_text(
        '[policies]\nshipped = true\n[agents.a]\ntools = ["run"]\n[tools.run]\neffect = "write"\n'
    )

    def run(command: Command) -> str:
        return command

    with Guardrail.from_config(tmp_path / "guardrail.toml") as guard:
        guarded = guard.tool(run, agent="a", waiting="answer")
        with pytest.raises(Waiting, match=r"rm"):
            guarded("rm -rf x")
