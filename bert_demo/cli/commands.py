"""What the commands do. Each function takes the parsed flags and returns the exit code."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_demo.cli.output import answer, note, table
from bert_demo.common.corpus_names import PRETRAINING_CORPORA, own_task

if TYPE_CHECKING:
    from bert_demo.data.tokenizer import Tokenizer
    from bert_demo.model.checkpoint import Checkpoint


def pretrain(flags: Namespace) -> int:
    """Train on text and keep a checkpoint."""
    from bert_demo.cli.training import train_command

    return train_command(flags, "pretraining")


def finetune(flags: Namespace) -> int:
    """Train on labelled pairs and keep a checkpoint."""
    from bert_demo.cli.training import train_command

    return train_command(flags, "nli")


def against(flags: Namespace) -> int:
    """One setting both ways."""
    from bert_demo.cli.against import against_command

    return against_command(flags)


def find_rate(flags: Namespace) -> int:
    """How large a run's steps may be."""
    from bert_demo.cli.find_rate import find_rate_command

    return find_rate_command(flags)


def evaluate(flags: Namespace) -> int:
    """Score a classifier, or a pretrained model."""
    from bert_demo.cli.evaluate import evaluate_command

    return evaluate_command(flags)


def encode(flags: Namespace) -> int:
    """Token vectors."""
    from bert_demo.inference import predict

    model, tokenizer, _ = _load(flags)
    found = predict.encode(model, tokenizer, flags.text, flags.pair)
    shape = [1, *found.vectors.shape]
    rows = zip(found.tokens, found.vectors[:, :3].tolist(), strict=True)
    texts = [flags.text] if flags.pair is None else [flags.text, flags.pair]
    return answer(
        flags,
        {"tokens": found.tokens, "shape": shape, "vectors": [found.vectors.tolist()]},
        [
            f"Shape: {' x '.join(map(str, shape))} (texts, tokens, numbers a token)",
            "The first three numbers of each token:",
            table([[token, *(f"{value:.4f}" for value in row)] for token, row in rows]),
        ],
        _cut(found.truncated) + _unknown(tokenizer, *texts),
    )


def compare(flags: Namespace) -> int:
    """One word in several texts."""
    from bert_demo.inference import contexts

    model, tokenizer, _ = _load(flags)
    found = contexts.compare(model, tokenizer, flags.word, flags.text)
    matrices = {
        f"Cosines of the vectors of {found.word!r}, layer {found.layer}:": found.similarities
    }
    if len(found.contexts) > 2:  # two vectors lie opposite each other about their mean, always
        matrices["The same, with the mean vector subtracted:"] = found.centred
    numbers = [str(i + 1) for i in range(len(found.contexts))]
    lines = [f"{n}. {context}" for n, context in zip(numbers, found.contexts, strict=True)]
    for title, matrix in matrices.items():
        rows = [["", *numbers]]
        for number, values in zip(numbers, matrix.tolist(), strict=True):
            rows.append([number, *(f"{value:.3f}" for value in values)])
        lines.append(f"\n{title}\n{table(rows)}")
    value: dict[str, Any] = {
        "word": found.word,
        "contexts": found.contexts,
        "layer": found.layer,
        "similarities": found.similarities.tolist(),
        "centred_similarities": found.centred.tolist(),
    }
    if flags.sense is not None:
        apart = found.separation(flags.sense)
        value["separation"] = None if apart is None else asdict(apart)
        lines.append("")
        if apart is None:
            lines.append(contexts.CANNOT_TELL)
        else:
            value["separation"]["difference"] = apart.difference
            lines.append(
                f"Sense separation {apart.difference:+.2f}: mean cosine {apart.within:+.2f} within "
                f"a sense, {apart.between:+.2f} between senses, the mean vector subtracted; senses "
                f"dealt out at random separate as well {apart.chance:.0%} of the time."
            )
    return answer(flags, value, lines, _unknown(tokenizer, flags.word))


def classify(flags: Namespace) -> int:
    """A verdict."""
    from bert_demo.inference import predict

    model, tokenizer, _ = _load(flags)
    found = predict.classify(model, tokenizer, flags.premise, flags.hypothesis)
    return answer(
        flags,
        {"label": found.label, "probabilities": found.probabilities},
        [
            f"The verdict is {found.label}.",
            table([[label, f"{p:.4f}"] for label, p in found.probabilities.items()]),
        ],
        _cut(found.truncated) + _unknown(tokenizer, flags.premise, flags.hypothesis),
    )


def fill_mask(flags: Namespace) -> int:
    """Words for blanks."""
    from bert_demo.inference import predict

    model, tokenizer, _ = _load(flags)
    found = predict.fill_mask(model, tokenizer, flags.text, flags.top)
    lines = []
    for number, guesses in enumerate(found, 1):
        lines += [f"Blank {number}:"] if len(found) > 1 else []
        lines.append(table([[guess.token, f"{guess.probability:.4f}"] for guess in guesses]))
    masks = [[guess._asdict() for guess in guesses] for guesses in found]
    return answer(flags, {"masks": masks}, lines, _unknown(tokenizer, flags.text))


def import_d2l(flags: Namespace) -> int:
    """A checkpoint of the book."""
    from bert_demo.interop.d2l import import_d2l

    heads = flags.num_attention_heads
    found = import_d2l(
        flags.source, flags.out, num_attention_heads=heads, overwrite=flags.overwrite
    )
    return _facts(flags, asdict(found))


def import_hf(flags: Namespace) -> int:
    """A BERT of Hugging Face's."""
    from bert_demo.interop.hugging_face import import_hf

    found = import_hf(flags.source, flags.out, overwrite=flags.overwrite, labels=flags.labels)
    return _facts(flags, asdict(found), found.notes)


def export_hf(flags: Namespace) -> int:
    """A checkpoint for `transformers`."""
    from bert_demo.interop.export import export_hf

    done = export_hf(flags.folder, flags.out, overwrite=flags.overwrite)
    lines = [f"{done.out} is a {done.architecture} that transformers loads."]
    return answer(flags, asdict(done), lines, [] if flags.json else done.notes)


def publish(flags: Namespace) -> int:
    """A checkpoint to the Hub."""
    from bert_demo.interop.publish import publish

    done = publish(flags.folder, flags.repo, public=flags.public)
    whom = "you alone (private)" if done.private else "everybody (public)"
    words = f"The model is at {done.url}, for {whom}: {', '.join(done.files)}."
    return answer(flags, asdict(done), [words])


def fetch(flags: Namespace) -> int:
    """A checkpoint from the Hub."""
    from bert_demo.interop.publish import fetch

    return _facts(flags, asdict(fetch(flags.repo, flags.out, overwrite=flags.overwrite)))


def bundle(flags: Namespace) -> int:
    """A copy in 16 or 8 bits, with its card."""
    from bert_demo.interop.bundle import bundle

    done = bundle(
        flags.model,
        flags.out,
        storage=flags.storage,
        notes=flags.note,
        overwrite=flags.overwrite,
    )
    return _facts(flags, asdict(done))


def prepare(flags: Namespace) -> int:
    """Every corpus, each with the vocabulary that it is most used with, or one's own."""
    if flags.corpus is not None:
        return _describe(flags)
    from bert_demo.data.locate import CorpusUnavailable
    from bert_demo.data.prepare import SourceReport, prepare_nli, prepare_text

    def tell(report: SourceReport) -> None:
        answer(flags, asdict(report), [report.sentence()])

    failed = False
    judged = {"wikitext-2": "snli", "crane-world": "crane-world"}
    for text in PRETRAINING_CORPORA:
        try:
            _, tokenizer, report = prepare_text(text)
            tell(report)
            tell(prepare_text(text, "validation", tokenizer=tokenizer)[2])
            if text in judged:
                for split in ("train", "validation", "test"):
                    tell(prepare_nli(judged[text], split, tokenizer)[1])
        except CorpusUnavailable as error:
            failed = True
            note(str(error))
    return int(failed)


def _describe(flags: Namespace) -> int:
    """Take in somebody's own text, and say what is in it."""
    from bert_demo.cli.training import named_corpus
    from bert_demo.common.errors import UserError
    from bert_demo.data.own_report import text_report

    name = named_corpus(flags.corpus, "pretraining", flags.column or ())
    if own_task(name) != "pretraining":
        raise UserError("{name} is no text of one's own; give its files.", name=name)
    found = text_report(name)
    lines = [table([[label, words] for label, words in found.lines]), f"Its name is {name}."]
    value = asdict(found) | {"too_little": found.too_little}
    return answer(flags, value, lines, found.remarks)


def doctor(flags: Namespace) -> int:
    """What this computer offers."""
    from bert_demo.cli.doctor import lines, report

    found = report()
    return answer(flags, found, lines(found))


def _facts(flags: Namespace, facts: dict[str, Any], remarks: Iterable[str] = ()) -> int:
    """The facts of a checkpoint that was made, one a line; what is None is left out."""
    words = {n: (", ".join(v) or "none") if isinstance(v, list) else v for n, v in facts.items()}
    lines = [f"{n.replace('_', ' ')}: {v}" for n, v in words.items() if v is not None]
    return answer(flags, facts, lines, remarks)


def _load(flags: Namespace) -> Checkpoint:
    from bert_demo.model.checkpoint import load

    return load(Path(flags.model))


def _cut(truncated: int) -> list[str]:
    if not truncated:
        return []
    return [f"The text is longer than the model reads; its last {truncated:,} tokens were cut off."]


def _unknown(tokenizer: Tokenizer, *texts: str) -> list[str]:
    from bert_demo.inference.words import unknown_words

    words = unknown_words(tokenizer, *texts)
    if not words:
        return []
    named = ", ".join(repr(word) for word in words[:5]) + (" and others" if len(words) > 5 else "")
    verb = "is" if len(words) == 1 else "are"
    return [f"{named} {verb} unknown to this model, which reads <unk> instead."]
