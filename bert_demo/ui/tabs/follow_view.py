"""One token followed through all layers, as a view; in Fill in the blank and in Its words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.inference.entries import moment_id
from bert_demo.ui.parts.language import later, listed, number, say, translate
from bert_demo.ui.parts.view import Block, View, attention, details, followed, table, text, view

if TYPE_CHECKING:
    from bert_demo.inference.entries import Entry
    from bert_demo.inference.follow import FollowedToken
    from bert_demo.inference.models import ModelShelf
    from bert_demo.model.checkpoint import Checkpoint

MOST_MATRICES = 6
"""How many are named, of those with the largest change."""
_MATRICES = {
    "embeddings.word_embeddings": later("word embeddings"),
    "embeddings.token_type_embeddings": later("segment embeddings"),
    "embeddings.position_embeddings": later("position embeddings"),
    "queries": later("layer {n}: queries"),
    "keys": later("layer {n}: keys"),
    "values": later("layer {n}: values"),
    "attention_output": later("layer {n}: out of attention"),
    "intermediate": later("layer {n}: feed-forward, in"),
    "output": later("layer {n}: feed-forward, out"),
    "pooler": later("pooler"),
    "mlm.dense": later("masked-LM head"),
    "mlm.decoder_weight": later("output matrix"),
    "nsp": later("next-sentence head"),
    "classifier": later("classifier"),
}
MOST_TOKENS = 128
_MOST_WEIGHTS = 20_000
"""Of attention between all tokens, in all heads, that are sent to a browser."""
_MOST_LETTERS = 2000


def follow_view(
    shelf: ModelShelf,
    model: str | None,
    texts: Sequence[str],
    which: object = 0,
    place: object = None,
    *,
    word: str | None = None,
    summary: str,
) -> View:
    """A token of one of some texts, followed, folded behind `summary`.

    which: the text; place: the token, or None for the first blank, else the first token of `word`.
    With a word also where the model met it in its training text.
    Raises `UserError` for what a browser cannot have meant.
    """
    from bert_demo.inference.follow import follow
    from bert_demo.inference.predict import encode_ids
    from bert_demo.inference.words import find_word, split_pair

    if not model or not texts or not texts[0].strip():
        return view()
    if isinstance(which, bool) or not isinstance(which, int) or not 0 <= which < len(texts):
        raise UserError("That text is no longer there.")
    chosen = texts[which]
    if len(chosen) > _MOST_LETTERS:
        raise UserError("The text is too long; at most {limit:,} letters fit.", limit=_MOST_LETTERS)
    loaded = shelf.load(model)
    first, second = split_pair(chosen)
    ids = encode_ids(loaded.model, loaded.tokenizer, first, second).input_ids
    if len(ids) > MOST_TOKENS:
        raise UserError(
            "The text has {n} tokens; one is followed in texts of at most {limit}.",
            n=len(ids),
            limit=MOST_TOKENS,
        )
    if place is None:
        place = 1
        if loaded.tokenizer.mask_id in ids:
            place = ids.index(loaded.tokenizer.mask_id)
        elif word and (stands := find_word(loaded.tokenizer, word, first)):
            place = 1 + stands.start
    found = follow(loaded.model, loaded.tokenizer, first, place, second)  # type: ignore[arg-type]
    met = _met(shelf.entry(model), loaded, word, chosen) if word else []
    moments = shelf.moments(shelf.entry(model).latest)
    blocks = _blocks(found, texts, which, bool(moments))
    return view(details(summary, *blocks), *_moved(shelf, model, moments, loaded), *met)


def _moved(
    shelf: ModelShelf, model: str, moments: Sequence[int], loaded: Checkpoint
) -> list[Block]:
    """Which matrices moved most since the moment that its run kept before this one, if any."""
    from bert_demo.inference.moved import moved

    entry = shelf.entry(model)
    earlier = [step for step in moments if entry.moment is None or step < entry.moment]
    if not earlier:
        return []
    before = shelf.load(moment_id(entry.latest, earlier[-1]))
    farthest = moved(before.model, loaded.model)[:MOST_MATRICES]
    rows = [[matrix_words(one.name), number(one.share, ".1%")] for one in farthest]
    caption = say("The change since step {n}, as a share of what it was", n=number(earlier[-1]))
    summary = say("Which matrices moved most")
    return [details(summary, table(caption, [say("Matrix"), say("Moved by")], rows, numbers=(1,)))]


def matrix_words(name: str) -> str:
    """What a matrix of `Moved` is called."""
    kind, layer = name, 0
    if name.startswith("layers."):
        _, number_of, kind = name.split(".")
        layer = int(number_of) + 1
    return say(_MATRICES[kind], n=layer)


def _met(entry: Entry, loaded: Checkpoint, word: str, chosen: str) -> list[Block]:
    """Where in its training text the word stands most as it does in a text."""
    from bert_demo.inference.occurrences import occurrences

    summary = say("Where did it meet such a “{word}”?", word=word)
    try:
        found = occurrences(loaded.model, loaded.tokenizer, word, chosen, entry.corpus)
    except UserError as error:
        return [details(summary, text(translate(error), "muted"))]
    if found is None:
        words = say(
            "That cannot be told: which text {model} was last trained on is not known, or the "
            "text is not on this computer.",
            model=entry.title,
        )
        return [details(summary, text(words, "muted"))]
    told = {"word": word, "n": number(found.count), "all": number(found.tokens)}
    stands = say(
        "“{word}” stands {n} times among the {all} tokens of its training text, {corpus}.",
        **told,
        corpus=found.corpus,
    )
    if not found.nearest:
        few = say("From so little it cannot have learnt what the word means.")
        return [details(summary, text(f"{stands} {few}"))]
    rows = [[one.sentence, number(one.nearness, "+.2f")] for one in found.nearest]
    caption = say("Nearest to “{text}”, of {n} that were compared", text=chosen, n=found.looked_at)
    how = say(
        "Cosines of the word's last-layer vectors, the mean of all these subtracted. What a model "
        "never read of a word it cannot know: look whether the sense that you mean is among these."
    )
    listed_rows = table(caption, [say("Sentence"), say("Cosine")], rows, numbers=(1,))
    return [details(summary, text(stands), listed_rows, text(how, "muted"))]


def following(follow: Callable[..., View], inputs: list[Any], follower: gr.HTML) -> dict[str, Any]:
    """Arguments of `then`, after which `follow(*inputs, event)` is shown by `follower`.

    It is shown too when a token is clicked. One event for both: of two answers the one that was
    asked for last stays.
    """
    asked = gr.State(0)
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on(
        [asked.change, follower.select],
        follow,
        inputs,
        follower,
        trigger_mode="always_last",
        concurrency_limit=None,
        **quiet,
    )
    return {"fn": time.time_ns, "inputs": None, "outputs": asked, **quiet}


def again(elem_id: str) -> dict[str, Any]:
    """Arguments of `then` that follow the same token once more, in the follower of this id."""
    script = f"() => window.bertDemo.followAgain('{elem_id}')"
    return {"fn": None, "js": script, "api_visibility": "private"}


def asked_for(event: Any) -> tuple[object, object]:
    """The text and token that a browser names, whatever it sent; the first text's where none is."""
    try:
        row = event.cell
    except (AttributeError, TypeError):  # no click
        row = (0, None)
    return (row[0], row[1]) if isinstance(row, list | tuple) and len(row) == 2 else (None, None)


def _blocks(found: FollowedToken, texts: Sequence[str], which: int, moments: bool) -> list[Block]:
    token = found.tokens[found.place]
    facts = []
    if len(found.pieces) > 1:
        facts.append(say("A piece of a word cut into {pieces}.", pieces=" ".join(found.pieces)))
    near = [f"{other} ({number(cosine, '.2f')})" for other, cosine in found.neighbours]
    facts.append(
        say("Nearest to the embedding of “{token}”: {words}.", token=token, words=listed(near))
    )
    if found.loss is not None:
        share, loss = _share(math.exp(-found.loss)), number(found.loss, ".2f")
        words = say(
            "Masked here, “{token}” would get {share}: a loss of {loss} nats.",
            token=token,
            share=share,
            loss=loss,
        )
        facts.append(words)
    rows = []
    for layer, at in enumerate(found.layers):
        said = [f"{word} {_share(share)}" for word, share in at.guesses]
        moved = "" if at.moved is None else number(at.moved, ".0%")
        name = say("Layer {n}", n=layer) if layer else say("Embeddings")
        rows.append([name, *([" · ".join(said)] if at.guesses else []), moved])
    has_head = bool(found.layers[0].guesses)
    names = ["", *([say("What the head would say here")] if has_head else []), say("Moved by")]
    if has_head:
        how = say(
            "The masked-LM head learnt to read the last layer alone; asked of each layer's vector, "
            "it shows when the answer forms. Moved by: the step since the layer before, as a share "
            "of the vector's length."
        )
    else:
        how = say(
            "This model has no masked-LM head to ask what stands here. Moved by: the step since "
            "the layer before, as a share of the vector's length."
        )
    caption = say("“{token}” from layer to layer", token=token)
    attentions = [layer.attention.tolist() for layer in found.layers if layer.attention is not None]
    chosen = followed(found.tokens, found.place, found.first_length, texts, which)
    few = sum(layer.numel() for layer in found.attentions) <= _MOST_WEIGHTS
    whole = [(100 * layer).round().int().tolist() for layer in found.attentions] if few else []
    where = attention(found.tokens, found.place, found.first_length, attentions, whole)
    note = say(
        "Each row is one head: the stronger the colour, the more “{token}” looks at that token. "
        "Where it looks is not why it says what it says: attention is not an explanation (Jain and "
        "Wallace 2019).",
        token=token,
    )
    if moments:
        form = say("Choose a head and play “As it was” above: this is how it formed.")
        note = f"{note} {form}"
    return [
        chosen,
        text(" ".join(facts)),
        table(caption, names, rows, numbers=(len(names) - 1,)),
        text(how, "muted"),
        where,
        text(note, "muted"),
    ]


def _share(share: float) -> str:
    return number(share, ".0%") if share >= 0.005 else "< 1%"
