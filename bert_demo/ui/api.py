"""The page's abilities as a Gradio API with names that stay.

    from gradio_client import Client
    page = Client("http://127.0.0.1:7860")
    run = page.predict(corpus="crane-world", budget_seconds=30, api_name="/start_run")
    page.predict(run["run"], api_name="/run_status")

Models and runs are named by ids, never by paths. Every argument is checked here, whatever a client
has checked; what is wrong comes back as one sentence. Docstrings are the API's own documentation.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.events import api as endpoint

from bert_demo.common.corpus_names import shown_corpus
from bert_demo.common.errors import Text, UserError
from bert_demo.common.fields import check_choice, settings_of
from bert_demo.common.groups import VISITOR_SETTINGS
from bert_demo.config import TASKS, RunConfig, TrainingConfig, run_config
from bert_demo.data.own_pairs import pairs_report
from bert_demo.data.own_report import text_report
from bert_demo.inference.entries import RUN, model_id
from bert_demo.runs.asked import read_questions
from bert_demo.runs.zerogpu import ZeroGpuQueue
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts.language import translate
from bert_demo.ui.parts.own_text import bring
from bert_demo.ui.told import public_event, status_of

NAMES = (
    "start_run",
    "run_status",
    "run_events",
    "stop_run",
    "take_text",
    "list_models",
    "encode",
    "compare",
    "classify",
    "fill_mask",
)
"""The endpoints, in the order in which they are listed."""

MOST_CHARACTERS = 10_000
MOST_TEXTS = 50
MOST_EVENTS = 5_000
_MOST_TOP = 100
_LONGEST_NAME = 200
_DIGITS = 6
_ARGUMENTS = ("task", "corpus", "start_from", "training", "budget_seconds")
"""Of `start_run`, or not for it at all."""

Answer = dict[str, Any]


class Api:
    """The endpoints over one page's context."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def start_run(
        self,
        task: str = "pretraining",
        corpus: str = "crane-world",
        budget_seconds: float | None = 30.0,
        start_from: str = "",
        settings: dict[str, Any] | None = None,
        title: str = "",
        token: str = "",
        questions: dict[str, Any] | None = None,
        request: gr.Request | None = None,
    ) -> Answer:
        """Queue a run. task: "pretraining" or "nli"; start_from: a model's id, which "nli" needs;
        settings: any other setting by name, such as {"size": "small", "steps": 100}; token: your
        secret, or empty to be given one; questions: what its film asks first, {"blanks": up to 8
        sentences with <mask>, "word", "contexts": 3 to 24 texts with it, "senses"}. Returns {"run",
        "model", "token"}; the token stops it."""
        if isinstance(self._context.queue, ZeroGpuQueue):
            raise UserError(
                "This Space has a GPU only while the page itself asks for it, so a run is started "
                "from the page here."
            )
        config = self._run_config(task, corpus, budget_seconds, start_from, settings)
        expected = self._context.accept(config)
        token = _text("token", token, _LONGEST_NAME) or secrets.token_urlsafe(16)
        title, address = _text("title", title, _LONGEST_NAME), self._context.address_of(request)
        asked = read_questions(questions or {})
        run = self._context.queue.submit(
            config, token, title or None, expected.seconds, address, questions=asked
        )
        return {"run": run.id, "model": model_id(RUN, run.id), "token": token}

    def run_status(self, run: str) -> Answer:
        """How far a run is: state, message, step, seconds, seconds_left, place in the queue,
        expected wait, scores once it is over, its title, its settings, and diagnosis: null or
        {"name", "seen", "advice", "usual"}, whether its curve is normal, one thing to try, and
        what recorded runs of the same settings had at this step, or null."""
        found = self._context.store.get(run)
        return status_of(self._context, found)

    def run_events(self, run: str, after: int = 0) -> Answer:
        """What a run reported after a cursor (0: from the beginning): {"events", "next"}. Ask
        again with "next". An event "rewind" says: forget all before, the run was resumed."""
        if isinstance(after, bool) or not isinstance(after, int) or after < 0:
            raise UserError(
                "after is {value!r}; it must be a number that this call returned.", value=after
            )
        events, end = self._context.store.events(run, after)
        shown = [public_event(self._context, event) for event in events[:MOST_EVENTS]]
        return {"events": shown, "next": end - (len(events) - len(shown))}

    def stop_run(self, run: str, token: str) -> Answer:
        """Stop a run and keep its model; token: that of start_run, or the teacher's."""
        found = self._context.queue.request(run, "stop", _text("token", token, _LONGEST_NAME))
        assert found is not None
        return status_of(self._context, found)

    def take_text(
        self,
        text: str,
        title: str = "",
        task: str = "pretraining",
        columns: dict[str, str] | None = None,
        request: gr.Request | None = None,
    ) -> Answer:
        """Bring a text of your own, or for the task "nli" a table of premise, hypothesis, label, of
        at most 4 MB, where the page takes such. title: a file's name says what kind it is; columns:
        what a table calls "text", or "premise", "hypothesis" and "label", if not so. Returns
        {"corpus", "facts", "remarks"}; start_run takes the corpus by this name. It is deleted with
        the last run that used it, after an hour if none did."""
        check_choice("task", task, ("pretraining", "nli"))
        title, address = _text("title", title, _LONGEST_NAME), self._context.address_of(request)
        name = bring(self._context, task, text, title, address, columns)
        if task == "nli":
            lines, remarks = pairs_report(name)
        else:
            report = text_report(name)
            lines, remarks = report.lines, report.remarks
        return {
            "corpus": name,
            "facts": {translate(about): translate(words) for about, words in lines},
            "remarks": [translate(remark) for remark in remarks],
        }

    def list_models(self, task: str = "") -> list[Answer]:
        """The models at hand, or those of a task: id, title, task, parameters, corpus, score."""
        if task not in ("", *TASKS):
            raise UserError(
                "task is {value!r}; it must be one of {choices}, or empty.",
                value=task,
                choices=", ".join(TASKS),
            )
        return [
            {
                "id": entry.id,
                "title": entry.title,
                "task": entry.task,
                "parameters": entry.parameters,
                "size": entry.size,
                "corpus": None if entry.corpus is None else shown_corpus(entry.corpus),
                "origin": entry.origin,
                "score": entry.score,
            }
            for entry in self._context.shelf.entries(task or None)
        ]

    def encode(self, model: str, text: str, pair: str = "", layer: int = -1) -> Answer:
        """One vector for each token of a text or pair. layer: 0 is the embeddings, -1 the last.
        Returns {"tokens", "shape", "vectors", "truncated"}."""
        from bert_demo.inference import predict

        loaded, tokenizer, config = self._context.shelf.load(model)
        last = config.num_hidden_layers
        if isinstance(layer, bool) or not isinstance(layer, int) or not -1 <= layer <= last:
            raise UserError(
                "layer is {value!r}; it must be from 0 to {last}, or -1.", value=layer, last=last
            )
        found = predict.encode(loaded, tokenizer, _text("text", text), _text("pair", pair) or None)
        return {
            "tokens": found.tokens,
            "shape": list(found.hidden_states[layer].shape),
            "vectors": _rounded(found.hidden_states[layer].tolist()),
            "truncated": found.truncated,
        }

    def compare(
        self,
        model: str,
        word: str,
        texts: list[str],
        layer: int = -1,
        senses: list[str] | None = None,
    ) -> Answer:
        """How alike a word's vectors are in several texts ("<sep>" begins the second of a pair).
        Returns {"similarities", "centred"}: cosines, and cosines after the mean is subtracted.
        senses: the word's sense in each text, or ""; then "separation" says whether the model keeps
        them apart, {"within", "between", "difference", "chance"}, or is null, with a "note"."""
        from bert_demo.inference import contexts

        if not isinstance(texts, list) or len(texts) > MOST_TEXTS:
            raise UserError("texts must be a list of 2 to {limit} texts.", limit=MOST_TEXTS)
        if isinstance(layer, bool) or not isinstance(layer, int):
            raise UserError("layer is {value!r}; it must be a whole number.", value=layer)
        loaded, tokenizer, _ = self._context.shelf.load(model)
        found = contexts.compare(
            loaded,
            tokenizer,
            _text("word", word, _LONGEST_NAME),
            [_text("each text", text) for text in texts],
            layer=layer,
        )
        answer = {
            "word": found.word,
            "layer": found.layer,
            "similarities": _rounded(found.similarities.tolist()),
            "centred": _rounded(found.centred.tolist()),
        }
        if senses is None:
            return answer
        if not isinstance(senses, list) or not all(isinstance(sense, str) for sense in senses):
            raise UserError("senses must be a list of names, one for each text.")
        apart = found.separation(senses)
        if apart is None:
            return answer | {"separation": None, "note": translate(contexts.CANNOT_TELL)}
        numbers = dataclasses.asdict(apart) | {"difference": apart.difference}
        return answer | {"separation": {n: round(v, _DIGITS) for n, v in numbers.items()}}

    def classify(self, model: str, premise: str, hypothesis: str) -> Answer:
        """Does the hypothesis follow from the premise? Returns {"label", "probabilities"}."""
        from bert_demo.inference import predict

        loaded, tokenizer, _ = self._context.shelf.load(model)
        found = predict.classify(
            loaded, tokenizer, _text("premise", premise), _text("hypothesis", hypothesis)
        )
        return dataclasses.asdict(found)

    def fill_mask(self, model: str, text: str, top: int = 5) -> Answer:
        """The likeliest words for each <mask> in a text. Returns {"masks": for each one
        [{"word", "probability"}, ...]}."""
        from bert_demo.inference import predict

        if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= _MOST_TOP:
            raise UserError(
                "top is {value!r}; it must be a whole number from 1 to {limit}.",
                value=top,
                limit=_MOST_TOP,
            )
        loaded, tokenizer, _ = self._context.shelf.load(model)
        found = predict.fill_mask(loaded, tokenizer, _text("text", text), top)
        return {
            "masks": [
                [{"word": word, "probability": round(share, _DIGITS)} for word, share in row]
                for row in found
            ]
        }

    def _run_config(
        self,
        task: Any,
        corpus: Any,
        budget_seconds: Any,
        start_from: Any,
        settings: Any,
    ) -> RunConfig:
        if settings is None:
            settings = {}
        if not isinstance(settings, dict):
            raise UserError("settings must be an object: the names of settings and their values.")
        known = {
            item.name for config in (RunConfig, TrainingConfig) for item in settings_of(config)
        }
        training_names = {item.name for item in settings_of(TrainingConfig)}
        values: Answer = {"task": task, "corpus": corpus}
        training: Answer = {"budget_seconds": budget_seconds}
        visitors = VISITOR_SETTINGS["nli" if task == "nli" else "pretraining"]
        may = [name for name in visitors if name not in _ARGUMENTS]
        for name, value in settings.items():
            if name in _ARGUMENTS:
                raise UserError(
                    "Give {name!r} as an argument of its own, not in settings.", name=str(name)
                )
            if name not in known:
                raise UserError("There is no setting {name!r}.", name=str(name)[:80])
            if name not in may:
                raise UserError(
                    "{name} cannot be set here; what can be set is: {choices}.",
                    name=name,
                    choices=", ".join(may),
                )
            (training if name in training_names else values)[name] = value
        if start_from:
            values["start_from"] = str(self._context.shelf.folder(start_from))
        return run_config(values | {"training": training})


def add_api(context: AppContext) -> None:
    """Add the endpoints to the page that is being built."""
    api = Api(context)
    for name in NAMES:
        handler: Callable[..., Any] = getattr(api, name)
        endpoint(
            handler,
            api_name=name,
            api_description=" ".join((handler.__doc__ or "").split()),
            concurrency_limit=None,
        )


def _text(name: str, value: Any, most: int = MOST_CHARACTERS) -> str:
    if not isinstance(value, str):
        raise UserError("{name} must be text.", name=Text(name))
    if len(value) > most:
        raise UserError(
            "{name} has {n:,} characters; at most {limit:,} are read here.",
            name=Text(name),
            n=len(value),
            limit=most,
        )
    return value


def _rounded(rows: list[list[float]]) -> list[list[float]]:
    return [[round(value, _DIGITS) for value in row] for row in rows]
