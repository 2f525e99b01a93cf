"""What a run needs before its first step: model, data, device, and what they promise."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, BertConfig, RunConfig, TrainingConfig
from bert_demo.data import interruption
from bert_demo.data.logic.mixed import with_edited, with_logic
from bert_demo.data.masking import Masking
from bert_demo.data.nli_batches import NliBatches
from bert_demo.data.prepare import TokenizedNli, TokenizedText, prepare_nli, prepare_text
from bert_demo.data.pretraining_batches import PretrainingBatches
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.data.word_vectors import counted_vectors
from bert_demo.model import checkpoint, dropout, fast_paths
from bert_demo.model.about import Beginning, read_about
from bert_demo.model.beginning import (
    Statistics,
    log_frequencies,
    pretraining_model,
    shared_weights,
)
from bert_demo.model.bert import BertModel
from bert_demo.model.device import fast_bf16, pick_device
from bert_demo.training.distillation import taught_pairs
from bert_demo.training.distributed import World
from bert_demo.training.events import Facts, Origin, SwitchedOff
from bert_demo.training.layer_trial import try_layer
from bert_demo.training.schedule import budget_steps

# Validation draws its pairs and masks from a seed of its own: the same for every run.
_VALIDATION_SEED = 12345
_VALIDATION_BATCH = 256


@dataclass(frozen=True)
class _Material:
    """What a task brings: which model learns from what, on the CPU."""

    model: BertModel
    tokenizer: Tokenizer
    batches: PretrainingBatches | NliBatches
    validation: PretrainingBatches | NliBatches
    source: str
    baselines: dict[str, float]
    """As in `Facts`."""
    test: TokenizedNli | None = None
    origin: Origin = field(default_factory=lambda: Origin())
    beginning: Beginning | None = None
    statistics: Statistics | None = None


@dataclass(frozen=True)
class Setup:
    """A run ready for its first step."""

    model: BertModel
    tokenizer: Tokenizer
    batches: PretrainingBatches | NliBatches
    validation: PretrainingBatches | NliBatches
    test: TokenizedNli | None
    """What a finished classifier is scored on, once."""
    device: torch.device
    precision: str
    facts: Facts
    beginning: Beginning | None
    """How the model's first weights came about; None if it was not this project that drew them."""
    statistics: Statistics | None
    """Of the first training text, which the model was primed with."""

    @property
    def task(self) -> str:
        """What the model is trained for."""
        return self.model.task

    def autocast(self) -> AbstractContextManager[Any]:
        """Matrix products in bf16 where that was chosen; sums and weights stay fp32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def prepare_run(run: RunConfig, world: World) -> Setup:
    """Gather everything; raises `UserError` where something is not right, or `Interrupted`."""
    interruption.check()
    shards = world.size * run.training.gradient_accumulation_steps
    if run.training.batch_size < shards:
        raise UserError(
            "batch_size is {value}; split into {parts} parts it must be at least {parts}.",
            value=run.training.batch_size,
            parts=shards,
        )
    device = pick_device(run.training.device)
    if device.type == "cuda" and world.size > 1:
        device = torch.device("cuda", world.local_rank)
    precision = run.training.precision
    if precision == "auto":
        precision = "bf16" if fast_bf16(device) else "fp32"
    elif not fast_paths.serves(fast_paths.BF16, device):
        precision = "fp32"
    dropout.seed_noise(run.training.seed)  # the weights that a new model starts with
    prepare = _prepare_pretraining if run.task == "pretraining" else _prepare_nli
    found = prepare(run)
    run.training.check_length(found.model.config)
    interruption.check()
    found.model.to(device)
    if precision == "bf16":
        try_layer(found.model.config, device)
    # With "auto" what was left for this device is told of too.
    off = fast_paths.switched_off(None if run.training.device == "auto" else device)
    switched_off: SwitchedOff = {"switched_off": off} if off else {}
    facts: Facts = {
        "task": run.task,
        "corpus": run.corpus,
        "vocab_size": found.tokenizer.vocab_size,
        "parameters": sum(p.numel() for p in found.model.parameters()),
        "device": str(device),
        "precision": precision,
        "processes": world.size,
        "train_examples": len(found.batches),
        "validation_examples": len(found.validation),
        "truncated": found.batches.truncated,
        "dropped": found.batches.dropped,
        "steps": budget_steps(run.training, len(found.batches)),
        "budget_seconds": run.training.budget_seconds,
        "source": found.source,
        **found.origin,
        **switched_off,
        "baselines": found.baselines,
    }
    return Setup(
        found.model,
        found.tokenizer,
        found.batches,
        found.validation,
        found.test,
        device,
        precision,
        facts,
        found.beginning,
        found.statistics,
    )


def pretraining_baselines(
    frequencies: npt.NDArray[np.float64], text: TokenizedText, held_out: TokenizedText
) -> dict[str, float]:
    """Losses of who knows nothing of context, by the names in `metrics.BASELINES`.

    frequencies: (V,), those of the training `text`, by `log_frequencies`.
    """
    return {
        "uniform": math.log(len(frequencies)),
        "unigram": unigram_loss(frequencies, held_out),
        "unigram_train": unigram_loss(frequencies, text),
        "coin": math.log(2),
    }


def unigram_loss(frequencies: npt.NDArray[np.float64], text: TokenizedText) -> float:
    """Masked-LM loss (nats) on `text` of guessing by word frequency: what a model has to beat to
    have learnt anything from context. `frequencies` are the training text's `log_frequencies`."""
    asked = np.bincount(text.token_ids, minlength=len(frequencies))
    return float(-(asked * frequencies).sum() / asked.sum())


def _prepare_pretraining(run: RunConfig) -> _Material:
    given = None if run.start_from is None else checkpoint.load(Path(run.start_from))
    text, tokenizer, report = prepare_text(
        run.corpus,
        "train",
        tokenizer=None if given is None else given.tokenizer,
        vocabulary=run.vocabulary,
        vocab_size=run.wordpieces,
    )
    held_out, _, _ = prepare_text(run.corpus, "validation", tokenizer=tokenizer)
    counts = np.bincount(text.token_ids, minlength=tokenizer.vocab_size)
    frequencies = log_frequencies(counts)
    primed = run.training.recipe == "recommended"
    interruption.check()
    statistics = None
    if given is None:
        config = run.model_config(tokenizer.vocab_size)
        if run.counts_words:
            vectors = counted_vectors(text, counts, config.hidden_size)
            statistics = Statistics(counts, vectors)
        elif primed:
            statistics = Statistics(counts)
        model = pretraining_model(config, primed, statistics)
    elif given.model.task == "pretraining":
        model = given.model
    elif given.model.task == "encoder":
        model = BertModel(given.config)  # with heads, which are new
        model.load_state_dict(given.model.state_dict(), strict=False)
    else:
        raise UserError(
            "{model} is fine-tuned and has no masked-LM head; go on pretraining from a "
            "pretrained checkpoint.",
            model=run.start_from,
        )
    began = _beginning_of(run.start_from)
    if began is None:
        began = Beginning(run.training.seed, primed), statistics
    baselines = pretraining_baselines(frequencies, text, held_out)
    batches = training_batches(run, text, tokenizer)
    validation = held_out_batches(held_out, tokenizer, run.training)
    return _Material(
        model,
        tokenizer,
        batches,
        validation,
        report.sentence(),
        baselines,
        origin={"padded": True} if run.padded_guesses else {},
        beginning=began[0],
        statistics=began[1],
    )


def _prepare_nli(run: RunConfig) -> _Material:
    assert run.start_from is not None
    given = checkpoint.load(Path(run.start_from))
    tokenizer = given.tokenizer
    model = BertModel(_fine_tuning_config(run, given.config), task="nli")
    # The heads of the other task stay behind; a classifier of an earlier fine-tuning is kept.
    model.load_state_dict(shared_weights(given.model, model), strict=False)
    began = _beginning_of(run.start_from)
    beginning, statistics = (None, None) if began is None else began
    if beginning is not None and given.model.task == "pretraining":
        beginning = replace(beginning, classifier_seed=run.training.seed)
    if run.teacher is None:
        data, report = prepare_nli(run.corpus, "train", tokenizer)
    else:
        device = pick_device(run.training.device)
        data, report = taught_pairs(run.corpus, tokenizer, Path(run.teacher), run.new_pairs, device)
    if run.logic_pairs:
        data, report = with_logic((data, report), run.logic_pairs, tokenizer)
    if run.edited_pairs:
        data, report = with_edited((data, report), run.corpus, run.edited_pairs, tokenizer)
    held_out, _ = prepare_nli(run.corpus, "validation", tokenizer)
    test, _ = prepare_nli(run.corpus, "test", tokenizer)
    baselines = {"uniform": math.log(len(LABELS)), "chance": 1 / len(LABELS)}
    origin: Origin = {
        "left_out": data.left_out,
        "started_from": run.start_from,
        "taught": run.teacher is not None,
    }
    batches = NliBatches(data, tokenizer, **_batch_settings(run.training))
    validation = NliBatches(held_out, tokenizer, **_validation_settings(run.training))
    source = report.sentence()
    return _Material(
        model,
        tokenizer,
        batches,
        validation,
        source,
        baselines,
        test,
        origin,
        beginning,
        statistics,
    )


def _beginning_of(
    start_from: str | None,
) -> tuple[Beginning | None, Statistics | None] | None:
    """What a run's starting point says of its own first weights; None for a new model."""
    if start_from is None:
        return None
    about = read_about(checkpoint.read_config(start_from))
    return about.beginning, checkpoint.statistics(start_from)


def _fine_tuning_config(run: RunConfig, config: BertConfig) -> BertConfig:
    """Fine-tuning sees its pairs several times, so it drops 0.1 as the book and BERT do."""
    rate = 0.1 if run.dropout is None else run.dropout
    return replace(config, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)


def training_batches(
    run: RunConfig, text: TokenizedText, tokenizer: Tokenizer
) -> PretrainingBatches:
    """What a pretraining run learns from, batch after batch."""
    return PretrainingBatches(
        text,
        tokenizer,
        corpora=text.corpus_offsets,
        masking=Masking(run.mask_share, run.mask_replaced, run.mask_random, run.padded_guesses),
        static=run.masking == "static",
        **_batch_settings(run.training),
    )


def held_out_batches(
    text: TokenizedText, tokenizer: Tokenizer, training: TrainingConfig
) -> PretrainingBatches:
    """Text that a model is not trained on, in the batches that `validate` asks for."""
    settings = _validation_settings(training)
    return PretrainingBatches(text, tokenizer, corpora=text.corpus_offsets, **settings)


def _batch_settings(training: TrainingConfig) -> dict[str, Any]:
    return {
        "batch_size": training.batch_size,
        "max_length": training.max_length,
        "truncation": training.truncation,
        "seed": training.seed,
    }


def _validation_settings(training: TrainingConfig) -> dict[str, Any]:
    return _batch_settings(training) | {"batch_size": _VALIDATION_BATCH, "seed": _VALIDATION_SEED}
