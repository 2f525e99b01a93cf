"""What a new model of the recommended recipe knows before its first step.

How frequent each word is, and which places in a text are close together. A run of a minute would
else spend much of it on finding out either, and bend its words' vectors meanwhile.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.data.prepare import TokenizedText
from bert_demo.model.bert import BertModel

_WAVES = 0.08
"""Root mean square of the positions' vectors; the words' are 0.02 at first."""
_LONGEST = 10_000.0


def log_frequencies(text: TokenizedText, vocab_size: int) -> npt.NDArray[np.float64]:
    """(V,): logarithms of each token's share of the text, one added to each count."""
    counts = np.bincount(text.token_ids, minlength=vocab_size) + 1.0
    logarithms: npt.NDArray[np.float64] = np.log(counts / counts.sum())
    return logarithms


@torch.no_grad()
def prime(model: BertModel, frequencies: npt.NDArray[np.float64]) -> None:
    """Set the biases of the model's guesses and its positions' vectors; both are learnt further.

    frequencies: (V,), the training text's `log_frequencies`.
    """
    model.mlm.decoder_bias.copy_(torch.from_numpy(frequencies))
    model.embeddings.position_embeddings.weight.copy_(
        waves(model.config.max_position_embeddings, model.config.hidden_size)
    )


def waves(positions: int, size: int) -> torch.Tensor:
    """(positions, size): sines and cosines by turns (Vaswani et al. 2017, 3.5), made smaller.

    The inner product of two of them depends on their distance alone, so one step of attention can
    look for the word before or after, which vectors drawn at random have to learn place by place.
    """
    rates = torch.exp(torch.arange(0, size, 2) * (-math.log(_LONGEST) / size))
    angles = torch.arange(positions)[:, None] * rates
    table = torch.empty(positions, size)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()[:, : size // 2]
    return table * (_WAVES * math.sqrt(2))
