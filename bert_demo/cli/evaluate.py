"""The command `evaluate`: a checkpoint's scores on labelled pairs, or on text."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bert_demo.cli import failures
from bert_demo.cli.output import answer, certainty, scored, table, to_beat
from bert_demo.cli.parser import NUMBERS, TRAPS
from bert_demo.cli.training import named_corpus, pair_columns
from bert_demo.common.corpus_names import NLI_CORPORA, PRETRAINING_CORPORA, own_task
from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, TrainingConfig
from bert_demo.data.corpora import SPLITS, corpus_spec
from bert_demo.data.prepare import TokenizedNli, prepare_nli, tokenize_nli
from bert_demo.data.readers import nli_texts
from bert_demo.data.snli import NliTexts, read_pairs_file
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.data.traps.pairs import trap_pairs
from bert_demo.inference import evaluation
from bert_demo.inference.failures import find_failures
from bert_demo.model.about import read_about
from bert_demo.model.bert import BertModel
from bert_demo.model.checkpoint import load, read_config
from bert_demo.model.device import pick_device
from bert_demo.training.validation import evaluate_text


def evaluate_command(flags: Namespace) -> int:
    """Score a classifier, or a pretrained model."""
    device = pick_device(flags.device)
    model, tokenizer, _ = load(Path(flags.model))
    if flags.text is not None:
        if flags.details:
            raise UserError("--details are of labelled pairs, so they go with --data.")
        return _evaluate_text(flags, model.to(device), tokenizer)
    value, more = {}, []
    if flags.details or flags.data == TRAPS:
        texts, source, remarks = _labelled_texts(flags.data, flags.column or ())
        details = find_failures(model.to(device), tokenizer, texts)
        found = details.scores
        value, more = failures.plain(details), failures.lines(details)
    else:
        data, source, remarks = _labelled_pairs(flags.data, flags.column or (), tokenizer)
        found = evaluation.evaluate(model.to(device), tokenizer, data)
    rows = [["true, then judged", *LABELS]]
    for label, counts in zip(LABELS, found.confusion, strict=True):
        rows.append([label, *(f"{count:,}" for count in counts)])
    accuracy = (
        f"Accuracy {found.accuracy:.4f} on {found.n:,} pairs "
        f"({found.left_out:,} without a label left out), "
        f"{found.examples_per_second:,.0f} examples/s."
    )
    alone = f"With every premise left empty: {found.hypothesis_only_accuracy:.4f}."
    lines = [source, accuracy, alone, *certainty(asdict(found)), table(rows), *more]
    return answer(flags, asdict(found) | value, lines, remarks)


def _evaluate_text(flags: Namespace, model: BertModel, tokenizer: Tokenizer) -> int:
    if model.task != "pretraining":
        raise UserError(
            "{model} guesses no masked words; --text is for pretrained models, --data for those "
            "that were fine-tuned.",
            model=flags.model,
        )
    run = read_about(read_config(Path(flags.model))).run
    training = TrainingConfig(steps=1) if run is None else run.training
    name, split = _text_and_split(flags.text, flags.column or ())
    scores, baselines, report = evaluate_text(model, tokenizer, name, split, training)
    lines = [report.sentence(), f"On {scores['n']:,} pairs: {scored(scores)}.", to_beat(baselines)]
    return answer(flags, {**scores, "baselines": baselines}, lines)


def _text_and_split(text: str, columns: Sequence[str]) -> tuple[str, str]:
    """The name and the split of "wikitext-2:validation", of "FILE:test", or of either alone."""
    name, _, split = text.rpartition(":")
    named = name in PRETRAINING_CORPORA or own_task(name) or split in SPLITS
    if Path(text).exists() or not name or not named:
        name, split = text, "validation"
    return named_corpus([name], "pretraining", columns), split


def _labelled_pairs(
    data: str, columns: Sequence[str], tokenizer: Tokenizer
) -> tuple[TokenizedNli, str, list[str]]:
    """`data` is a corpus and split, or a file; with a sentence on its source, and remarks."""
    name, split = _corpus_and_split(data)
    if name in NLI_CORPORA or own_task(name) == "nli":
        pairs, report = prepare_nli(name, split, tokenizer)
        return pairs, report.sentence(), []
    texts, source, remarks = _labelled_texts(data, columns)
    return tokenize_nli(texts, tokenizer), source, remarks


def _corpus_and_split(data: str) -> tuple[str, str]:
    """The parts of NAME:SPLIT; without a split it is the test split."""
    if own_task(data) is not None:
        return data, "test"
    name, _, split = data.rpartition(":")
    return (name, split or "test") if name else (data, "test")


def _labelled_texts(data: str, columns: Sequence[str]) -> tuple[NliTexts, str, list[str]]:
    """The same as people wrote them."""
    if data == TRAPS:
        texts = trap_pairs()
        return texts, f"{len(texts):,} trap pairs by kind, after HANS; none was trained on.", []
    name, split = _corpus_and_split(data)
    if name in NLI_CORPORA or own_task(name) == "nli":
        texts, where = nli_texts(name, split)
        return texts, f"{corpus_spec(name).title}, {split} ({where}).", []
    texts = read_pairs_file(data, pair_columns(columns))
    remarks = [f"The numbers of {data} were read as labels: {NUMBERS}."] if texts.numbered else []
    return texts, f"Labelled pairs of {data}.", remarks
