"""`[checkpoints]`: who signs, who is believed, where checkpoints are kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from guardrail.checkpoint_settings import AnchorSettings, CheckpointSettings
from guardrail.errors import ConfigError
from guardrail.proofs.signing import CommandSigner, FileSigner
from guardrail.proofs.testing import WitnessStandIn

ORIGIN = "example.com/guardrail"
DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    FileSigner.generate(ORIGIN).write(tmp_path / "log.key")
    return tmp_path


def settings(**more: object) -> CheckpointSettings:
    return CheckpointSettings.model_validate({"origin": ORIGIN, "public_keys": ["log.pub"], **more})


def test_a_file_or_a_command_signs(folder: Path):
    by_file = settings(key="log.key").signer(folder)
    by_command = settings(command=["sign"]).signer(folder)
    assert (type(by_file), type(by_command)) == (FileSigner, CommandSigner)
    assert (by_file.key,) == (by_command.key,) == tuple(settings().keys(folder).logs)
    with pytest.raises(ConfigError, match="does not say who signs"):
        settings().signer(folder)


def test_anchors_are_asked_in_an_order_that_lets_all_keep_the_signatures_of_witnesses(folder: Path):
    with WitnessStandIn() as witness:
        (folder / "witness.pub").write_text(f"{witness.key}\n")
        anchors = {"file": "a.txt", "git": "g", "witnesses": {witness.url: "witness.pub"}}
        titles = [anchor.title for anchor in settings(anchors=anchors).anchored(folder)]
        mixed_up = settings(public_keys=["witness.pub"])
        wrong_way = settings(anchors={"witnesses": {witness.url: "log.pub"}})
    assert titles == [f"witness {witness.key.name}", f"file {folder}/a.txt", f"git {folder}/g"]
    with pytest.raises(ConfigError, match="this is not the public key of a log"):
        mixed_up.keys(folder)
    with pytest.raises(ConfigError, match="this is not the public key of a witness"):
        wrong_way.anchored(folder)


def test_the_key_of_another_log_is_refused(folder: Path):
    FileSigner.generate("example.org/other").write(folder / "other.key")
    with pytest.raises(ConfigError, match=r"a key is that of 'example\.org/other'"):
        settings(public_keys=["log.pub", "other.pub"]).keys(folder)


@pytest.mark.parametrize(
    ("title", "model"),
    [("`[checkpoints]`", CheckpointSettings), ("`[checkpoints.anchors]`", AnchorSettings)],
)
def test_the_document_lists_every_key_and_no_other(title: str, model: type[BaseModel]):
    text = DOCUMENT.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^##+ (.*?)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))
    rows = re.findall(r"^\| `(\w+)` \|", sections[title], re.MULTILINE)
    assert [*rows, *(["anchors"] if model is CheckpointSettings else [])] == list(model.model_fields)
