"""What the two training measures compute: this project's own batches of the real text.

The book's code makes its own, of the same text by the same rules (see d2l_baseline.py).
"""

from __future__ import annotations

from bert_demo.config import BertConfig, model_config
from bert_demo.data.nli_batches import NliBatches
from bert_demo.data.prepare import prepare_nli, prepare_text
from bert_demo.data.pretraining_batches import PretrainingBatches

BATCH_SIZE = 512


_SIZES = {"pretrain": "tiny", "finetune": "small"}


def workload(
    measure: str, size: str | None = None
) -> tuple[PretrainingBatches | NliBatches, BertConfig]:
    """The batches of "pretrain" (length 64) or "finetune" (length 128), and the book's model.

    With a size it is the model of this size instead.

    Raises:
        CorpusUnavailable: when the text is not to be had.
    """
    text, tokenizer, _ = prepare_text("wikitext-2")
    if measure == "pretrain":
        batches = PretrainingBatches(
            text, tokenizer, batch_size=BATCH_SIZE, max_length=64, truncation="drop", seed=0
        )
        return batches, model_config(size or _SIZES[measure], "d2l", tokenizer.vocab_size)
    pairs, _ = prepare_nli("snli", "train", tokenizer)
    nli = NliBatches(
        pairs,
        tokenizer,
        batch_size=BATCH_SIZE,
        max_length=128,
        truncation="longest_first",
        seed=0,
    )
    return nli, model_config(size or _SIZES[measure], "d2l", tokenizer.vocab_size)
