"""The model card of a checkpoint: what it is, what it learnt from, how, and how good it is.

Everything is read from the checkpoint itself and the metrics beside it, so a card never says
more than is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from bert_demo.common.errors import UserError
from bert_demo.common.fields import from_dict
from bert_demo.common.groups import GUESSING_SETTINGS, NEW_MODEL_SETTINGS
from bert_demo.config import LABELS, BertConfig, RunConfig, command_line
from bert_demo.data.corpora import CorpusSpec, corpus_spec
from bert_demo.interop.sharing import without_paths
from bert_demo.model import checkpoint
from bert_demo.model.about import About, read_about
from bert_demo.model.metrics import ACCURACY, METRICS
from bert_demo.model.size import count_parameters
from bert_demo.model.stored_weights import storage_of
from bert_demo.training.recorder import read_metrics

_PIPELINES = {
    "pretraining": "fill-mask",
    "nli": "text-classification",
    "encoder": "feature-extraction",
}
_TASKS = {
    "pretraining": "It was pretrained on masked words and next sentences: it fills blanks and "
    "represents words by vectors that depend on their context.",
    "nli": "It judges whether a hypothesis follows from a premise: entailment, neutral or "
    "contradiction.",
    "encoder": "It represents words by vectors that depend on their context, and has no head.",
}
_STORED = {
    "fp32": "32 bits (fp32)",
    "fp16": "16 bits (fp16)",
    "int8": "8 bits (int8, one scale for each row of a matrix)",
}
_CURVE_POINTS = 12
_MORE_SCORES = {
    "hypothesis_only_accuracy": "accuracy, every premise empty",
    "ece": "expected calibration error (ECE)",
    "constant_accuracy": "for comparison: accuracy of always the same answer",
}
_BASELINE_SPLITS = {"unigram": "validation", "unigram_train": "train"}


def model_card(folder: str | Path, *, notes: Sequence[str] = (), usage: str | None = None) -> str:
    """The card of the checkpoint in `folder`, in Markdown, with the header that the Hub reads.

    Args:
        notes: paragraphs that have to be said of this copy of the model.
        usage: Python that loads it from `transformers`' form, in fp32; left out, the way of this
            project.

    Raises:
        CheckpointError: there is no checkpoint in `folder`, or it is damaged.
    """
    folder = Path(folder)
    stored = without_paths(checkpoint.read_config(folder))
    task, about = stored["task"], read_about(stored)
    try:
        config: BertConfig = from_dict(BertConfig, stored["model"])
    except UserError as error:
        raise checkpoint.CheckpointError(
            "{folder} is damaged: {error}", folder=folder, error=error
        ) from error
    run = about.run
    corpora = [] if run is None else _corpora(run.corpus)
    sections = [
        _header(task, corpora, transformers=usage is not None),
        f"# {_title(task, config, run, about)}",
        _TASKS[task],
        *notes,
        _section("Use", f"```python\n{usage or _USAGE[task]}\n```"),
        _section("Shape", _shape(folder, task, config, exported=usage is not None)),
        _section("Data", _data(about, corpora)),
        _section("Training", _training(run, about)),
        _section("Scores", _scores(about)),
        _section("Curve", _curve(read_metrics(folder))),
    ]
    return "\n\n".join(part for part in sections if part) + "\n"


_LOAD = """\
import bert_demo

model, tokenizer, config = bert_demo.load("this-folder")
"""
_USAGE = {
    "pretraining": f'{_LOAD}bert_demo.fill_mask(model, tokenizer, "a <mask> is flying")',
    "nli": f'{_LOAD}bert_demo.classify(model, tokenizer, "He sleeps.", "He is awake.")',
    "encoder": f'{_LOAD}bert_demo.encode(model, tokenizer, "a crane is flying").vectors',
}


def _header(task: str, corpora: Iterable[CorpusSpec], *, transformers: bool) -> str:
    data = ModelCardData(
        language="en",
        pipeline_tag=_PIPELINES[task],
        library_name="transformers" if transformers else None,
        tags=["bert", "bert_demo"],
        datasets=[spec.repo_id for spec in corpora if spec.repo_id is not None] or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _title(task: str, config: BertConfig, run: RunConfig | None, about: About) -> str:
    layers = config.num_hidden_layers
    words = f"BERT of {layers} {'layer' if layers == 1 else 'layers'}, {config.hidden_size} wide"
    if run is None:
        return words if about.source is None else f"{words}, from {about.source}"
    done = "pretrained" if task == "pretraining" else "fine-tuned"
    return f"{words}, {done} on {corpus_spec(run.corpus).title}"


def _shape(folder: Path, task: str, config: BertConfig, *, exported: bool) -> str:
    parameters = count_parameters(config, task)
    rows = [("Parameters", f"{parameters:,}")]
    rows += [
        (name.replace("_", " ").capitalize(), _value(value))
        for name, value in vars(config).items()
        if name not in ("initializer_range", "hidden_dropout_prob", "attention_probs_dropout_prob")
    ]
    rows.append(("Vocabulary", _vocabulary(folder / checkpoint.TOKENIZER)))
    # What is written for `transformers` is fp32, whatever it was made from.
    storage = "fp32" if exported else storage_of(folder / checkpoint.WEIGHTS)
    rows.append(("Weights stored in", _STORED[storage]))
    return _table(("", ""), rows)


def _vocabulary(path: Path) -> str:
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["model"]["type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise checkpoint.CheckpointError("{path} is missing or damaged.", path=path) from error
    return "pieces of words (WordPiece)" if kind == "WordPiece" else "whole words"


def _corpora(name: str) -> list[CorpusSpec]:
    spec = corpus_spec(name)
    return [corpus_spec(part) for part in spec.parts] or [spec]


def _data(about: About, corpora: Sequence[CorpusSpec]) -> str:
    lines = [f"- {spec.title}, licence: {spec.licence}" for spec in corpora]
    facts = about.facts
    source = facts.get("source")
    lines += [f"- {source}"] if isinstance(source, str) else []
    for name in ("train_examples", "validation_examples"):
        if isinstance(facts.get(name), int):
            lines.append(f"- {name.replace('_', ' ').capitalize()}: {facts[name]:,}")
    if about.imported is not None:
        lines.append(f"- Imported from {about.imported}: {about.source}")
        kinds = (("New and untrained", about.untrained_heads), ("Left out", about.left_out))
        lines += [f"- {words}: {', '.join(names)}" for words, names in kinds if names]
    return "\n".join(lines)


def _training(run: RunConfig | None, about: About) -> str:
    if run is None:
        return ""
    settings = run.to_dict()
    settings |= settings.pop("training")
    others = (*NEW_MODEL_SETTINGS, *GUESSING_SETTINGS) if run.task == "nli" else ()
    unused = {"task", "save_every_seconds", *others}
    given = {n: v for n, v in settings.items() if v is not None and n not in unused}
    facts = about.facts
    given |= {n: facts[n] for n in ("device", "precision", "processes") if n in facts}
    took = {"step": about.step, "seconds": about.seconds}
    given |= {name: value for name, value in took.items() if value is not None}
    rows = [(name.replace("_", " "), _value(value)) for name, value in given.items()]
    return f"```\n{command_line(run, 'DIR')}\n```\n\n{_table(('Setting', 'Value'), rows)}"


def _scores(about: About) -> str:
    parts: list[tuple[str, ...]] = []
    for split in ("validation", "test"):
        scores = about.scores_on(split)
        errors = scores.get("standard_errors", {ACCURACY.name: scores.get("standard_error")})
        named = {name: metric.title for name, metric in METRICS.items()} | _MORE_SCORES
        for name, title in named.items():
            value = about.score(name, split)
            if value is not None:
                error = errors.get(name) if isinstance(errors, Mapping) else None
                row = (split, title, f"{value:.4f}", _value(scores.get("n", "")))
                parts.append((*row, f"{error:.4f}" if isinstance(error, float) else ""))
    for name, value in about.baselines.items():
        parts.append((_BASELINE_SPLITS.get(name, ""), f"for comparison: {name}", f"{value:.4f}"))
    if not about.scores or not parts:
        return ""
    text = _table(("Split", "Measure", "Value", "Examples", "Standard error"), parts)
    if (factor := about.score("calibration_factor")) is not None:
        # Softened probabilities make a student too modest; an average of weights can be too bold.
        was = "less sure than it is right" if factor >= 1 else "surer than it is right"
        text += (
            f"\n\nIts logits are multiplied by {factor:.4f}, which was fitted on the validation "
            f"split: without that it is {was}. No verdict is changed by it."
        )
    confusion = about.scores_on("test").get("confusion")
    if isinstance(confusion, list) and len(confusion) == len(LABELS):
        rows = [(label, *map(_value, row)) for label, row in zip(LABELS, confusion, strict=True)]
        text += "\n\nTest split: true labels down, verdicts across.\n\n"
        text += _table(("", *LABELS), rows)
    return text


def _curve(events: Sequence[Mapping[str, Any]]) -> str:
    """The validations of the run as a table, some left out where there are many."""
    found = [e for e in events if e["event"] == "validation" and {"step", "seconds"} <= e.keys()]
    if not found:
        return ""
    last = len(found) - 1
    steps = min(_CURVE_POINTS, len(found))
    chosen = sorted({round(i * last / max(1, steps - 1)) for i in range(steps)})
    names = [name for name in METRICS if name in found[-1]]
    rows = [
        (
            f"{found[i]['step']:,}",
            f"{found[i]['seconds']:.0f}",
            _value(found[i].get("n", "")),
            *(f"{found[i][name]:.4f}" if name in found[i] else "" for name in names),
        )
        for i in chosen
    ]
    return _table(("Step", "Seconds", "Pairs", *(METRICS[name].title for name in names)), rows)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    whole = ((*row, *[""] * (len(head) - len(row))) for row in rows)
    lines = [head, ["---"] * len(head), *whole]
    return "\n".join(f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |" for row in lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
