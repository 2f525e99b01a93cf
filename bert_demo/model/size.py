"""How large a model is and how much memory its training takes, before anything is built.

Letters as in model.py. The activation terms were read off the code: which tensors autograd
keeps for one token in each layer.
"""

from __future__ import annotations

from bert_demo.config import BertConfig

_PROCESS_BYTES = 520_000_000
"""A Python process in training: torch's libraries, the kernels that they compile for each size of
batch, and the gaps between freed tensors. Small models were measured at 0.6 to 1.3 GB in all."""


def count_parameters(config: BertConfig, task: str = "pretraining") -> int:
    """Number of weights of `BertModel(config, task)`; tied ones count once."""
    hidden, inner = config.hidden_size, config.intermediate_size
    norm = 2 * hidden
    places = config.max_position_embeddings if config.positions == "learned" else 0
    tables = config.vocab_size + places + config.type_vocab_size
    embeddings = tables * hidden + (norm if config.embedding_layer_norm else 0)
    attention = 4 * (hidden * hidden + hidden) + norm
    feed_forward = 2 * hidden * inner + inner + hidden + norm
    pooler = hidden * hidden + hidden
    total = embeddings + config.num_hidden_layers * (attention + feed_forward) + pooler
    total += norm if config.norm == "before" else 0
    if task == "encoder":
        return total
    if task == "nli":
        return total + 3 * hidden + 3
    matrix = 0 if config.tie_word_embeddings else config.vocab_size * hidden
    mlm = hidden * hidden + hidden + norm + matrix + config.vocab_size
    return total + mlm + 2 * hidden + 2


def training_memory_bytes(
    config: BertConfig,
    task: str,
    *,
    batch_size: int,
    length: float,
    precision: str,
    accumulation: int = 1,
    device: str = "cpu",
    compiled: bool = False,
    muon: bool = False,
    masked: float = 0.15,
) -> int:
    """Peak memory of one training process, in bytes; `length` is the mean length in tokens.

    On a GPU it is the memory there; on a CPU `compiled` says whether there are compiled blocks.
    `muon`: the hidden matrices are updated by Muon, which remembers half as much of them.
    `masked`: share of the words that are to be guessed.
    """
    parameters = count_parameters(config, task)
    hidden, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    tokens = batch_size / accumulation * length
    low = 2 if precision == "bf16" else 4
    # Weights, gradients and two moments in fp32; bf16 keeps a second copy of the matrices.
    state = parameters * (16 + (2 if low == 2 else 0))
    if muon:
        state -= 4 * (layers * (4 * hidden**2 + 2 * hidden * inner) + 2 * hidden**2)
    # A layer keeps qkv, without compiled blocks in fp32 by heads too, its residual stream three
    # times, the feed-forward net's inner values twice, and the attention weights.
    width = (
        3 * hidden * (low if compiled else low + 4) + hidden * (3 * 4 + 4 * low) + inner * 2 * low
    )
    # Of the attention weights compiled blocks keep only the dropout's random bits.
    weights = config.num_attention_heads * length * (2 if compiled else 4 * 1.5)
    dropped = (2 * hidden if config.hidden_dropout_prob else 0) + 0.0
    activations = tokens * layers * (width + weights + dropped) + tokens * hidden * 12
    logits = 0.0
    if task == "pretraining":
        chunk = max(config.vocab_size, 4_000_000) * low * 3
        if device != "cpu":
            chunk = int(min(masked * tokens * config.vocab_size, 128_000_000)) * low * 2
        logits = chunk + config.vocab_size * hidden * (4 + 2 * low) + masked * tokens * hidden * 12
    if device == "cuda":
        activations *= 2  # a captured step has room of its own, beside that of others as they are
    return int(_PROCESS_BYTES + state + activations + logits)
