"""The small copy of a checkpoint that comes along with the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bert_demo.cli import parser
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.inference import predict
from bert_demo.interop.bundle import bundle
from bert_demo.model import checkpoint
from bert_demo.model.stored_weights import Storage, storage_of
from bert_demo.training.loop import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("private") / "model"
    training = TrainingConfig(steps=6, batch_size=16, validate_every_steps=3)
    list(train(RunConfig(hidden_size=32, training=training), folder))
    return folder


@pytest.mark.parametrize(
    ("storage", "share", "near", "words"),
    [("fp16", 0.55, 0.01, "| 16 bits (fp16) |"), ("int8", 0.35, 0.1, "| 8 bits (int8, one scale")],
)
def test_a_bundle_is_much_smaller_and_says_the_same(
    trained: Path, tmp_path: Path, storage: Storage, share: float, near: float, words: str
) -> None:
    out = tmp_path / "small"
    report = bundle(trained, out, storage=storage, notes=["Made in a test."])
    whole, size = ((folder / "model.safetensors").stat().st_size for folder in (trained, out))
    known = checkpoint.statistics(trained)
    assert known is not None and known.vectors is not None
    counted = known.counts.size * 4 + known.vectors.size  # what is counted stays as it is
    assert report["bytes"] == size and size - counted < share * (whole - counted)
    texts = "a <mask> is flying"
    before, after = (
        predict.fill_mask(*checkpoint.load(folder)[:2], texts)[0] for folder in (trained, out)
    )
    assert [p for _, p in after] == pytest.approx([p for _, p in before], rel=near)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "Made in a test." in card and "python -m bert_demo pretrain" in card
    assert f"| Weights stored in {words}" in card
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events.count("step") == 6 and events.count("validation") == 2
    assert str(trained.parent) not in "".join(
        path.read_text(encoding="utf-8") for path in out.iterdir() if path.suffix != ".safetensors"
    )


def test_a_bundle_replaces_only_when_asked(trained: Path, tmp_path: Path) -> None:
    bundle(trained, tmp_path / "small")
    with pytest.raises(checkpoint.CheckpointError, match="holds a checkpoint already"):
        bundle(trained, tmp_path / "small")
    flags = ["--out", str(tmp_path / "small"), "--overwrite", "--storage", "int8"]
    assert parser.main(["bundle", "--model", str(trained), *flags]) == 0
    assert storage_of(tmp_path / "small/model.safetensors") == "int8"
