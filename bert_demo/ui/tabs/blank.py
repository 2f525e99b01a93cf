"""The tab "Fill in the blank": the masked-LM head at work (D2L 15.8.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.data.words import BLANK
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.words import unknown_words
from bert_demo.ui.parts.language import say, translate
from bert_demo.ui.parts.model_menu import ModelMenu
from bert_demo.ui.parts.moments import asked_of, moments_of
from bert_demo.ui.parts.view import (
    View,
    bars,
    columns,
    few,
    in_words,
    moments_part,
    reveal,
    text,
    view,
    view_part,
)
from bert_demo.ui.tabs.follow_view import again, asked_for, follow_view, following
from bert_demo.ui.tabs.step_view import next_pair, step_view

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext

EXAMPLES = (
    "a <mask> is flying over the lake",
    "a crane <mask> came early",
    "the crane stood on one <mask>",
    "she had to crane her <mask> to see the <mask>",
    "the dog began to <mask> at the postman",
    "the door is open , so it is not <mask>",
    "the <mask> was played by the <mask> in the <mask>",
)
MOST_WORDS = 20
_MOST_LETTERS = 2000
_GAP = re.compile(rf"(\s*)({BLANK.pattern})", re.IGNORECASE)


def fill_blanks(shelf: ModelShelf, model: str | None, words: str, top: float) -> View:
    """The likeliest words for each blank of a text, as bars."""
    from bert_demo.inference.predict import fill_mask

    if not model:
        raise UserError("Choose a pretrained model first.")
    if not isinstance(words, str) or not words.strip():
        raise UserError("The text is empty; write a sentence with <mask> where a word is missing.")
    if len(words) > _MOST_LETTERS:
        raise UserError("The text is too long; at most {limit:,} letters fit.", limit=_MOST_LETTERS)
    if not 1 <= top <= MOST_WORDS:
        raise UserError(
            "{n} words are too many or too few; ask for 1 to {limit}.", n=top, limit=MOST_WORDS
        )
    entry = shelf.entry(model)
    loaded = shelf.load(model)
    found = fill_mask(loaded.model, loaded.tokenizer, words, int(top))
    filled = _filled(words.strip(), [blank[0][0] for blank in found])
    parts = [
        [bars(say("Blank {n}", n=place) if len(found) > 1 else say("The blank"), dict(blank))]
        for place, blank in enumerate(found, 1)
    ]
    rows = [columns(*parts[i : i + 3]) for i in range(0, len(parts), 3)]
    remarks = []
    unknown = unknown_words(loaded.tokenizer, BLANK.sub(" ", words))
    if unknown:
        remarks.append(
            text(
                say(
                    "Unknown to this model, which reads <unk> instead: {words}.", words=few(unknown)
                )
            )
        )
    if any(word.startswith("##") for blank in found for word, _ in blank):
        remarks.append(
            text(say("What begins with ## is a piece that goes on the word before it."), "muted")
        )
    if len(found) > 1:
        remarks.append(
            text(
                say(
                    "Each blank is filled by itself: the model does not know what it put into the "
                    "others, so together the words need not make sense."
                ),
                "muted",
            )
        )
    source = say(
        "Filled by {model}, {origin}. {score}",
        model=entry.title,
        origin=translate(entry.origin),
        score=translate(entry.score),
    )
    return view(text(filled, "strong"), *rows, *remarks, text(source, "muted"), spoken=filled)


def _filled(words: str, best: list[str]) -> str:
    """The text with a word in each blank; a piece such as "##s" joins the word before it."""
    left = iter(best)

    def fill(gap: re.Match[str]) -> str:
        word = next(left, gap[2])
        return word.removeprefix("##") if word.startswith("##") else gap[1] + word

    return _GAP.sub(fill, words)


def create_blank_tab(context: AppContext) -> gr.Tab:
    """The tab: a sentence with blanks, and the words for each."""
    shelf = context.shelf
    menu = ModelMenu(shelf, "pretraining")

    @in_words
    def show(model: str | None, moment: Any, *rest: Any) -> View:
        return fill_blanks(shelf, asked_of(shelf, model, moment), *rest)

    def renewed(model: str | None, moment: Any, *rest: Any) -> tuple[dict[str, Any], View]:
        return moments_of(shelf, model, moment), show(model, moment, *rest)

    def follow(model: str | None, moment: Any, words: str, event: gr.EventData) -> View:
        summary = say("Follow one token through the layers")
        answer, asked = in_words(follow_view), asked_of(shelf, model, moment)
        return answer(shelf, asked, [words.strip()], *asked_for(event), summary=summary)

    def step_shown(model: str | None, moment: Any, pair: Any) -> View:
        return in_words(step_view)(shelf, asked_of(shelf, model, moment), pair)

    tab = gr.Tab(say("Fill in the blank"), id="blank")
    with tab:
        menu.notice()
        with gr.Row(visible=bool(menu.entries)) as body:
            with gr.Column(scale=1, elem_classes="bd-form"):
                model = menu.dropdown()
                words = gr.Textbox(
                    EXAMPLES[0],
                    label=say("Text"),
                    info=say("Write `<mask>` or `___` where a word is missing"),
                    lines=2,
                    max_length=_MOST_LETTERS,
                )
                with gr.Row():
                    blank = gr.Button(say("Add a blank"), min_width=110)
                    go = gr.Button(say("Fill in"), variant="primary", min_width=110)
                top = gr.Slider(1, MOST_WORDS, 8, step=1, label=say("Words for each blank"))
                examples = gr.Dataset(
                    components=[words],
                    samples=[[example] for example in EXAMPLES],
                    label=say("Examples to click"),
                    samples_per_page=len(EXAMPLES),
                )
            with gr.Column(scale=3, elem_classes="bd-stage"):
                moment = moments_part(elem_id="blank-moments")
                result = view_part(min_height=260, elem_id="blank-result")
                follower = view_part(elem_id="blank-follow")
                play = gr.Button(say("Play one training step slowly"), size="sm", scale=0)
                played = view_part(elem_id="blank-step")
        pair = gr.State(None)
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        task: dict[str, Any] = {
            "fn": show,
            "inputs": [model, moment, words, top],
            "outputs": result,
            "preprocess": False,  # gradio's own words for a number out of range are English
            **quiet,
        }
        other = task | {"fn": renewed, "outputs": [moment, result]}
        then = following(follow, [model, moment, words], follower)
        menu.keep_fresh(tab, body).then(**other).then(**then)
        model.input(**other).then(**then)
        model.change(lambda: (None, view()), None, [pair, played], show_progress="hidden", **quiet)
        other_moment = moment.select(
            **task, show_progress="hidden", trigger_mode="always_last"
        ).then(**again("blank-follow"))
        step: dict[str, Any] = {
            "fn": step_shown,
            "inputs": [model, moment, pair],
            "outputs": played,
            **quiet,
        }
        other_moment.then(**step, show_progress="hidden")
        play.click(next_pair, pair, pair, show_progress="hidden", **quiet).then(**step).then(
            None, js=reveal("blank-step"), **quiet
        )
        top.input(**task, show_progress="hidden", trigger_mode="always_last")
        blank.click(None, words, words, js="(words) => `${words.trimEnd()} <mask>`", **quiet)
        chosen = examples.click(lambda e: e[0], examples, words, show_progress="hidden", **quiet)
        for event in (gr.on([go.click, words.submit], **task), chosen.then(**task)):
            event.then(**then)
            event.then(None, js=reveal("blank-result"), **quiet)
    return tab
