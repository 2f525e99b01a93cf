"""What would flip a verdict: every edit of edits.py made to a pair, and judged in one batch."""

from __future__ import annotations

from dataclasses import dataclass

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.edits import Edit, edits
from bert_demo.inference.predict import Verdict, classify_all
from bert_demo.model.bert import BertModel


@dataclass(frozen=True)
class Flip:
    """What a classifier says of a pair after one edit, and what it should say."""

    edit: Edit
    should: tuple[str, ...]
    """The labels that would be right after the edit; all of them where nothing can be told."""
    verdict: Verdict | None
    """None where the edit does not apply."""

    @property
    def as_it_should(self) -> bool | None:
        """Whether the verdict is among what is right; None where nothing can be told."""
        if self.verdict is None or len(self.should) == len(LABELS):
            return None
        return self.verdict.label in self.should


def try_edits(
    model: BertModel,
    tokenizer: Tokenizer,
    premise: str,
    hypothesis: str,
    label: str | None = None,
) -> list[Flip]:
    """Make every edit to a pair and judge what comes of it; all in one batch.

    label: what is right of the pair as it is, from which follows what is right after an edit; left
    out, it is the model's own verdict. Raises `UserError` as `classify` does, and for an unknown
    label.
    """
    if label is not None and label not in LABELS:
        raise UserError(
            "label is {value!r}; it must be one of {choices}.",
            value=label,
            choices=", ".join(LABELS),
        )
    made = edits(premise, hypothesis)
    pairs = [(edit.premise, edit.hypothesis) for edit in made if edit.applies]
    first, *rest = classify_all(model, tokenizer, [(premise, hypothesis), *pairs])
    left = iter(rest)
    before = label or first.label
    return [Flip(edit, edit.should[before], next(left) if edit.applies else None) for edit in made]
