"""BERT: the encoder, the two pretraining heads and the inference classifier.

One architecture serves the book's model (D2L 15.8), BERT's own (Devlin et al. 2019, as Hugging
Face computes it) and this project's recipe: they differ in `BertConfig` only, as do the choices
that others made since, such as LayerNorm before each sublayer. Letters: B sequences, T tokens of
all of them, H hidden size, M chosen positions, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bert_demo.config import LABELS, TASKS, BertConfig
from bert_demo.data.packing import PackedBatch, resized
from bert_demo.model import dropout, kernels
from bert_demo.model.attention import padded_attention


class Embeddings(nn.Module):
    """Sum of token, segment and position embeddings (D2L 15.8.4)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config, self.hidden_dropout = config, config.hidden_dropout_prob
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.norm = (
            nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
            if config.embedding_layer_norm
            else None
        )

    def forward(self, batch: PackedBatch) -> Tensor:
        """The batch's tokens as vectors, (T, H)."""
        ids = batch.input_ids, batch.token_type_ids, batch.position_ids  # (T,) each
        positions = self.position_embeddings.weight[: batch.max_length]
        tables = self.word_embeddings.weight, self.token_type_embeddings.weight, positions
        x = kernels.embed(ids, tables)  # (T, H)
        if self.norm is None:
            return x
        return dropout.dropout(self.norm(x), self.hidden_dropout, self.training)

    def fix_positions(self) -> None:
        """Make the positions' table what `config.positions` says, and no weight any more."""
        config, table = self.config, self.position_embeddings
        size = config.max_position_embeddings, config.hidden_size
        # As large as the words' vectors are at first: PyTorch's own are drawn from N(0, 1).
        scale = WAVES if config.initializer_range else math.sqrt(0.5)
        fixed = waves(*size, scale) if config.positions == "sinusoid" else torch.zeros(size)
        del table.weight
        table.register_buffer("weight", fixed)


WAVES = 0.08
"""Root mean square of the positions' vectors; the words' are 0.02 at first."""
_LONGEST = 10_000.0


def waves(positions: int, size: int, scale: float = WAVES) -> Tensor:
    """(positions, size): sines and cosines by turns (Vaswani et al. 2017, 3.5), made smaller.

    The inner product of two of them depends on their distance alone, so one step of attention can
    look for the word before or after, which vectors drawn at random have to learn place by place.
    """
    rates = torch.exp(torch.arange(0, size, 2) * (-math.log(_LONGEST) / size))
    angles = torch.arange(positions)[:, None] * rates
    table = torch.empty(positions, size)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()[:, : size // 2]
    return table * (scale * math.sqrt(2))


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward net, each with its residual and a LayerNorm.

    The norm comes after the residual sum (BERT), or before attention and before the net, which
    leaves the sum itself alone (Xiong et al. 2020).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.hidden_dropout = config.hidden_dropout_prob
        self.attention_dropout = config.attention_probs_dropout_prob
        hidden, eps = config.hidden_size, config.layer_norm_eps
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.attention_output = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps)
        self.intermediate = nn.Linear(hidden, config.intermediate_size)
        self.output = nn.Linear(config.intermediate_size, hidden)
        self.output_norm = nn.LayerNorm(hidden, eps)

    def forward(self, x: Tensor, batch: PackedBatch, positions: Tensor | None = None) -> Tensor:
        """(T, H) -> (T, H), or (M, H): only those at `positions` (M,), which attend to all T."""
        heads = self.config.num_attention_heads
        rate = self.attention_dropout if self.training else 0.0
        seen = self._seen(x)
        selected = None if positions is None else kernels.select(seen, positions)  # (M, H)
        mixed = kernels.attention(seen, self.qkv, batch, heads, rate, positions, selected)
        if seen is not x and positions is not None:
            selected = kernels.select(x, positions)
        return self._residual(x if selected is None else selected, mixed)

    def look_inside(self, x: Tensor, batch: PackedBatch) -> tuple[Tensor, list[Tensor]]:
        """(T, H) -> (T, H), and each sequence's attention weights (heads, L, L)."""
        heads = self.config.num_attention_heads
        mixed, weights = padded_attention(self.qkv(self._seen(x)), batch, heads, need_weights=True)
        return self._residual(x, mixed), weights

    def _seen(self, x: Tensor) -> Tensor:
        """What attention reads of x (T, H)."""
        if self.config.norm == "after":
            return x
        seen: Tensor = self.attention_norm(x)
        return seen

    def _residual(self, x: Tensor, mixed: Tensor) -> Tensor:
        """What follows attention, token by token; x, mixed: (M, H)."""
        rate = self.hidden_dropout if self.training else 0.0
        gelu = self.config.hidden_act == "gelu"
        if self.config.norm == "before":
            x = x + dropout.dropout(self.attention_output(mixed), rate, True)  # (M, H)
            inner = kernels.activate(self.output_norm(x), self.intermediate, gelu)
            return x + dropout.dropout(self.output(inner), rate, True)
        x = kernels.add_norm(x, mixed, self.attention_output, self.attention_norm, rate)  # (M, H)
        inner = kernels.activate(x, self.intermediate, gelu)
        return kernels.add_norm(x, inner, self.output, self.output_norm, rate)


class MaskedLMHead(nn.Module):
    """Which token was here: a small net, then one score for each token of the vocabulary."""

    def __init__(self, config: BertConfig, embeddings: nn.Embedding) -> None:
        super().__init__()
        self.config = config
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.decoder_weight = (
            embeddings.weight if config.tie_word_embeddings else nn.Parameter(decoder.weight.data)
        )
        self.decoder_bias = nn.Parameter(decoder.bias.data)

    def transform(self, x: Tensor) -> Tensor:
        """(M, H) -> (M, H)."""
        transformed: Tensor = self.norm(
            kernels.activate(x, self.dense, self.config.hidden_act == "gelu")
        )
        return transformed

    def forward(self, x: Tensor) -> Tensor:
        """(M, H) -> logits (M, V)."""
        return F.linear(self.transform(x), self.decoder_weight, self.decoder_bias)

    def loss_sum(self, x: Tensor, labels: Tensor) -> Tensor:
        """Sum of the cross entropies at M masked positions; x: (M, H), labels: (M,)."""
        x = self.transform(kernels.pad(x))
        return kernels.linear_cross_entropy(x, self.decoder_weight, self.decoder_bias, labels)


@dataclass(frozen=True)
class BertOutput:
    """What `look_inside` gives."""

    hidden_states: tuple[Tensor, ...]
    """The embeddings and each layer's output: num_hidden_layers + 1 tensors (T, H)."""
    attentions: tuple[list[Tensor], ...]
    """For each layer, for each sequence in the order packed: weights (heads, L, L)."""


class BertModel(nn.Module):
    """A BERT with the heads that its task needs.

    task "pretraining": `mlm` (masked LM) and `nsp` (next sentence; class 1 is "is next", as in
    the book). task "nli": `classifier` over `bert_demo.config.LABELS`. task "encoder": neither,
    as sentence encoders come.
    """

    def __init__(self, config: BertConfig, task: str = "pretraining") -> None:
        super().__init__()
        assert task in TASKS
        self.config, self.task = config, task
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))
        # Where the layers leave their sums alone, one LayerNorm follows the last of them.
        self.final_norm = (
            nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
            if config.norm == "before"
            else nn.Identity()
        )
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        if task == "pretraining":
            self.mlm = MaskedLMHead(config, self.embeddings.word_embeddings)
            self.nsp = nn.Linear(config.hidden_size, 2)
        elif task == "nli":
            self.classifier = nn.Linear(config.hidden_size, len(LABELS))
        if config.initializer_range:
            self.apply(self._initialise)
        if config.positions != "learned":
            self.embeddings.fix_positions()

    def _initialise(self, module: nn.Module) -> None:
        """BERT's initialisation; without it PyTorch's own stands, which is the book's."""
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, MaskedLMHead):
            nn.init.normal_(module.decoder_weight, std=self.config.initializer_range)
            nn.init.zeros_(module.decoder_bias)

    def set_dropout(self, rate: float) -> None:
        """Drop this share of activations and attention weights from now on, not `config`'s."""
        self.embeddings.hidden_dropout = rate
        for layer in self.layers:
            assert isinstance(layer, EncoderLayer)
            layer.hidden_dropout = layer.attention_dropout = rate

    def forward(self, batch: PackedBatch, positions: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer.

        positions: (M,) int64, the tokens whose vectors are wanted; the last layer computes its
        queries and feed-forward net for those alone. Returns (M, H), or (T, H) without positions.
        """
        x = self.embeddings(batch)  # (T, H)
        *layers, last = self.layers
        for layer in layers:
            x = layer(x, batch)
        x = last(x, batch, positions)  # (M, H)
        # Without the rows of zeros that `kernels` lets hidden states carry.
        x = resized(x, len(batch.input_ids) if positions is None else len(positions))
        vectors: Tensor = self.final_norm(x)
        return vectors

    def look_inside(self, batch: PackedBatch) -> BertOutput:
        """All layers' hidden states and attention weights (dropout has to be off)."""
        assert not self.training
        x = resized(self.embeddings(batch), len(batch.input_ids))  # (T, H)
        states = [x]
        attentions = []
        for layer in self.layers:
            assert isinstance(layer, EncoderLayer)
            x, weights = layer.look_inside(x, batch)
            states.append(x)
            ordered: list[Tensor] = [x] * len(weights)
            for place, weight in zip(batch.order.tolist(), weights, strict=True):
                ordered[place] = weight
            attentions.append(ordered)
        states[-1] = self.final_norm(x)
        return BertOutput(tuple(states), tuple(attentions))

    def pooled(self, cls_vectors: Tensor) -> Tensor:
        """The <cls> vectors (B, H) through the net that both sentence-level heads share."""
        return torch.tanh(self.pooler(cls_vectors))

    def nsp_logits(self, cls_vectors: Tensor) -> Tensor:
        """(B, H) -> (B, 2); class 1 means that the second text follows the first."""
        logits: Tensor = self.nsp(self.pooled(cls_vectors))
        return logits

    def nli_logits(self, cls_vectors: Tensor) -> Tensor:
        """(B, H) -> (B, 3), in the order of `LABELS`."""
        pooled = dropout.dropout(self.pooled(cls_vectors), self._classifier_dropout, self.training)
        logits: Tensor = self.classifier(pooled)
        return logits

    @property
    def _classifier_dropout(self) -> float:
        """BERT drops before its classifier (Devlin et al. 2019); the book does not (16.7)."""
        return self.config.hidden_dropout_prob if self.config.embedding_layer_norm else 0.0

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pooler.weight.device


class _NoDraws(TorchFunctionMode):
    """Initialisation that draws nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        drawing = getattr(func, "__module__", "") == "torch.nn.init"
        return None if drawing else func(*args, **kwargs or {})


def unfilled_model(config: BertConfig, task: str) -> BertModel:
    """A model with shapes and no numbers, for weights that come with `assign=True`.

    It costs no memory and leaves the random generators alone. Without `_NoDraws` the first one
    would take seconds: drawing on the meta device makes PyTorch import sympy.
    """
    with torch.device("meta"), _NoDraws():
        return BertModel(config, task)
