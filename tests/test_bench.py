"""What the measurements rest on: arithmetic, padding for the peer, sections, the picture."""

from __future__ import annotations

import itertools
import operator
import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import bert_demo
from bench import hostile_input, logic, machine, plot
from bench.limit import asked_tokens, needed_operations
from bench.results import write_section
from bench.transformers_baseline import held_out_sums, padded_parts, peer_model
from bert_demo.config import LABELS, BertConfig
from bert_demo.data.batches import TrainingBatch
from bert_demo.data.logic.pairs import logic_pairs
from bert_demo.data.packing import packed_batch
from bert_demo.ui.api import NAMES

# Two pairs, of 4 and 6 tokens; the longer was drawn first. Masked: 3 tokens of the shorter, 1.
LENGTHS = np.array([4, 6])
BATCH = TrainingBatch(
    packed_batch(
        input_ids=np.array([3, 7, 4, 4, 3, 8, 2, 4, 9, 4]),
        token_type_ids=np.array([0, 0, 0, 1, 0, 0, 0, 0, 1, 1]),
        lengths=LENGTHS,
        order=np.array([1, 0]),
    ),
    labels=torch.tensor([0, 1]),
    mlm_positions=torch.tensor([1, 2, 3, 6]),
    mlm_labels=torch.tensor([7, 6, 5, 9]),
)
SMALL = BertConfig(
    vocab_size=10,
    hidden_size=4,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=8,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def test_every_endpoint_is_called_in_hostile_ways() -> None:
    assert set(hostile_input.HONEST) == set(NAMES)


def test_operations_by_hand() -> None:
    """H = 4, I = 8, V = 10; 10 tokens; <cls> and 3 tokens of one pair are read, <cls> and 1."""
    asked = asked_tokens(BATCH)
    assert asked.tolist() == [4, 2]
    first = 10 * (64 + 64)  # four 4 x 4 matrices and two 4 x 8 ones, for each token
    first += (16 + 36) * 4 * 2  # each token times each key and each value of its pair
    last = 10 * 32  # keys and values of all
    last += 6 * (32 + 64)  # queries, output and feed-forward net of the 6 that are read
    last += (4 * 4 + 2 * 6) * 4 * 2
    heads = 2 * (16 + 4 * 2) + 4 * (16 + 40)
    operations = needed_operations(SMALL, LENGTHS, asked, 4, 2)
    assert operations == 6 * (first + last + heads)


def test_padding_for_the_peer_loses_nothing() -> None:
    (part,) = padded_parts(BATCH, pad_id=1, size=2)
    # In the order drawn: the longer pair comes first again.
    assert part["input_ids"].tolist() == [[3, 8, 2, 4, 9, 4], [3, 7, 4, 4, 1, 1]]
    assert part["attention_mask"].sum(1).tolist() == [6, 4]
    assert part["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 0]]
    x = -100
    assert part["labels"].tolist() == [[x, x, 9, x, x, x], [x, 7, 6, 5, x, x]]
    assert part["next_sentence_label"].tolist() == [0, 1]
    parts = list(padded_parts(BATCH, pad_id=1, size=1))
    assert [one["input_ids"].shape for one in parts] == [(1, 6), (1, 4)]


def test_the_peer_is_judged_by_its_own_loss() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what transformers imports is not ours to mend
        model = peer_model(SMALL).eval()
    (part,) = padded_parts(BATCH, pad_id=1, size=2)
    loss, positions, right, pairs = held_out_sums(model, [part])
    with torch.no_grad():
        said: Any = model(**part)
    judged = torch.nn.functional.cross_entropy(
        said.seq_relationship_logits, part["next_sentence_label"]
    )
    assert (positions, pairs) == (4, 2)
    assert loss / positions == pytest.approx(float(said.loss - judged), rel=1e-5)
    verdicts = said.seq_relationship_logits.argmax(1)
    assert right == int((verdicts == part["next_sentence_label"]).sum())


def test_a_section_replaces_its_own_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nIntro.\n\n## One\n\nold\n\n## Two\n\nkept\n", encoding="utf-8")
    write_section("One", ["new", "", "| a |"], path)
    write_section("Three", ["last"], path)
    text = "# Results\n\nIntro.\n\n## One\n\nnew\n\n| a |\n\n## Two\n\nkept\n\n## Three\n\nlast\n"
    assert path.read_text(encoding="utf-8") == text
    write_section("Three", ["last"], path)
    assert path.read_text(encoding="utf-8") == text


def test_pairs_of_logic_are_counted_by_kind() -> None:
    texts = logic_pairs(120, seed=1)
    found = logic.right_by_kind(logic.BUNDLED, texts)
    assert list(found)[-1] == "all" and found["all"][1] == 120
    *kinds, (right, count) = found.values()
    assert (sum(hits for hits, _ in kinds), sum(n for _, n in kinds)) == (right, count)
    model, tokenizer, _ = bert_demo.load(logic.BUNDLED)
    rows = zip(texts.premises.to_pylist(), texts.hypotheses.to_pylist(), strict=True)
    said = [bert_demo.classify(model, tokenizer, *row).label for row in rows]
    truth = [LABELS[label] for label in texts.labels]
    assert sum(map(operator.eq, said, truth)) == right > 100


def test_the_picture_is_svg_with_every_name_once() -> None:
    curves = {"one < two": [(1.0, 9.0), (60.0, 6.1)], "three": [(2.0, 7.0), (60.0, 6.11)]}
    root = ElementTree.fromstring(plot.lines_svg("T", "s", "nats", curves, (6.7, "guessing")))
    words = {node.text: float(node.get("y", 0)) for node in root.iter() if node.tag[-4:] == "text"}
    ends = ["one < two: 6.10", "three: 6.11", "guessing"]
    assert {"T", "s", "nats", *ends} <= set(words)
    heights = sorted(words[end] for end in ends)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 15
    lines = [node for node in root.iter() if node.tag.endswith("polyline")]
    assert len({line.get("stroke") for line in lines}) == 2


def test_a_program_is_ended_when_it_has_said_enough() -> None:
    script = "import time\nprint('one', flush=True)\nprint('two', flush=True)\ntime.sleep(100)"
    done = machine.run_program([sys.executable, "-c", script], {}, until=lambda said: len(said) > 1)
    assert done.lines == ["one\n", "two\n"]
    assert done.seconds < 60
    assert done.peak_rss_bytes > 1e6
    with pytest.raises(RuntimeError, match="exit code 3"):
        machine.run_program([sys.executable, "-c", "raise SystemExit(3)"], {})
