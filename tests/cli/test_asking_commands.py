"""The commands that ask a model: encode, compare, classify, fill-mask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.command_line import ROOT, Run, refused, saved

import bert_demo
from bert_demo.config import LABELS


def test_encode_gives_tokens_shape_and_vectors(run: Run, pretrained: Path) -> None:
    asked = ("encode", "--model", pretrained, "--json", "--text")
    code, text, err = run(*asked, "a crane is flying")
    assert (code, err) == (0, "")
    result = json.loads(text)
    assert list(result) == ["tokens", "shape", "vectors"]
    assert result["tokens"] == ["<cls>", "a", "crane", "is", "flying", "<sep>"]
    assert result["shape"] == [1, 6, 16]
    assert torch.tensor(result["vectors"]).shape == (1, 6, 16)
    result = json.loads(run(*asked, "a crane driver came", "--pair", "he just left")[1])
    assert result["shape"] == [1, 10, 16]
    model, tokenizer, _ = bert_demo.load(pretrained)
    vectors = bert_demo.encode(model, tokenizer, "a crane driver came", "he just left").vectors
    torch.testing.assert_close(torch.tensor(result["vectors"][0]), vectors)


def test_encode_in_words(run: Run, pretrained: Path) -> None:
    code, text, _ = run("encode", "--model", pretrained, "--text", "a Krane, a crane")
    assert code == 0
    lines = text.splitlines()
    assert lines[0].startswith("Shape: 1 x 7 x 16")
    model, tokenizer, _ = bert_demo.load(pretrained)
    wanted = bert_demo.encode(model, tokenizer, "a Krane, a crane").vectors[6 - 1, :3]
    assert lines[7].split() == ["crane", *(f"{value:.4f}" for value in wanted.tolist())]
    assert lines[-1] == "Note: 'Krane' is unknown to this model, which reads <unk> instead."


def test_notes_stay_out_of_json(run: Run, pretrained: Path) -> None:
    asked = ("encode", "--model", pretrained, "--json", "--text")
    code, text, err = run(*asked, "one two three four five six crane " * 2000)
    assert code == 0
    assert json.loads(text)["shape"] == [1, 64, 16]
    assert "Note: The text is longer than the model reads; its last 13,938 tokens" in err
    assert "'one', 'two', 'three', 'four', 'five' and others are unknown" in err


def test_compare(run: Run, pretrained: Path) -> None:
    texts = ["a crane is flying", "a crane driver came <sep> he just left", "a man, a crane"]
    flags = [part for text in texts for part in ("--text", text)]
    asked = ("compare", "--model", pretrained, "--word", "crane", *flags)
    code, text, err = run(*asked, "--json")
    assert (code, err) == (0, "")
    result = json.loads(text)
    assert result["contexts"] == texts
    for name in ("similarities", "centred_similarities"):
        table = torch.tensor(result[name])
        torch.testing.assert_close(table.diagonal(), torch.ones(3))
        torch.testing.assert_close(table, table.T)
    code, text, _ = run(*asked)
    assert code == 0
    assert f"{result['similarities'][0][1]:.3f}" in text
    assert f"{result['centred_similarities'][0][1]:.3f}" in text
    code, text, _ = run(
        "compare", "--model", pretrained, "--word", "krane", *("--text", "Krane") * 2
    )
    assert code == 0
    assert "mean vector" not in text
    assert "Note: 'krane' is unknown" in text
    refused(run(*asked, "--text", "a man"), "'a man' does not have the word 'crane'")

    senses = [part for sense in ("bird", "machine", "bird") for part in ("--sense", sense)]
    _, text, _ = run(*asked, *senses)
    assert "cannot be told: it takes two or more contexts in each of two senses" in text
    assert "eparation" not in text
    assert json.loads(run(*asked, *senses, "--json")[1])["separation"] is None
    refused(run(*asked, *senses[:4]), "2 senses for 3 contexts")
    more = ("--text", "the crane", "--sense", "machine")
    apart = json.loads(run(*asked, *senses, *more, "--json")[1])["separation"]
    assert apart["difference"] == pytest.approx(apart["within"] - apart["between"])
    assert f"Sense separation {apart['difference']:+.2f}" in run(*asked, *senses, *more)[1]
    refused(run(*asked[:7]), "two or more texts")


def test_classify(run: Run, pretrained: Path, classifier: Path) -> None:
    pair = ("--premise", "a man is sleeping", "--hypothesis", "a man is flying")
    code, text, err = run("classify", "--model", classifier, *pair, "--json")
    assert (code, err) == (0, "")
    result = json.loads(text)
    assert list(result) == ["label", "probabilities"]
    assert tuple(result["probabilities"]) == LABELS
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    code, text, _ = run("classify", "--model", classifier, *pair)
    assert code == 0
    assert text.startswith(f"The verdict is {result['label']}.\n")
    refused(run("classify", "--model", pretrained, *pair), "fine-tune it first")


def test_fill_mask(run: Run, pretrained: Path, classifier: Path) -> None:
    asked = ("fill-mask", "--model", pretrained, "--text", "a <mask> is [MASK] krane")
    code, text, err = run(*asked, "--json", "--top", 2)
    assert code == 0
    assert err == "Note: 'krane' is unknown to this model, which reads <unk> instead.\n"
    blanks = json.loads(text)["masks"]
    assert [len(blank) for blank in blanks] == [2, 2]
    code, text, _ = run(*asked)
    assert code == 0
    assert text.splitlines()[1].split() == [
        blanks[0][0]["token"],
        f"{blanks[0][0]['probability']:.4f}",
    ]
    assert "Blank 2:" in text
    refused(run("fill-mask", "--model", pretrained, "--text", "a crane"), "write <mask>")
    refused(run(*asked, "--top", 0), "top is 0")
    refused(run("fill-mask", "--model", classifier, "--text", "<mask>"), "cannot fill")


@pytest.mark.parametrize("text", ["", "  \t\n", "\x00"])
def test_empty_text_gets_a_sentence(
    text: str, run: Run, pretrained: Path, classifier: Path
) -> None:
    refused(run("encode", "--model", pretrained, "--text", text), "empty")
    refused(run("encode", "--model", pretrained, "--text", "a", "--pair", text), "empty")
    refused(run("fill-mask", "--model", pretrained, "--text", text), "empty")
    pair = ("--premise", text, "--hypothesis", "a man")
    refused(run("classify", "--model", classifier, *pair), "empty")
    refused(
        run("compare", "--model", pretrained, "--word", text, "--text", "a", "--text", "b"),
        "word",
    )


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d🔬 🏗️",
        "İstanbul'da ığüşöç",
        "起重机在飞",
        "두루미가 난다",
        "a\x1b[31mcrane\x07",
        "crane \udce9\ud83d",
        "\u202eenarc",
    ],
)
def test_any_text_is_answered(text: str, run: Run, pretrained: Path, classifier: Path) -> None:
    for extra in ([], ["--json"]):
        results = [
            run("encode", "--model", pretrained, "--text", text, *extra),
            run("fill-mask", "--model", pretrained, "--text", f"<mask> {text}", *extra),
            run("classify", "--model", classifier, "--premise", text, "--hypothesis", text, *extra),
        ]
        for code, out, err in results:
            assert code == 0
            assert "\x1b" not in out + err
            (out + err).encode()  # no lone surrogate is left
            if extra:
                assert out.isascii()
                json.loads(out)


def test_a_terminal_without_unicode_can_show_everything(pretrained: Path) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "bert_demo",
            "encode",
            "--model",
            str(pretrained),
            "--text",
            "鹤 飞",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    assert rb"\u9e64" in result.stdout


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_broken_checkpoint_gets_a_sentence(name: str, run: Run, tmp_path: Path) -> None:
    folder = saved(tmp_path / "broken", "pretraining")
    asked = ("encode", "--model", folder, "--text", "a crane")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    refused(run(*asked))
    (folder / name).unlink()
    refused(run(*asked), name)
    refused(run("encode", "--model", tmp_path / "no", "--text", "a"), "no folder")
