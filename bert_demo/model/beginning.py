"""The weights that a model's training began with: drawn by a seed, and made by its recipe.

A checkpoint keeps what it takes to make them again: the `Beginning` in its config.json and, beside
the weights, the token counts that it was primed with. V: vocabulary.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.config import BertConfig
from bert_demo.model import dropout
from bert_demo.model.about import Beginning
from bert_demo.model.bert import BertModel, waves


def pretraining_model(
    config: BertConfig, primed: bool, token_counts: npt.NDArray[np.int64] | None
) -> BertModel:
    """A model as pretraining begins with it, drawn by this thread's generator, and by `prime`.

    token_counts: (V,), how often each token is in the training text. Without them the biases of
    the model's guesses stay what was drawn; its vectors are the same.
    """
    model = BertModel(config)
    if primed:
        prime(model, token_counts)
    return model


def first_weights(
    config: BertConfig,
    task: str,
    beginning: Beginning,
    token_counts: npt.NDArray[np.int64] | None,
) -> BertModel:
    """The model of this shape and task before its first step; the random generator is left alone.

    A fine-tuned model is shown before its pretraining, with the classifier that its own run drew.
    """
    with torch.random.fork_rng(devices=[]):
        dropout.seed_noise(beginning.seed)
        model = pretraining_model(config, beginning.primed, token_counts)
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
