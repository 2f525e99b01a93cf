"""What there is to say of a model without loading it: its id, what was done to it, how good it is.

An id is "bundled/crane-tiny" or "run/1203-k7qm"; "run/1203-k7qm@40" is that run's model as it was
after 40 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bert_demo.common.errors import Text, UserError, listed
from bert_demo.common.fields import from_dict
from bert_demo.config import BertConfig
from bert_demo.data.corpora import corpus_spec, is_corpus
from bert_demo.inference.results import Result, read_result
from bert_demo.model import checkpoint
from bert_demo.model.about import About, read_about
from bert_demo.model.size import count_parameters

_KINDS = {
    "pretraining": Text("pretrained"),
    "nli": Text("fine-tuned"),
    "encoder": Text("encoder"),
}
_TRAINED = {
    "pretraining": Text("pretrained on {corpus}, {n:,} steps"),
    "nli": Text("fine-tuned on {corpus}, {n:,} steps"),
}
_UNTRAINED = {
    "pretraining": Text("pretrained on {corpus}, not trained yet"),
    "nli": Text("fine-tuned on {corpus}, not trained yet"),
}

BUNDLED, RUN, IMPORTED = "bundled", "run", "imported"
"""Where a model is from: the first part of its id."""

AT = "@"
"""Stands before the step in the id of a moment."""


@dataclass(frozen=True)
class Entry:
    """One model on the shelf, described without its weights."""

    id: str
    title: str
    task: str
    """One of `bert_demo.config.TASKS`."""
    config: BertConfig
    parameters: int
    about: About
    changed: float
    """When its description was last written, as Unix time."""

    @property
    def home(self) -> str:
        """Where it is from: `BUNDLED`, `RUN` or `IMPORTED`."""
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        """What its folder is called, with a moment's step; tells it from others of its title."""
        return self.id.partition("/")[2]

    @property
    def latest(self) -> str:
        """The id of what its run came to; its own, but for a moment on the way."""
        return self.id.partition(AT)[0]

    @property
    def moment(self) -> int | None:
        """The step after which it was so; None for what its run came to."""
        step = self.id.partition(AT)[2]
        return int(step) if step else None

    @property
    def corpus(self) -> str | None:
        """The text it was last trained on ("crane-world"), where that is known."""
        return self.about.corpus if is_corpus(self.about.corpus) else None

    @property
    def kind(self) -> Text:
        """Its task in a word: "pretrained"."""
        return _KINDS[self.task]

    @property
    def size(self) -> Text:
        """Its shape in words: "2 layers of 128, 0.7 million parameters"."""
        layers = self.config.num_hidden_layers
        return Text(
            "{n} layer of {width}, {millions} million parameters"
            if layers == 1
            else "{n} layers of {width}, {millions} million parameters",
            n=layers,
            width=self.config.hidden_size,
            millions=self._millions,
        )

    @property
    def origin(self) -> Text:
        """What was done to it: "pretrained on Crane World, 84 steps"."""
        if self.corpus is not None and self.task in _TRAINED:
            title, step = corpus_spec(self.corpus).title, self.about.step
            if step is not None:
                return Text(_TRAINED[self.task], corpus=title, n=step)
            return Text(_UNTRAINED[self.task], corpus=title)
        if self.about.imported is not None:
            return listed([self.kind, Text("imported from {source}", source=self.about.imported)])
        return self.kind

    @property
    def result(self) -> Result | None:
        """How good it was when it was last measured, where that is known."""
        return read_result(self.task, self.about.scores)

    @property
    def score(self) -> Text:
        """How good it was when it was last measured, in a sentence; empty where unknown."""
        result = self.result
        if result is None or (result.n is None and not result.is_loss):
            return Text("")
        if result.is_loss:
            return Text("Validation masked-LM loss {loss:.2f}.", loss=result.value)
        return Text(
            "{split} accuracy {accuracy:.1%} on {n:,} pairs.",
            split=Text("Test" if result.split == "test" else "Validation"),
            accuracy=result.value,
            n=result.n,
        )

    @property
    def facts(self) -> list[str]:
        """What a menu says of it: "pretrained", "Crane World", "loss 1.34", "0.7 M"."""
        facts: list[str] = [self.kind]
        if self.corpus is not None:
            facts.append(corpus_spec(self.corpus).title)
        result = self.result
        if result is not None and result.is_loss:
            facts.append(Text("loss {loss:.2f}", loss=result.value))
        elif result is not None:
            facts.append(f"{result.value:.1%}")
        return [*facts, Text("{n} M", n=self._millions)]

    @property
    def _millions(self) -> Text:
        """How many million parameters it has, to two digits or the whole number."""
        millions = self.parameters / 1e6
        return Text("{n:,.0f}" if millions >= 10 else "{n:,.1f}", n=millions)


def model_id(home: str, name: str) -> str:
    """The id of the model `name` of a home: "run/20261101-k7qm"."""
    return f"{home}/{name}"


def moment_id(model_id: str, step: int) -> str:
    """The id of a model as it was after `step`: "run/20261101-k7qm@40"."""
    return f"{model_id}{AT}{step}"


def imported_name(repo: str) -> str:
    """What the folder of a model from the Hub's repository "owner/name" is called."""
    return repo.replace("/", "--")


def describe(model_id: str, title: str, folder: Path, changed: float) -> Entry | None:
    """The model in a folder; None where none can be read."""
    try:
        stored = checkpoint.read_config(folder)
        config: BertConfig = from_dict(BertConfig, stored["model"])
    except UserError:
        return None
    parameters = count_parameters(config, stored["task"])
    about = read_about(stored)
    return Entry(model_id, title, stored["task"], config, parameters, about, changed)
