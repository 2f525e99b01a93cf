"""The part "dropout left on" of Words in context: the book's mistake, made on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.inference.models import ModelShelf
from bert_demo.ui.parts.language import later, number, say
from bert_demo.ui.parts.view import Block, View, table, text, view, view_part
from bert_demo.ui.tabs.words_contexts import read_rows

if TYPE_CHECKING:
    from torch import Tensor

    from bert_demo.config import BertConfig
    from bert_demo.inference.noisy import NoisyComparison


def create_dropout_part(
    show: Callable[..., View], inputs: list[Any], result: gr.HTML, quiet: dict[str, Any]
) -> None:
    """The part, folded; its button shows `show(*inputs)`, until `result` has another answer."""
    with gr.Accordion(
        say("The book's mistake: dropout left on"), open=False, elem_id="words-dropout"
    ):
        gr.Markdown(
            say(
                "After the book's 50 steps any two words have a mean cosine of 0.998 with dropout "
                "off and 0.705 as its page prints them: what it shows of “crane” in two sentences "
                "is mostly dropout. The button reads each context twice with dropout on."
            )
        )
        go = gr.Button(say("Compare with dropout on"), size="sm")
        shown = view_part()
    go.click(show, inputs, shown, **quiet)
    result.change(
        None, None, shown, js="() => ({blocks: [], spoken: ''})", show_progress="hidden", **quiet
    )


def dropout_view(shelf: ModelShelf, model: str | None, word: str, rows: Any, layer: float) -> View:
    """How alike a word is to itself with dropout on; nothing where there is no model.

    `layer` as `show_contexts` takes it.
    """
    from bert_demo.inference.noisy import compare_with_dropout

    if not model:
        return view()
    texts, senses = read_rows(rows)
    loaded, tokenizer, config = shelf.load(model)
    chosen = max(0, min(int(layer), config.num_hidden_layers))
    found = compare_with_dropout(loaded, tokenizer, word, texts, layer=chosen)
    finding, numbers = _finding(found, senses)
    which = say("{title}, layer {n}.", title=shelf.entry(model).title, n=chosen)
    how = text(f"{which} {_how_much(found, config)}", "muted")
    return view(text(finding), numbers, how, spoken=finding)


def _finding(found: NoisyComparison, senses: Sequence[str]) -> tuple[str, Block]:
    """What dropout does to the word, in a sentence or two and in a table."""
    import torch

    off, on = found.plain.similarities, found.similarities
    others = ~torch.eye(len(senses), dtype=torch.bool)
    known = torch.tensor([[bool(one and other) for other in senses] for one in senses]) & others
    same = torch.tensor([[one == other for other in senses] for one in senses])
    pairs = {say("Two different contexts"): others}
    if (known & same).any() and (known & ~same).any():
        pairs = {
            say("Two of the same sense"): known & same,
            say("Two of different senses"): known & ~same,
        }
    again = float(on.diagonal().mean())
    rows = [[say("The same context, read twice"), _cosine(1), _cosine(again)]]
    rows += [[name, _cosine(_mean(off, at)), _cosine(_mean(on, at))] for name, at in pairs.items()]
    caption = say("Mean cosine of two vectors of {word}, as they are", word=repr(found.plain.word))
    numbers = table(caption, ["", say("Dropout off"), say("Dropout on")], rows, numbers=(1, 2))
    if again > 1 - 1e-6:  # the embeddings of the book's model
        return say("Before its first layer this model drops nothing."), numbers
    finding = say(
        "Read twice with dropout on, the same context differs from itself by {noise} (1 less the "
        "cosine), so a difference of that size between two contexts says nothing.",
        noise=_cosine(1 - again),
    )
    which, at = list(pairs.items())[-1]
    apart = max(0.0, 1 - _mean(off, at))
    compared = later("{which} differ by {apart} with dropout off, which is more.")
    if apart <= 1 - again:
        compared = later(
            "{which} differ by {apart} with dropout off, which is no more: with it on, one sees "
            "mostly dropout."
        )
    return f"{finding} {say(compared, which=which, apart=_cosine(apart))}", numbers


def _mean(similarities: Tensor, which: Tensor) -> float:
    return float(similarities[which].mean())


def _cosine(value: float) -> str:
    return number(value, ".3f")


def _how_much(found: NoisyComparison, config: BertConfig) -> str:
    """Whose dropout it is, and how much."""
    if config.hidden_dropout_prob or config.attention_probs_dropout_prob:
        return say(
            "On is its own dropout: {hidden:.0%} of the activations and {attention:.0%} of the "
            "attention weights.",
            hidden=found.hidden_rate,
            attention=found.attention_rate,
        )
    return say(
        "It has no dropout of its own, so on is the book's: {hidden:.0%} of the activations and of "
        "the attention weights.",
        hidden=found.hidden_rate,
    )
