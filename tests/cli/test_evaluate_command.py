"""`evaluate` as a shell calls it, on splits and on files of people's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command_line import Run, refused

import bert_demo
from bert_demo.config import LABELS
from bert_demo.model.checkpoint import read_config


def test_evaluate_scores_a_pretrained_model_on_a_whole_split(run: Run, trained: Path) -> None:
    asked = ("evaluate", "--model", trained, "--text")
    code, text, err = run(*asked, "crane-world:validation", "--json")
    assert (code, err) == (0, "")
    found, kept = json.loads(text), read_config(trained)["about"]
    # The same pairs and masks as at the end of its run, which may have been in bf16.
    assert found["n"] == kept["scores"]["n"] == kept["facts"]["validation_examples"]
    assert found["mlm_loss"] == pytest.approx(kept["scores"]["mlm_loss"], abs=0.02)
    assert found["baselines"] == kept["facts"]["baselines"]
    code, text, _ = run(*asked, "crane-world")
    assert f"masked-LM loss {found['mlm_loss']:.3f} ± " in text
    assert f"always the same answer {found['constant_accuracy']:.3f}" in text
    assert "guessing by word frequency on held-out text" in text
    assert run(*asked, "crane-world:test", "--json")[1] != json.dumps(found)
    refused(run(*asked, "snli"), "corpus is 'snli'")
    refused(run(*asked[:-1], "--data", "crane-world", "--text", "crane-world"), "not allowed")


def test_evaluate_scores_a_model_that_came_without_a_run(run: Run, pretrained: Path) -> None:
    code, text, _ = run("evaluate", "--model", pretrained, "--text", "crane-world", "--json")
    assert code == 0 and json.loads(text)["n"] == 1554


def test_evaluate_asks_a_classifier_no_blanks(run: Run, classifier: Path) -> None:
    asked = ("evaluate", "--model", classifier, "--text", "crane-world")
    refused(run(*asked), "guesses no masked words")


def test_evaluate_reads_peoples_own_files(run: Run, classifier: Path, tmp_path: Path) -> None:
    rows = [("a man is sleeping", "nobody is sleeping", "contradiction"), ("a man", "a man", "0")]
    tsv = tmp_path / "pairs.tsv"
    lines = ["premise\thypothesis\tlabel", *("\t".join(row) for row in rows)]
    tsv.write_text("\n".join(lines), encoding="utf-8")
    jsonl = tmp_path / "pairs.jsonl"
    names = ("premise", "hypothesis", "label")
    jsonl.write_text(
        "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows),
        encoding="utf-8",
    )
    results = []
    for file in (tsv, jsonl):
        code, text, _ = run("evaluate", "--model", classifier, "--data", file, "--json")
        assert code == 0
        results.append(json.loads(text))
    assert results[0]["n"] == results[1]["n"] == 2
    assert results[0]["confusion"] == results[1]["confusion"]
    model, tokenizer, _ = bert_demo.load(classifier)
    verdicts = [bert_demo.classify(model, tokenizer, *row[:2]).label for row in rows]
    hits = (verdicts[0] == "contradiction") + (verdicts[1] == "entailment")
    assert results[0]["accuracy"] == hits / 2


def test_evaluate_says_where_a_judge_fails(run: Run, classifier: Path, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    rows = [
        "a man is sleeping,nobody is sleeping,contradiction,negation",
        "two dogs,three dogs,contradiction,numbers",
        "a man,a man,entailment,plain",
    ]
    table.write_text("\n".join(["premise,hypothesis,label,Kind", *rows]), encoding="utf-8")
    asked = ("evaluate", "--model", classifier, "--data", table, "--details")
    code, text, _ = run(*asked, "--json")
    found = json.loads(text)
    assert code == 0 and found["n"] == 3
    kinds = found["slices"]["kind"]
    assert [(part["name"], part["n"]) for part in kinds] == [
        ("negation", 1),
        ("numbers", 1),
        ("plain", 1),
    ]
    behind = {(cell["label"], cell["verdict"]): cell["pairs"] for cell in found["cells"]}
    for i, label in enumerate(LABELS):
        for j, verdict in enumerate(LABELS):
            assert len(behind[label, verdict]) == found["confusion"][i][j]
    assert {pair["kind"] for cell in behind.values() for pair in cell} == {
        "negation",
        "numbers",
        "plain",
    }
    assert sum(part["n"] for part in found["calibration"]) == 3
    code, text, _ = run(*asked)
    assert code == 0
    for words in ("By kind:", "By negation:", "in the hypothesis alone", "How sure it is"):
        assert words in text
    code, text, _ = run(*asked[:3], "--data", "crane-world:validation", "--details")
    assert code == 0 and "Crane World, validation (built in)." in text and "By kind" not in text
    refused(run("evaluate", "--model", classifier, "--text", "crane-world", "--details"), "--data")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("premise\tlabel\na man\t0\n", "hypothesis"),
        ("premise\thypothesis\tlabel\na man\ta man\tmaybe\n", "maybe"),
        ("", ""),
        ("<html><body>404</body></html>", ""),
    ],
)
def test_evaluate_refuses_a_wrong_file(
    text: str, words: str, run: Run, classifier: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text(text, encoding="utf-8")
    refused(run("evaluate", "--model", classifier, "--data", file), words)


def test_evaluate_refuses_what_is_not_there(
    run: Run, pretrained: Path, classifier: Path, tmp_path: Path
) -> None:
    asked = ("evaluate", "--model", classifier, "--data")
    refused(run(*asked, tmp_path / "no.tsv"), "no.tsv")
    refused(run(*asked, tmp_path), str(tmp_path))
    refused(run(*asked, "crane-world:dev"), "dev")
    refused(run(*asked, "crane-world", "--device", "abacus"), "abacus")
    refused(run("evaluate", "--model", pretrained, "--data", "crane-world"), "fine-tune it first")
