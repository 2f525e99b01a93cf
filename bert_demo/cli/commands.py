"""What the commands do. Each function takes the parsed flags and returns the exit code."""

from __future__ import annotations

import signal
import threading
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from bert_demo.cli.output import TrainingReport, emit, note, say, table
from bert_demo.config import (
    LABELS,
    NLI_CORPORA,
    PRETRAINING_CORPORA,
    RunConfig,
    TrainingConfig,
    UserError,
    run_config,
    settings_of,
)

if TYPE_CHECKING:
    from bert_demo.data.prepare import SourceReport, TokenizedNli
    from bert_demo.data.tokenizer import Tokenizer
    from bert_demo.model.checkpoint import Checkpoint


class _Interrupt:
    """Turns the first Ctrl-C, or the system's request to end, into a request to stop, once there
    is something worth keeping."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False
        self.armed = False

    def __enter__(self) -> _Interrupt:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = [signal.signal(number, self._handle) for number in self._SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, handler in zip(self._SIGNALS, self._before, strict=True):
                signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self.armed:
            raise KeyboardInterrupt
        self.requested = True
        note("Stopping after this step and saving; Ctrl-C again stops at once.")


def pretrain(flags: Namespace) -> int:
    """Train on text and keep a checkpoint."""
    return _train(flags, "pretraining")


def finetune(flags: Namespace) -> int:
    """Train on labelled pairs and keep a checkpoint."""
    return _train(flags, "nli")


def _train(flags: Namespace, task: str) -> int:
    from bert_demo.training import distributed
    from bert_demo.training.loop import resumable, train

    out = Path(flags.out)
    base = resumable(out) if flags.resume else None
    if base is not None and base.task != task:
        other = "pretrain" if base.task == "pretraining" else "finetune"
        raise UserError(
            "The run in {out} was started with {other}; resume it with {other}.",
            out=out,
            other=other,
        )
    run = _run_config(flags, task, base)
    report, reason, message = TrainingReport(flags.json), "", ""
    leads = distributed.world().leads  # under torchrun one process speaks for all
    with _Interrupt() as interrupt:
        try:
            for event in train(
                run, out, resume=flags.resume, overwrite=flags.overwrite, should_stop=interrupt
            ):
                interrupt.armed = True
                if leads:
                    report.show(event)
                if event["event"] == "end":
                    reason, message = event["reason"], event["message"]
        finally:
            report.clear()
    if reason == "failed":
        if leads:
            note(message)
        return 1
    if reason == "stopped":
        if leads:
            note(f"Stopped by Ctrl-C; {out} holds what was learnt, and --resume goes on with it.")
        return 130
    if leads and not flags.json:
        say(f"The checkpoint is in {out}.")
    return 0


def _run_config(flags: Namespace, task: str, base: RunConfig | None) -> RunConfig:
    """The flags that were given, on top of the resumed run's settings or the defaults."""
    values: dict[str, Any] = {"task": task} if base is None else base.to_dict()
    training = values.pop("training", {})
    given = {name: value for name, value in vars(flags).items() if value is not None}
    values |= {s.name: given[s.name] for s in settings_of(RunConfig) if s.name in given}
    training |= {s.name: given[s.name] for s in settings_of(TrainingConfig) if s.name in given}
    return run_config(values | {"training": training})


def evaluate(flags: Namespace) -> int:
    """Score a classifier."""
    from bert_demo.inference import predict
    from bert_demo.model.device import pick_device

    device = pick_device(flags.device)
    model, tokenizer, _ = _load(flags)
    data, source = _labelled_pairs(flags.data, tokenizer)
    result = predict.evaluate(model.to(device), tokenizer, data)
    if flags.json:
        emit(result)
        return 0
    say(source)
    say(
        f"Accuracy {result['accuracy']:.4f} on {result['n']:,} pairs "
        f"({result['left_out']:,} without a label left out), "
        f"{result['examples_per_second']:,.0f} examples/s."
    )
    rows = [["true, then judged", *LABELS]]
    for label, counts in zip(LABELS, result["confusion"], strict=True):
        rows.append([label, *(f"{count:,}" for count in counts)])
    say(table(rows))
    return 0


def _labelled_pairs(data: str, tokenizer: Tokenizer) -> tuple[TokenizedNli, str]:
    """`data` is a corpus and split, or a file."""
    from bert_demo.data.prepare import prepare_nli, tokenize_nli
    from bert_demo.data.snli import read_pairs_file

    name, _, split = data.partition(":")
    if name in NLI_CORPORA:
        pairs, report = prepare_nli(name, split or "test", tokenizer)
        return pairs, report.sentence()
    return tokenize_nli(read_pairs_file(data), tokenizer), f"Labelled pairs of {data}."


def encode(flags: Namespace) -> int:
    """Token vectors."""
    from bert_demo.inference import predict

    model, tokenizer, _ = _load(flags)
    encoding = predict.encode(model, tokenizer, flags.text, flags.pair)
    shape = [1, *encoding.vectors.shape]
    remarks = _cut(encoding.truncated)
    remarks += _unknown(tokenizer, flags.text, *([] if flags.pair is None else [flags.pair]))
    if flags.json:
        vectors = [encoding.vectors.tolist()]
        emit({"tokens": encoding.tokens, "shape": shape, "vectors": vectors})
        _remark(remarks, note)
        return 0
    say(f"Shape: {' x '.join(map(str, shape))} (texts, tokens, numbers a token)")
    say("The first three numbers of each token:")
    rows = zip(encoding.tokens, encoding.vectors[:, :3].tolist(), strict=True)
    say(table([[token, *(f"{value:.4f}" for value in row)] for token, row in rows]))
    _remark(remarks, say)
    return 0


def compare(flags: Namespace) -> int:
    """One word in several texts."""
    from bert_demo.inference import contexts

    model, tokenizer, _ = _load(flags)
    result = contexts.compare(model, tokenizer, flags.word, flags.text)
    remarks = _unknown(tokenizer, flags.word)
    if flags.json:
        emit(
            {
                "word": result.word,
                "contexts": result.contexts,
                "layer": result.layer,
                "similarities": result.similarities.tolist(),
                "centred_similarities": result.centred.tolist(),
            }
        )
        _remark(remarks, note)
        return 0
    numbers = [str(i + 1) for i in range(len(result.contexts))]
    for number, context in zip(numbers, result.contexts, strict=True):
        say(f"{number}. {context}")
    titles = [f"Cosines of the vectors of {result.word!r}, layer {result.layer}:"]
    matrices = [result.similarities]
    if len(numbers) > 2:  # two vectors lie opposite each other about their mean, always
        titles.append("The same, with the mean vector subtracted:")
        matrices.append(result.centred)
    for title, matrix in zip(titles, matrices, strict=True):
        rows = [["", *numbers]]
        for number, values in zip(numbers, matrix.tolist(), strict=True):
            rows.append([number, *(f"{value:.3f}" for value in values)])
        say(f"\n{title}\n{table(rows)}")
    _remark(remarks, say)
    return 0


def classify(flags: Namespace) -> int:
    """A verdict."""
    from bert_demo.inference import predict

    model, tokenizer, _ = _load(flags)
    verdict = predict.classify(model, tokenizer, flags.premise, flags.hypothesis)
    remarks = _cut(verdict.truncated) + _unknown(tokenizer, flags.premise, flags.hypothesis)
    if flags.json:
        emit({"label": verdict.label, "probabilities": verdict.probabilities})
        _remark(remarks, note)
        return 0
    say(f"The verdict is {verdict.label}.")
    say(table([[label, f"{p:.4f}"] for label, p in verdict.probabilities.items()]))
    _remark(remarks, say)
    return 0


def fill_mask(flags: Namespace) -> int:
    """Words for blanks."""
    from bert_demo.inference import predict

    model, tokenizer, _ = _load(flags)
    blanks = predict.fill_mask(model, tokenizer, flags.text, flags.top)
    remarks = _unknown(tokenizer, flags.text)
    if flags.json:
        emit({"masks": [[{"token": t, "probability": p} for t, p in blank] for blank in blanks]})
        _remark(remarks, note)
        return 0
    for number, blank in enumerate(blanks, 1):
        if len(blanks) > 1:
            say(f"Blank {number}:")
        say(table([[token, f"{probability:.4f}"] for token, probability in blank]))
    _remark(remarks, say)
    return 0


def import_d2l(flags: Namespace) -> int:
    """A checkpoint of the book."""
    from bert_demo.interop.d2l import import_d2l

    report = import_d2l(
        flags.source,
        flags.out,
        num_attention_heads=flags.num_attention_heads,
        overwrite=flags.overwrite,
    )
    return _imported(flags, report)


def import_hf(flags: Namespace) -> int:
    """A BERT of Hugging Face's."""
    from bert_demo.interop.hugging_face import import_hf

    return _imported(flags, import_hf(flags.source, flags.out, overwrite=flags.overwrite))


def export_hf(flags: Namespace) -> int:
    """A checkpoint for `transformers`."""
    from bert_demo.interop.export import export_hf

    report = export_hf(flags.folder, flags.out, overwrite=flags.overwrite)
    if flags.json:
        emit(report)
        return 0
    say(f"{report['out']} is a {report['architecture']} that transformers loads.")
    _remark(report["notes"], say)
    return 0


def _imported(flags: Namespace, report: dict[str, Any]) -> int:
    if flags.json:
        emit(report)
        return 0
    for name, value in report.items():
        words = (", ".join(value) or "none") if isinstance(value, list) else value
        if value is not None:
            say(f"{name.replace('_', ' ')}: {words}")
    return 0


def publish(flags: Namespace) -> int:
    """A checkpoint to the Hub."""
    from bert_demo.interop.publish import publish

    done = publish(flags.folder, flags.repo, public=flags.public)
    if flags.json:
        emit(asdict(done))
        return 0
    whom = "you alone (private)" if done.private else "everybody (public)"
    say(f"The model is at {done.url}, for {whom}: {', '.join(done.files)}.")
    return 0


def fetch(flags: Namespace) -> int:
    """A checkpoint from the Hub."""
    from bert_demo.interop.publish import fetch

    return _imported(flags, asdict(fetch(flags.repo, flags.out, overwrite=flags.overwrite)))


def bundle(flags: Namespace) -> int:
    """A copy in half precision, with its card."""
    from bert_demo.interop.bundle import bundle

    return _imported(
        flags, bundle(flags.model, flags.out, notes=flags.note, overwrite=flags.overwrite)
    )


def prepare(flags: Namespace) -> int:
    """Every corpus, each with the vocabulary that it is most used with."""
    from bert_demo.data.corpora import CorpusUnavailable
    from bert_demo.data.prepare import prepare_nli, prepare_text

    failed = False
    judged = {"wikitext-2": "snli", "crane-world": "crane-world"}
    for text in PRETRAINING_CORPORA:
        try:
            _, tokenizer, report = prepare_text(text)
            _report(flags, report)
            _report(flags, prepare_text(text, "validation", tokenizer=tokenizer)[2])
            if text in judged:
                for split in ("train", "validation", "test"):
                    _report(flags, prepare_nli(judged[text], split, tokenizer)[1])
        except CorpusUnavailable as error:
            failed = True
            note(str(error))
    return int(failed)


def _report(flags: Namespace, report: SourceReport) -> None:
    if flags.json:
        emit(asdict(report))
    else:
        say(report.sentence())


def doctor(flags: Namespace) -> int:
    """What this computer offers."""
    from bert_demo.cli.doctor import lines, report

    found = report()
    if flags.json:
        emit(found)
    else:
        say("\n".join(lines(found)))
    return 0


def _load(flags: Namespace) -> Checkpoint:
    from bert_demo.model.checkpoint import load

    return load(Path(flags.model))


def _cut(truncated: int) -> list[str]:
    if not truncated:
        return []
    return [f"The text is longer than the model reads; its last {truncated:,} tokens were cut off."]


def _unknown(tokenizer: Tokenizer, *texts: str) -> list[str]:
    from bert_demo.inference.predict import unknown_words

    words = unknown_words(tokenizer, *texts)
    if not words:
        return []
    named = ", ".join(repr(word) for word in words[:5]) + (" and others" if len(words) > 5 else "")
    verb = "is" if len(words) == 1 else "are"
    return [f"{named} {verb} unknown to this model, which reads <unk> instead."]


def _remark(remarks: list[str], write: Any) -> None:
    for remark in remarks:
        write(f"Note: {remark}")
