"""Dropout that begins once a run starts to learn its text by heart.

What was read a few times is not yet known by heart, and until then dropout only slows a run down
(Geiping and Goldstein 2023); to let it begin later is due to Liu et al. (2023). docs/recipe-log.md
has the figures behind the constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bert_demo.common.errors import Text
from bert_demo.config import RunConfig
from bert_demo.data.batches import Batches
from bert_demo.data.pretraining_batches import PretrainingBatches
from bert_demo.training.setup import Setup

_RATE = 0.1
_GAP = 0.5
"""Nats by which the loss on held-out text is above that on the text that the run learns from."""
_LEAST_HIDDEN_SIZE = 256
"""Smaller models lose by dropout, however often they read a text: what they learn has no room."""
_FEWEST_PAIRS = 20_000
"""Between one look at the gap and the next; where the text is longer, a whole pass over it."""
_LATEST = 0.3
"""Of the budget: what is lost at first has to be won back."""


class LateDropout:
    """Of a run that the recommended recipe begins without dropout: whether that has begun.

    All processes ask what is due after the same steps; the leader alone looks, and the others
    learn what it found.
    """

    def __init__(self, run: RunConfig, setup: Setup) -> None:
        model, training = setup.model, run.training
        self._setup, self._batch_size = setup, training.batch_size
        self.waits = (
            model.task == "pretraining"
            and training.recipe == "recommended"
            and run.dropout is None
            and model.config.hidden_dropout_prob == 0
            and model.config.hidden_size >= _LEAST_HIDDEN_SIZE
        )
        """Whether it may begin later."""
        self.found = False
        """Whether the leader found that it has to begin."""

    def due(self, step: int) -> bool:
        """Whether it may begin after so many steps."""
        pairs, every = step * self._batch_size, max(len(self._setup.batches), _FEWEST_PAIRS)
        return self.waits and pairs // every > max(0, pairs - self._batch_size) // every

    def to_look(self, step: int, spent: float) -> bool:
        """Whether to look if it has to, where this part of the budget is spent."""
        return spent < _LATEST and self.due(step)

    def look(self, held_out: float, loss: Callable[[Batches], float]) -> Text | None:
        """See whether the run learns by heart; returns a sentence if it does.

        held_out: the masked-LM loss on held-out text; loss: says what it is on other text.
        """
        text, other = self._setup.batches, self._setup.validation
        assert isinstance(text, PretrainingBatches) and isinstance(other, PretrainingBatches)
        own = loss(text.as_in(other))  # so that both are asked alike, whatever the run's masks are
        self.found = held_out - own >= _GAP
        if not self.found:
            return None
        return Text(
            "It begins to learn by heart: its loss is {own:.2f} on the text that it learns from "
            "and {held_out:.2f} on held-out text. From here on dropout makes that harder, and its "
            "loss on each batch jumps up.",
            own=own,
            held_out=held_out,
        )

    def begin(self) -> None:
        """Let the model drop from now on."""
        self.waits = False
        self._setup.model.set_dropout(_RATE)

    def state(self) -> dict[str, Any]:
        """What a resume has to know, as plain data."""
        return {"drops": True} if self.found else {}

    def restore(self, state: dict[str, Any]) -> None:
        """The way back; takes its part out of a loop's state."""
        self.found = state.pop("drops", False)
        if self.found:
            self.begin()
