"""The book's mistakes and exercises as runs: what each sets, and what to look for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bert_demo.ui.parts.language import later


@dataclass(frozen=True)
class Exercise:
    """A card. Its figures were measured by the command line, on two cores."""

    values: Mapping[str, Any]
    """Settings that are not their defaults; what ends the run is one of them."""
    words: str
    """What the book does or asks, and what was seen."""
    starts: bool = True
    """Whether a click begins the run, or only fills the form with it."""


TITLES = {
    "pretraining": later("The book's mistakes and exercises"),
    "nli": later("The book's exercises"),
}
_BOOKS = {"recipe": "d2l", "corpus": "crane-world", "steps": 50}
_BY_HEART = {"corpus": "crane-world", "epochs": 8}
_CUT_SHORT = {"corpus": "crane-world", "max_length": 16, "steps": 150}
EXERCISES: Mapping[str, Mapping[str, Exercise]] = {
    "pretraining": {
        later("Rate 0.01, the book's"): Exercise(
            {**_BOOKS, "learning_rate": 0.01},
            later(
                "The book trains with steps of 0.01. After its 50 steps any two words have a "
                "cosine of 0.998. Watch the guesses: here they are the same for every sentence "
                "after 12 steps."
            ),
        ),
        later("A tenth of it, 0.001"): Exercise(
            {**_BOOKS, "learning_rate": 0.001},
            later(
                "The same run mended. Its vectors come near each other too while it learns word "
                "frequency, to 0.98 at step 31, but part again: 0.94 at step 50, and falling."
            ),
        ),
        later("A loss that does not mask"): Exercise(
            {**_BOOKS, "padding_in_loss": "on"},
            later(
                "The book's loss counts padding as if it were words: it says 2.6, and on held-out "
                "text, where words alone count, it is 7.0. On WikiText-2 it says 5.4 and is 7.0; "
                "the book's own run said 5.28 and was 7.07."
            ),
        ),
        later("Masks drawn once"): Exercise(
            {**_BY_HEART, "masking": "static"},
            later(
                "The book draws masks and pairs once for all passes. After 8 passes the loss is "
                "0.33 in training and 1.46 on held-out text: they are learnt by heart."
            ),
        ),
        later("Masks drawn anew"): Exercise(
            _BY_HEART,
            later(
                "The same run with masks and pairs of their own in every step, as RoBERTa has "
                "them: 0.86 in training and 0.98 on held-out text."
            ),
        ),
        later("Why is one loss higher?"): Exercise(
            {"corpus": "crane-world", "steps": 200},
            later(
                "One is a choice among 2,608 words, where guessing costs 7.9 (on WikiText-2 9.9), "
                "the other of two, where it costs 0.69: compare each with its dashed line. The "
                "higher one learns first: after 50 steps they are 4.5 and 0.69, after 200 1.8 and "
                "0.36."
            ),
        ),
        later("BERT-large at length 512"): Exercise(
            {
                "recipe": "d2l",
                "corpus": "wikitext-2",
                "size": "large",
                "max_length": 512,
                "steps": 50,
            },
            later(
                "Fills the form alone; the forecast in Settings says what it costs: 59 GB. With "
                "a step's batch in 8 parts it is 13 GB, and still 7 minutes a step on two cores; "
                "the small model takes 3 seconds."
            ),
            starts=False,
        ),
    },
    "nli": {
        later("Cut from the longer text"): Exercise(
            {**_CUT_SHORT, "truncation": "longest_first"},
            later(
                "The book's rule, at 16 tokens, where four in five pairs of Crane World are cut. "
                "It leaves a short hypothesis whole: 35 of 100 lose no word. Test accuracy of "
                "three runs from bert-crane-world: 64.4 to 64.6%."
            ),
        ),
        later("Cut keeping the ratio"): Exercise(
            {**_CUT_SHORT, "truncation": "ratio"},
            later(
                "The exercise's rule: every text keeps its share, so only 24 of 100 hypotheses "
                "lose no word. Three runs have 64.0 to 64.3%, no more apart than noise; whole "
                "pairs have 64.8 and 65.6%."
            ),
        ),
    },
}
"""By task and name."""
