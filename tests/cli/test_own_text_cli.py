"""A text of one's own from the command line: described, learnt from, gone on with, scored."""

from __future__ import annotations

import io
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.hub_server import COMMIT, hub_server

from bert_demo.cli.parser import main
from bert_demo.data import own
from bert_demo.data.wikitext import read_own
from bert_demo.inference.models import ModelShelf
from bert_demo.interop.bundle import bundle
from bert_demo.model.about import read_about
from bert_demo.model.checkpoint import load, read_config
from bert_demo.model.folders import CONFIG, METRICS
from bert_demo.training.loop import train
from bert_demo.training.recorder import read_metrics

ROOT = Path(__file__).resolve().parents[2]
NOUNS = ("baker", "river", "garden", "teacher", "window", "letter", "winter", "market")


def told(seed: int, word: str = "harbour") -> str:
    """A text about a few things, in which no word of the probes has several senses."""
    draw = random.Random(seed)
    sentences = (
        f"The {draw.choice(NOUNS)} and the {draw.choice(NOUNS)} saw the {word} number {n}."
        for n in range(1200)
    )
    return "\n\n".join(" ".join(group) for group in zip(*[sentences] * 4, strict=True))


def test_from_a_file_to_a_model_and_its_scores(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "tales.txt", tmp_path / "out"
    file.write_text(told(1), encoding="utf-8")
    assert main(["prepare", "--corpus", str(file), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    name = found["corpus"]
    assert found["too_little"] and found["title"] == "tales" and found["sentences"] > 1000
    assert main(["prepare", "--corpus", str(file)]) == 0
    assert f"Its name is {name}." in (words := capfd.readouterr().out)
    assert "Note: Too little text: it will be learnt by heart" in words

    flags = ["--out", str(out), "--batch-size", "32", "--hidden-size", "32", "--json"]
    assert main(["pretrain", "--corpus", str(file), *flags, "--steps", "6"]) == 0
    assert "Too little text" in capfd.readouterr().err
    about = read_about(read_config(out))
    assert about.run is not None and about.run.corpus == name

    # The film asks about the text's own words, in sentences that the model does not learn from.
    frames = [event for event in read_metrics(out) if event["event"] == "probe"]
    held_out = read_own(own.file_of(name, "validation")).sentences.to_pylist()
    asked = [blank["text"] for blank in frames[-1]["blanks"]]  # type: ignore[typeddict-item]
    assert len({*asked}) == 8
    for text in asked:
        before, after = text.split("<mask>")
        assert any(s.startswith(before) and s.endswith(after) for s in held_out)
    assert frames[-1]["similarities"] is None  # type: ignore[typeddict-item]

    # A run that was cut short goes on once its text is there again.
    cut, asked_to_stop = tmp_path / "cut", iter([False, False, True])
    for _ in train(about.run, cut, should_stop=lambda: next(asked_to_stop)):
        pass
    own.forget(name)
    assert main(["pretrain", "--resume", "--out", str(cut), "--json"]) == 2
    assert "is not in this computer's cache any more" in capfd.readouterr().err
    assert main(["prepare", "--corpus", str(file)]) == 0
    assert main(["pretrain", "--resume", "--out", str(cut), "--json"]) == 0
    assert read_about(read_config(cut)).step == 6
    capfd.readouterr()

    # It is scored by its file as well as by its name.
    scores = []
    for text in (str(file), name, f"{name}:validation", f"{file}:test"):
        assert main(["evaluate", "--model", str(out), "--text", text, "--json"]) == 0
        scores.append(json.loads(capfd.readouterr().out))
    assert scores[0] == scores[1] == scores[2] != scores[3]
    assert scores[0]["mlm_loss"] == pytest.approx(
        read_about(read_config(out)).score("mlm_loss"), abs=0.02
    )

    # Its untrained twin is made again from what the checkpoint says.
    twin = ModelShelf(tmp_path / "none", tmp_path).twin("run/out")
    assert twin.tokenizer.fingerprint == load(out).tokenizer.fingerprint

    # What leaves the computer has neither its sentences nor its name.
    bundle(out, tmp_path / "small")
    for path in (tmp_path / "small" / one for one in (CONFIG, METRICS, "README.md")):
        shown = path.read_text(encoding="utf-8")
        assert "tales" not in shown and not any(text in shown for text in asked), path
    capfd.readouterr()

    file.write_text(" ", encoding="utf-8")
    assert main(["pretrain", "--corpus", str(file), "--steps", "1", "--out", str(out)]) == 2
    assert "is empty" in capfd.readouterr().err


def test_a_text_with_a_word_of_several_senses_has_its_map(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "banks.txt", tmp_path / "out"
    file.write_text(told(2, "bank"), encoding="utf-8")
    flags = ["--out", str(out), "--hidden-size", "16", "--batch-size", "16", "--steps", "2"]
    assert main(["pretrain", "--corpus", str(file), *flags]) == 0
    frames = [event for event in read_metrics(out) if event["event"] == "probe"]
    assert frames[-1]["similarities"]["word"] == "bank"  # type: ignore[typeddict-item]


def test_columns_of_other_names_are_given_as_flags(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = next((ROOT / "checkpoints").glob("*snli"))
    file = tmp_path / "judged.csv"
    file.write_text(
        "context,claim,verdict\nA man sleeps.,A person sleeps.,entailment\n", encoding="utf-8"
    )
    flags = ["evaluate", "--model", str(model), "--data", str(file), "--json"]
    assert main(flags) == 2
    assert "no column 'premise' among context, claim, verdict" in capfd.readouterr().err
    names = ("premise=context", "hypothesis=claim", "label=verdict")
    called = [word for name in names for word in ("--column", name)]
    assert main([*flags, *called]) == 0
    assert json.loads(capfd.readouterr().out)["n"] == 1
    for wrong in ("context", "text=context", "label="):
        assert main([*flags, "--column", wrong]) == 2
        assert f"column is '{wrong}'; for pairs it must look like" in capfd.readouterr().err


def test_a_data_set_is_brought_from_the_hub_at_one_commit(tmp_path: Path) -> None:
    paragraphs = told(3).split("\n\n")
    table = io.BytesIO()
    pq.write_table(pa.table({"id": [*range(len(paragraphs))], "story": paragraphs}), table)
    names = ("README.md", "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet")
    listing = {"id": "ada/tales", "sha": COMMIT, "siblings": [{"rfilename": one} for one in names]}
    listed = json.dumps(listing).encode()
    prepare = ["prepare", "--json", "--column", "story", "--corpus"]
    script = "import json, sys; from bert_demo.cli.parser import main\n"
    script += "for one in json.loads(sys.argv[1]): print('code', main(one), flush=True)"
    environment = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH")}
    environment |= {"HOME": str(tmp_path), "BERT_DEMO_CACHE": str(tmp_path / "cache")}

    def run(*calls: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, json.dumps(calls)]
        return subprocess.run(
            command, env=environment | more, cwd=ROOT, capture_output=True, text=True, timeout=120
        )

    with hub_server() as server:
        server.files = {f"datasets/ada/tales/{one}": table.getvalue() for one in names[1:]}
        server.files |= {"api/datasets/ada/tales": listed}
        server.files |= {f"api/datasets/ada/tales/revision/{COMMIT}": listed}
        done = run(
            ["prepare", "--corpus", "hub:ada/tales"],
            [*prepare, "hub:ada/tales"],
            [*prepare, f"hub:ada/tales@{COMMIT}"],
            [*prepare, "hub:ada/none"],
            HF_ENDPOINT=server.url,
        )
        assert re.findall(r"code (\d)", done.stdout) == ["2", "0", "0", "2"], done.stderr
        assert "as the column with the text: id, story." in done.stderr
        assert "the Hub has no ada/none" in done.stderr
        fetched = [path for method, path, _ in server.requests if method == "GET"]
        assert [path for path in fetched if "/resolve/" in path] == [
            f"/datasets/ada/tales/resolve/{COMMIT}/{names[1]}"
        ], "the part to learn from, once"
    (meta,) = (tmp_path / "cache/own").glob("*/meta.json")
    assert json.loads(meta.read_text())["source"] == f"hub:ada/tales@{COMMIT}"
    # Without a network it is read from what the Hub's client has kept.
    done = run([*prepare, "hub:ada/tales"], HF_HUB_OFFLINE="1")
    assert "code 0" in done.stdout, done.stderr
