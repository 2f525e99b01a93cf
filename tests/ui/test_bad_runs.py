"""One run's damaged folder hurts nobody else: whatever JSON is in it, every part goes on.

Files of a real run are changed by a property test, one value at a time or as a whole, and then all
that reads runs is asked; a second, whole run beside it has to be shown as ever.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("gradio")

from bert_demo.cli.doctor import _checkpoints
from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.interop.card import model_card
from bert_demo.interop.sharing import metrics_csv
from bert_demo.model import checkpoint
from bert_demo.model.bert import BertModel
from bert_demo.model.folders import CONFIG, CONTROL, METRICS, RUN, STATUS
from bert_demo.runs.actions import request
from bert_demo.runs.film import film_frame
from bert_demo.runs.record import Status, write_status
from bert_demo.training.recorder import read_metrics
from bert_demo.ui import page
from bert_demo.ui.api import Api
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import live
from bert_demo.ui.parts.model_menu import choices
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.tabs import training_handlers
from bert_demo.ui.tabs.runs import downloads, hub_models, tab, views

ANNA = {"token": "anna", "admin": ""}
RUN_CONFIG = RunConfig(training=TrainingConfig(steps=9, budget_seconds=3.0))
SCORES = {
    **{"mlm_loss": 5.5, "nsp_loss": 0.69, "nsp_accuracy": 0.5, "n": 7},
    "test": {"accuracy": 0.5, "n": 9, "confusion": [[1, 2, 0], [1, 1, 1], [0, 1, 2]]},
}
FACTS = {
    **{"task": "pretraining", "corpus": "crane-world", "vocab_size": 7, "parameters": 90},
    **{"device": "cpu", "precision": "fp32", "processes": 1, "train_examples": 5, "steps": 9},
    **{"budget_seconds": 3.0, "source": "Crane World", "baselines": {"unigram": 6.5}},
}
WORDS = (*SPECIAL_TOKENS, "a", "crane", "lifts", "the", "steel", "he", "was", "born", "bank")


class Place:
    """A page's context with a damaged run, a whole one, and what the damaged one's files say."""

    def __init__(self, root: Path) -> None:
        none = root / "none"
        self.context = AppContext(
            AppSettings(data_dir=root, checkpoints_dir=none, admin_token="the teacher's")
        )
        store = self.context.store
        self.whole, self.bad = (store.create(RUN_CONFIG, "anna").id for _ in range(2))
        self.folder = store.root / self.bad
        tokenizer = Tokenizer.from_words(WORDS)
        model = BertModel(RUN_CONFIG.model_config(tokenizer.vocab_size))
        about = {"run": RUN_CONFIG.to_dict(), "facts": FACTS, "scores": SCORES, "step": 9}
        checkpoint.save(self.folder / "model", model, tokenizer, about | {"seconds": 2.5})
        message = Text("Paused after {n:,} steps.", n=9)
        times = {"queued": 1.7e9, "started": 1.7e9, "ended": 1.7e9}
        write_status(self.folder, Status("stopped", message, 9, 2.5, scores=SCORES, **times))
        at = {"step": 1, "seconds": 0.5}
        losses = {"loss": 9.5, "mlm_loss": 6.5, "nsp_loss": 0.7, "nsp_accuracy": 0.5}
        speed = {"seconds_left": 2.0, "examples_per_second": 80.0, "learning_rate": 0.01}
        self.files: dict[str, Any] = {
            name: json.loads((self.folder / name).read_text(encoding="utf-8"))
            for name in (RUN, STATUS, f"model/{CONFIG}")
        }
        self.files[CONTROL] = {"action": "stop"}
        self.files[f"model/{METRICS}"] = [
            {"event": "start", "step": 0, **FACTS},
            {"event": "probe", **at, **film_frame(model, tokenizer)},
            {"event": "step", **at, **losses, **speed},
            {"event": "validation", **at, **losses, "n": 4},
            {"event": "saved", "step": 1},
            {"event": "step", **at, **losses, **speed},
            {"event": "end", **at, "reason": "completed", "message": "Done.", "scores": SCORES},
        ]
        self.restore()

    def restore(self) -> None:
        for name, values in self.files.items():
            if name != CONTROL:
                self.write(name, values)
        (self.folder / CONTROL).unlink(missing_ok=True)

    def write(self, name: str, values: Any) -> None:
        lines = values if name.endswith(METRICS) and isinstance(values, list) else [values]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("page"))
    yield made
    made.context.close()


def sendable(value: Any) -> None:
    """Assert that an answer can be sent, as Gradio sends it."""
    json.dumps(value, allow_nan=False).encode("utf-8")


def ask_everything(place: Place) -> None:
    """Whatever reads runs goes on, in words where it is about the damaged one."""
    context = place.context
    store, queue, api = context.store, context.queue, Api(context)
    runs = store.list()
    assert place.whole in {run.id for run in runs}
    sendable(views.rows(runs))
    sendable(views.best(runs))
    sendable(tab.listing(context, [place.bad], ANNA))
    sendable(hub_models.listing(context))
    hub_models._began_with(context, store.root)
    sendable(choices(context.shelf.entries()))
    sendable(api.list_models())
    sendable(page.others_training(context))
    page.arrive(context, ANNA, f"?run={place.bad}")
    context.observations()
    _checkpoints(store.root)
    sendable(
        training_handlers.foretell(
            context, "pretraining", training_handlers.forms.defaults("pretraining")
        )
    )
    started = queue.submit(RUN_CONFIG, "ben")
    assert queue.place(started.id).position > 0
    queue.request(started.id, "delete", "ben")
    about_it: list[Callable[[], Any]] = [
        lambda: api.run_status(place.bad),
        lambda: api.run_events(place.bad),
        lambda: live.answer(context, {"run": place.bad}),
        lambda: tab.side_by_side(context, [place.bad, place.whole], "step"),
        lambda: tab.side_by_side(context, [place.bad, place.whole], "seconds"),
        lambda: metrics_csv(store.events(place.bad)[0]),
        lambda: metrics_csv(read_metrics(place.folder / "model")),
        lambda: model_card(place.folder / "model"),
        lambda: [
            str(part) for part in training_handlers.controls(context, {"run": place.bad}, ANNA)
        ],
        lambda: str(downloads.pack_model(store.get(place.bad), store.root.parent)),
        lambda: str(downloads.pack_metrics(store.get(place.bad), [], store.root.parent)),
        lambda: [str(request(store, place.bad, action, "anna")) for action in ("resume", "stop")],
    ]
    for ask in about_it:
        try:
            sendable(ask())
        except UserError as error:
            sendable(str(error))
    store.mark_interrupted()


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 2**40, 2**63, 10**60, 1e308, -1e308, 1e-320, float("nan")]),
    st.sampled_from([float("inf"), -float("inf")]),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "\ud800", "a\0b", "x" * 50_000, "{n}", "{n:>99999999}", "../../etc"]),
    st.sampled_from(["running", "queued", "nli", "snli", "rewind", "\u202e<script>", "é" * 64]),
    st.text(),
    st.just([[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]),
)
ANY = st.recursive(
    JUNK,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def damage(data: st.DataObject, value: Any) -> Any:
    """The value with something else somewhere in it, or instead of it, or with something gone."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(value)
    elif isinstance(value, list):
        inner = list(range(len(value)))
    if not inner or data.draw(st.integers(0, 5)) == 0:
        return data.draw(ANY)
    at = data.draw(st.sampled_from(inner))
    if data.draw(st.integers(0, 7)) == 0:
        value.pop(at)
    else:
        value[at] = damage(data, value[at])
    return value


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_a_runs_files_say_everything_goes_on(place: Place, data: st.DataObject) -> None:
    place.restore()
    for name in data.draw(st.lists(st.sampled_from(sorted(place.files)), min_size=1, max_size=3)):
        place.write(name, damage(data, copy.deepcopy(place.files[name])))
    ask_everything(place)


def _bytes(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def _link(target: str) -> Callable[[Path], Any]:
    return lambda path: path.symlink_to(target)


ODD: dict[str, Callable[[Path], Any]] = {
    "a folder": Path.mkdir,
    "a pipe": lambda path: os.mkfifo(path),
    "a link to nowhere": _link("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link without end": _link("/dev/zero"),
    "empty": _bytes(b""),
    "UTF-16": _bytes("{}".encode("utf-16")),
    "Latin-1": _bytes(b'{"title": "\xe9"}'),
    "null bytes": _bytes(bytes(5000)),
    "too large": _bytes(b" " * 9_000_000),
    "too deep": _bytes(b"[" * 200_000 + b"\n"),
    "deep objects": _bytes(b'{"a":' * 200_000 + b"\n"),
    "a number without end": _bytes(b'{"created": ' + b"9" * 3_000_000 + b"}\n"),
    "gone": lambda path: None,
}


@pytest.mark.skipif(os.name == "nt", reason="no pipes there, and links ask for rights")
@pytest.mark.parametrize("name", [RUN, STATUS, CONTROL, f"model/{CONFIG}", f"model/{METRICS}"])
@pytest.mark.parametrize("kind", ODD)
def test_odd_files_hold_nobody_up(place: Place, name: str, kind: str) -> None:
    path = place.folder / name
    place.restore()
    path.unlink(missing_ok=True)
    ODD[kind](path)
    try:
        ask_everything(place)
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)


def test_a_run_that_cannot_be_read_is_named_in_the_log(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.restore()
    place.write(RUN, [])
    for _ in range(3):
        assert [run.id for run in place.context.store.list()] == [place.whole]
    assert caplog.text.count(place.bad) == 1 and "cannot be read" in caplog.text
    with pytest.raises(UserError, match="cannot be read"):
        place.context.store.get(place.bad)
    place.restore()
    assert len(place.context.store.list()) == 2


def read_run_with_settings(place: Place, settings: Any) -> RunConfig | None:
    place.write(RUN, place.files[RUN] | {"config": settings})
    return place.context.store.get(place.bad).config


def test_what_is_right_in_a_damaged_run_stays(place: Place) -> None:
    place.restore()
    place.write(RUN, place.files[RUN] | {"title": 7, "estimate_seconds": "soon", "owner": "é"})
    place.write(STATUS, place.files[STATUS] | {"step": "many", "seconds": float("nan")})
    run = place.context.store.get(place.bad)
    assert run.title == place.bad and run.owner is None and run.estimate_seconds is None
    assert run.config == RUN_CONFIG and read_run_with_settings(place, []) is None
    assert run.status.state == "stopped"
    assert run.status.step == 0 and run.status.seconds == 0 and run.status.scores == SCORES
    assert run.status.message == "Paused after 9 steps."
    events = [dict(event) for event in place.files[f"model/{METRICS}"]]
    events[2]["mlm_loss"], events[3]["seconds"] = [1.0], "late"
    place.write(f"model/{METRICS}", events)
    kinds = [event["event"] for event in place.context.store.events(place.bad)[0]]
    assert kinds[-5:] == ["start", "probe", "saved", "step", "end"]
