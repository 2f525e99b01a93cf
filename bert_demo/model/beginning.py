"""The weights that a model's training began with: drawn by a seed, and made by its recipe.

A checkpoint keeps what it takes to make them again: the `Beginning` in its config.json and, beside
the weights, the statistics of a text that it was primed with. V: vocabulary, H: hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.config import BertConfig
from bert_demo.data.word_vectors import LEVELS
from bert_demo.model import dropout
from bert_demo.model.about import Beginning
from bert_demo.model.bert import BertModel, waves


@dataclass(frozen=True)
class Statistics:
    """What is counted of a training text before the first step."""

    counts: npt.NDArray[np.int64]
    """(V,): how often it has each token."""
    vectors: npt.NDArray[np.int8] | None = None
    """(V, H): `bert_demo.data.word_vectors.counted_vectors` of it; None where word vectors are
    drawn."""


def pretraining_model(config: BertConfig, primed: bool, statistics: Statistics | None) -> BertModel:
    """A model as pretraining begins with it, drawn by this thread's generator, and by `prime`.

    primed: whether biases and positions begin as `prime` has them. Without `statistics` the biases
    of the model's guesses and its words' vectors stay what was drawn.
    """
    model = BertModel(config)
    if statistics is not None and statistics.vectors is not None:
        set_word_vectors(model, statistics.vectors)
    if primed:
        prime(model, None if statistics is None else statistics.counts)
    return model


def first_weights(
    config: BertConfig,
    task: str,
    beginning: Beginning,
    statistics: Statistics | None,
) -> BertModel:
    """The model of this shape and task before its first step; the random generator is left alone.

    A fine-tuned model is shown before its pretraining, with the classifier that its own run drew.
    """
    with torch.random.fork_rng(devices=[]):
        dropout.seed_noise(beginning.seed)
        model = pretraining_model(config, beginning.primed, statistics)
    if beginning.classifier_seed is None:
        return model
    judge = random_weights(config, task, beginning.classifier_seed)
    judge.load_state_dict(shared_weights(model, judge), strict=False)
    return judge


def random_weights(config: BertConfig, task: str, seed: int = 0) -> BertModel:
    """A model of this shape that knows nothing; the random generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        dropout.seed_noise(seed)
        return BertModel(config, task)


def shared_weights(given: BertModel, model: BertModel) -> dict[str, torch.Tensor]:
    """The weights of `given` that `model` has too: all but the heads of another task."""
    names = model.state_dict().keys()
    return {name: value for name, value in given.state_dict().items() if name in names}


def log_frequencies(token_counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(V,): logarithms of each token's share of a text, one added to each count."""
    counts = token_counts + 1.0
    logarithms: npt.NDArray[np.float64] = np.log(counts / counts.sum())
    return logarithms


@torch.no_grad()
def prime(model: BertModel, token_counts: npt.NDArray[np.int64] | None) -> None:
    """Set the biases of the model's guesses and its positions' vectors; both are learnt further,
    if positions are learnt at all.

    token_counts: (V,), how often each token is in the training text.
    """
    if token_counts is not None:
        model.mlm.decoder_bias.copy_(torch.from_numpy(log_frequencies(token_counts)))
    if model.config.positions == "learned":
        model.embeddings.position_embeddings.weight.copy_(
            waves(model.config.max_position_embeddings, model.config.hidden_size)
        )


@torch.no_grad()
def set_word_vectors(model: BertModel, counted: npt.NDArray[np.int8]) -> None:
    """Begin with counted vectors (V, H), made one long; where all is zero, with what was drawn."""
    vectors = torch.from_numpy(counted).to(model.device)
    known = vectors.any(1)
    vectors = vectors[known] / (LEVELS * model.config.hidden_size**0.5)
    model.embeddings.word_embeddings.weight[known] = vectors
    model.mlm.decoder_weight[known] = vectors  # the same tensor, where it is tied
