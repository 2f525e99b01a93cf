"""What ends a run before its time, and what to do about it."""

from __future__ import annotations

import torch

from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig


class NotFiniteError(UserError):
    """The loss is infinite or no number, so that the run cannot go on."""


def out_of_memory(error: BaseException) -> bool:
    """Whether there was not enough memory, on a GPU or in the machine itself."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def memory_advice(run: RunConfig) -> Text:
    """What to change, in a sentence for the person who started the run."""
    training = run.training
    return Text(
        "The memory was not enough for batch_size {batch_size} and max_length {max_length}; lower "
        "one of them, raise gradient_accumulation_steps ({parts}) or take a smaller model.",
        batch_size=training.batch_size,
        max_length=training.max_length,
        parts=training.gradient_accumulation_steps,
    )
