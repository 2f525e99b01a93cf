"""Questions that somebody asks in a run's film: what can be asked, and that it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import bert_demo
from bert_demo.cli.parser import main
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig, model_config
from bert_demo.data.prepare import prepare_text
from bert_demo.inference.senses import sense_separation
from bert_demo.model.bert import BertModel
from bert_demo.model.folders import METRICS, RUN
from bert_demo.runs.asked import Questions, asked_lines, read_questions
from bert_demo.runs.film import film_frame
from bert_demo.runs.store import RunStore
from bert_demo.runs.worker import work
from bert_demo.training.events import read_event

CRANES = (
    *("the crane flew over the marsh", "The crane, hungry, ate a fish."),
    *("the crane lifts steel", "a crane, red, swings"),
)
SENSES = ("bird", "bird", "machine", "machine")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"blanks": ["no gap"]}, "no blank"),
        ({"blanks": ["a ___ and a [MASK]"]}, "2 blanks"),
        ({"blanks": ["<mask>"]}, "words beside"),
        ({"blanks": [f"{i} is ___" for i in range(9)]}, "9 questions are too many"),
        ({"blanks": ["a ___" + " very" * 50]}, "too long"),
        ({"blanks": "a ___"}, "must be text"),
        ({"blanks": ["a ___", None]}, "must be text"),
        ({"blank": ["a ___"]}, "these parts"),
        ({"contexts": CRANES}, "needs the word"),
        ({"word": "crane", "contexts": CRANES[:2]}, "has 2 texts"),
        ({"word": "crane", "contexts": CRANES * 7}, "has 28 texts"),
        ({"word": "crane", "contexts": CRANES, "senses": ["bird"]}, "1 senses do not fit 4"),
        ({"word": "crane", "contexts": CRANES, "senses": ["x", "", "", ""]}, "1 senses do not"),
        ({"word": "crane", "contexts": [*CRANES, "two cranes"]}, "is not in 'two cranes'"),
    ],
)
def test_what_cannot_be_asked_is_said(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read_questions(given)


def test_questions_as_they_are_typed() -> None:
    asked = asked_lines(" a  ____ flies \n\n[MASK] is\ta bird\n", "Crane", "\n".join(CRANES))
    assert asked.blanks == ("a <mask> flies", "<mask> is a bird")
    assert asked.contexts == CRANES and asked.senses == ("",) * 4
    named = asked_lines("", "crane", "\n".join(map(" | ".join, zip(CRANES, SENSES, strict=True))))
    assert named == Questions((), "crane", CRANES, SENSES)
    assert read_questions(json.loads(json.dumps(named.to_dict()))) == named
    assert not asked_lines(" \n", "", "") and not read_questions({})
    assert asked_lines("", "鹤", "鹤在飞\n白鹤很美\n一只鹤").contexts[0] == "鹤在飞"


@pytest.mark.parametrize("vocabulary", ["word", "wordpiece"])
def test_a_frame_answers_them_first(vocabulary: str) -> None:
    _, tokenizer, _ = prepare_text("crane-world", vocabulary=vocabulary, vocab_size=1000)
    torch.manual_seed(0)
    model = BertModel(model_config("tiny", "recommended", tokenizer.vocab_size, hidden_size=32))
    asked = Questions(("the crane stood on one ___", "\u2603 is a ___"), "crane", CRANES, SENSES)
    frame = film_frame(model, tokenizer, questions=asked)
    assert [blank["text"] for blank in frame["blanks"]][:2] == [*asked.blanks]
    assert len(frame["blanks"]) == 8 and frame["unknown"] == ["\u2603"]
    for blank in frame["blanks"][:2]:
        (expected,) = bert_demo.fill_mask(model, tokenizer, blank["text"])
        assert [p for _, p in blank["words"]] == pytest.approx([p for _, p in expected], abs=6e-4)
    found = frame["similarities"]
    assert (found["word"], found["labels"], found["senses"]) == ("crane", [*CRANES], [*SENSES])
    compared = bert_demo.compare(model, tokenizer, "crane", CRANES)
    torch.testing.assert_close(torch.tensor(found["matrix"]), compared.centred, atol=6e-3, rtol=0)
    told = sense_separation(compared.vectors, SENSES)
    assert frame["separation"] == pytest.approx(told.difference, abs=1e-3)
    assert read_event(json.dumps({"event": "probe", "step": 1, "seconds": 1.0, **frame}).encode())

    plain = film_frame(model, tokenizer, questions=Questions((), "crane", CRANES))
    assert "separation" not in plain and "unknown" not in plain
    assert plain["blanks"] == film_frame(model, tokenizer)["blanks"]


def test_a_model_that_reads_too_little_says_so() -> None:
    _, tokenizer, _ = prepare_text("crane-world")
    config = model_config(
        "tiny", "d2l", tokenizer.vocab_size, hidden_size=8, max_position_embeddings=20
    )
    late = "the crane " * 12 + "___"
    frame = film_frame(BertModel(config), tokenizer, questions=Questions((late, "a ___ flies")))
    assert frame["unasked"] == [late.replace("___", "<mask>")]
    assert frame["blanks"][0]["text"] == "a <mask> flies"


def test_a_run_keeps_its_questions_and_answers_them(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    asked = Questions(("the crane stood on one ___",))
    config = RunConfig(
        hidden_size=8, num_hidden_layers=1, training=TrainingConfig(steps=2, batch_size=8)
    )
    run = store.create(config, "anna", questions=asked)
    assert store.get(run.id).questions == asked
    told: list[dict[str, Any]] = []
    work(tmp_path, run.id, lambda: False, told.append)
    assert told[-1]["state"] == "completed", told
    events = map(json.loads, (run.model / METRICS).read_text().splitlines())
    frames = [event for event in events if event["event"] == "probe"]
    assert frames and all(f["blanks"][0]["text"] == asked.blanks[0] for f in frames)

    facts = json.loads((run.folder / RUN).read_text())
    (run.folder / RUN).write_text(json.dumps(facts | {"questions": {"blanks": ["no gap"]}}))
    assert not store.get(run.id).questions, "the run is there all the same"


def test_the_command_line_prints_the_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["--steps", "2", "--batch-size", "8", "--hidden-size", "8"]
    contexts = [word for text in CRANES[:3] for word in ("--ask-context", text)]
    asked = ["--ask", "a \u2603 is ___", "--ask-word", "crane", *contexts]
    assert main(["pretrain", *size, "--out", str(tmp_path / "run"), *asked]) == 0
    out, err = capsys.readouterr()
    assert "a \u2603 is <mask>: " in out and "3 times 'crane':" in out
    assert "does not know \u2603" in err
    assert main(["pretrain", *size, "--out", str(tmp_path / "no"), "--ask", "no gap"]) == 2
    assert "has no blank" in capsys.readouterr().err and not (tmp_path / "no").exists()
