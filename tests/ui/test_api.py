"""The API over HTTP with gradio's own client, from a run to a verdict, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.common.fields import settings_of
from bert_demo.common.groups import TEACHING_SETTINGS, VISITOR_SETTINGS
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs.zerogpu import ZeroGpuQueue
from bert_demo.training.loop import train
from bert_demo.ui.api import MOST_CHARACTERS, MOST_TEXTS, NAMES, Api
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import forms
from bert_demo.ui.serving.settings import AppSettings

SMALL = {
    "hidden_size": 32,
    "num_attention_heads": 1,
    "num_hidden_layers": 1,
    "intermediate_size": 64,
    "batch_size": 16,
}
Call = Callable[..., Any]
ADMIN = "the teacher's own token"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page's folders, with a pretrained model and a classifier of the tiny size."""
    root = tmp_path_factory.mktemp("page")
    few = TrainingConfig(steps=3, batch_size=16)
    for _ in train(RunConfig(training=few), root / "checkpoints" / "words"):
        pass
    judge = RunConfig(task="nli", start_from=str(root / "checkpoints" / "words"), training=few)
    for _ in train(judge, root / "checkpoints" / "judge"):
        pass
    return root


# In a process of its own, as it runs for people; only the measuring of this machine is left out.
SERVE = """
import sys
from pathlib import Path
from bert_demo.ui.context import AppContext
from bert_demo.ui.page import build_app
from bert_demo.ui.serving.settings import AppSettings

root, admin = Path(sys.argv[1]), sys.argv[2]
context = AppContext(
    AppSettings(data_dir=root, checkpoints_dir=root / "checkpoints", admin_token=admin)
)
context.queue.start()
page = build_app(context)
_, url, _ = page.launch(
    prevent_thread_lock=True, quiet=True, ssr_mode=False, enable_monitoring=False
)
print(url, flush=True)
sys.stdin.read()
page.close(verbose=False)
context.close()
"""


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    environ = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(folder), ADMIN],
        cwd=Path(__file__).resolve().parents[2],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        url = server.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), "the page did not start"
        # No certificates to load for a page on this machine: that alone would take 25 ms a call.
        made = Client(url, verbose=False, analytics_enabled=False, ssl_verify=False)
        yield made
        made.close()
        server.stdin.close()
        server.wait(30)


@pytest.fixture(scope="module")
def call(client: Client) -> Call:
    def called(name: str, *arguments: Any, **named: Any) -> Any:
        return client.predict(*arguments, api_name=f"/{name}", **named)

    return called


def finished(call: Call, run: str, seconds: float = 60) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        status: dict[str, Any] = call("run_status", run)
        if status["state"] in ("completed", "stopped", "failed", "interrupted"):
            return status
        time.sleep(0.1)
    raise AssertionError(f"the run did not end: {status}")


def test_names_are_stable_and_described(client: Client) -> None:
    described: Any = client.view_api(return_format="dict", print_info=False)
    described = described["named_endpoints"]
    assert set(described) == {f"/{name}" for name in NAMES}
    for name in NAMES:
        assert len(described[f"/{name}"]["description"]) > 20
    names = [p["parameter_name"] for p in described["/classify"]["parameters"]]
    assert names == ["model", "premise", "hypothesis"]


def test_a_run_from_start_to_its_model(call: Call) -> None:
    started = call("start_run", settings=SMALL | {"steps": 12}, title="by <b>API</b>")
    assert len(started["token"]) > 16
    status = finished(call, started["run"])
    assert status["state"] == "completed", status["message"]
    assert status["step"] == 12 and status["title"] == "by <b>API</b>"
    assert status["settings"]["hidden_size"] == 32
    assert status["scores"]["mlm_loss"] > 0
    assert status["diagnosis"]["name"] == "word_frequency", status["diagnosis"]
    assert "more steps, some hundred" in status["diagnosis"]["advice"]
    assert status["model"] == started["model"]
    first = call("run_events", started["run"])
    kinds = [event["event"] for event in first["events"]]
    assert kinds[0] == "start" and kinds[-1] == "end" and kinds.count("step") == 12
    assert call("run_events", started["run"], first["next"])["events"] == []
    assert started["model"] in [model["id"] for model in call("list_models", "pretraining")]
    tokens = call("encode", started["model"], "a crane is flying")
    assert tokens["shape"] == [6, 32]
    assert status["moments"][0] == 0 and 12 not in status["moments"]
    then, now = (
        call("fill_mask", model, "a <mask> is flying", 1)["masks"][0][0]["probability"]
        for model in (f"{started['model']}@0", started["model"])
    )
    assert then != now


def test_fine_tuning_from_a_model_shows_no_path(call: Call, folder: Path) -> None:
    run = call(
        "start_run",
        task="nli",
        start_from="bundled/words",
        budget_seconds=None,
        settings={"steps": 2, "batch_size": 8},
    )
    status = finished(call, run["run"])
    assert status["state"] == "completed", status["message"]
    assert status["settings"]["start_from"] == "bundled/words"
    events = call("run_events", run["run"])
    assert events["events"][0]["started_from"] == "bundled/words"
    assert str(folder) not in str(status) + str(events)


def test_only_the_token_of_a_run_stops_it(call: Call) -> None:
    mine = call("start_run", budget_seconds=60, settings=SMALL, token="a secret of my own")
    assert mine["token"] == "a secret of my own"
    for wrong in ("", "another", mine["run"]):
        with pytest.raises(AppError, match=r"Only the browser that started|has no name yet"):
            call("stop_run", mine["run"], wrong)
    while call("run_status", mine["run"])["state"] == "queued":
        time.sleep(0.1)
    assert call("stop_run", mine["run"], mine["token"])["state"] in ("stopping", "stopped")
    assert finished(call, mine["run"])["state"] == "stopped"


def test_the_teacher_stops_any_run(call: Call) -> None:
    run = call("start_run", budget_seconds=60, settings=SMALL)["run"]
    call("stop_run", run, ADMIN)
    assert finished(call, run)["state"] == "stopped"


def test_answers_equal_those_of_the_library(call: Call, folder: Path) -> None:
    model, tokenizer, _ = bert_demo.load(folder / "checkpoints" / "words")
    texts = ["a crane is flying", "a crane lifts the beam"]
    expected = bert_demo.encode(model, tokenizer, texts[0], "it is high")
    answer = call("encode", "bundled/words", texts[0], "it is high")
    assert answer["tokens"] == expected.tokens
    assert answer["vectors"][1] == pytest.approx(expected.vectors[1].tolist(), abs=1e-5)
    embeddings = call("encode", "bundled/words", texts[0], layer=0)["vectors"]
    plain = bert_demo.encode(model, tokenizer, texts[0]).hidden_states[0]
    assert embeddings[2] == pytest.approx(plain[2].tolist(), abs=1e-5)
    compared = bert_demo.compare(model, tokenizer, "crane", texts)
    answer = call("compare", "bundled/words", "crane", texts)
    cosine = float(compared.similarities[0, 1])
    assert answer["similarities"][0][1] == pytest.approx(cosine, abs=1e-5)
    filled = bert_demo.fill_mask(model, tokenizer, "a <mask> is flying", 3)[0]
    answer = call("fill_mask", "bundled/words", "a <mask> is flying", 3)["masks"][0]
    assert [item["word"] for item in answer] == [word for word, _ in filled]
    judge, tokenizer, _ = bert_demo.load(folder / "checkpoints" / "judge")
    verdict = bert_demo.classify(judge, tokenizer, "a man sleeps", "a man is awake")
    answer = call("classify", "bundled/judge", "a man sleeps", "a man is awake")
    assert answer["label"] == verdict.label
    assert answer["probabilities"] == pytest.approx(verdict.probabilities, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("encode", {"model": "../../etc", "text": "a"}, "not a model's name"),
        ("encode", {"model": "bundled/none", "text": "a"}, "no model 'bundled/none'"),
        ("encode", {"model": "bundled/words", "text": ""}, "text"),
        ("encode", {"model": "bundled/words", "text": "a " * MOST_CHARACTERS}, "at most 10,000"),
        ("encode", {"model": "bundled/words", "text": 5}, "text must be text"),
        ("encode", {"model": "bundled/words", "text": "a", "layer": 9}, "layer is 9"),
        ("encode", {"model": ["x"], "text": "a"}, "not a model's name"),
        ("compare", {"model": "bundled/words", "word": "crane", "texts": ["a"]}, "two or more"),
        ("compare", {"model": "bundled/words", "word": "x", "texts": ["a"] * 51}, f"{MOST_TEXTS}"),
        ("compare", {"model": "bundled/words", "word": "x", "texts": ["a", "b"]}, "the word 'x'"),
        ("classify", {"model": "bundled/words", "premise": "a", "hypothesis": "b"}, "fine-tune"),
        ("fill_mask", {"model": "bundled/words", "text": "no blank"}, "write <mask>"),
        ("fill_mask", {"model": "bundled/words", "text": "<mask>", "top": 1000}, "from 1 to 100"),
        ("fill_mask", {"model": "bundled/judge", "text": "<mask>"}, "fine-tuned"),
        ("list_models", {"task": "all"}, "task is 'all'"),
        ("run_status", {"run": "../.."}, "not the name of a run"),
        ("run_status", {"run": "20200101-aaaa"}, "no run"),
        ("run_events", {"run": "20200101-aaaa", "after": -1}, "after is -1"),
        ("stop_run", {"run": "20200101-aaaa", "token": "x"}, "no run"),
        ("start_run", {"task": "nothing"}, "task is 'nothing'"),
        ("start_run", {"task": "nli"}, "needs a checkpoint"),
        ("start_run", {"settings": {"nothing": 1}}, "no setting 'nothing'"),
        ("start_run", {"settings": {"teacher": "/etc"}}, "teacher cannot be set here"),
        ("start_run", {"settings": {"teacher": "/none"}}, "teacher cannot be set here"),
        ("start_run", {"settings": {"new_pairs": 10**7}}, "new_pairs cannot be set here"),
        ("start_run", {"settings": {"logic_pairs": 10**5}}, "logic_pairs cannot be set here"),
        (
            "start_run",
            {"task": "nli", "start_from": "bundled/words", "settings": {"teacher": "/etc"}},
            "teacher cannot be set here",
        ),
        (
            "start_run",
            {"task": "nli", "start_from": "bundled/words", "settings": {"hidden_size": 8}},
            "hidden_size cannot be set here",
        ),
        ("start_run", {"settings": {"start_from": "/etc"}}, "argument of its own"),
        ("start_run", {"settings": [1]}, "settings must be an object"),
        ("start_run", {"settings": {"batch_size": 10**9}}, "batch_size"),
        ("start_run", {"budget_seconds": "long"}, "budget_seconds"),
        ("start_run", {"start_from": "/etc/passwd"}, "not a model's name"),
        ("start_run", {"settings": {"size": "large", "batch_size": 65536}}, "GB"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    call: Call, name: str, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(AppError) as raised:
        call(name, **arguments)
    message = str(raised.value)
    assert words in message
    assert "Traceback" not in message and message.endswith(".")


def test_what_a_visitor_may_set_is_what_the_forms_ask_for() -> None:
    every = {item.name for config in (RunConfig, TrainingConfig) for item in settings_of(config)}
    for task, visitors in VISITOR_SETTINGS.items():
        asked = {*forms.names(task), *forms.BUDGETS} - {forms.BUDGET, forms.BUDGET_KIND}
        assert asked == set(visitors)
    offered = {name for visitors in VISITOR_SETTINGS.values() for name in visitors}
    assert every - offered == {"task", *TEACHING_SETTINGS}


def test_on_zerogpu_runs_start_from_the_page_alone(folder: Path, tmp_path: Path) -> None:
    context = AppContext(AppSettings(data_dir=tmp_path, checkpoints_dir=folder / "checkpoints"))
    context.queue = ZeroGpuQueue(context.store, no_gpu, max_run_seconds=9)
    with pytest.raises(UserError, match="started from the page"):
        Api(context).start_run()


def no_gpu(duration: Any) -> Any:
    """`spaces.GPU` where there is none."""
    return lambda task: task


def test_a_model_that_was_asked_once_answers_from_memory(folder: Path, call: Call) -> None:
    """What makes a call quick: its files are looked at, and read only if they have changed."""
    for name, model, *words in (
        ("classify", "judge", "a man is sleeping", "a man is awake"),
        ("encode", "words", "a crane is flying over the lake"),
    ):
        first = call(name, f"bundled/{model}", *words)
        weights = folder / "checkpoints" / model / "model.safetensors"
        data, state = weights.read_bytes(), weights.stat()
        for content in (bytes(len(data)), data):
            weights.write_bytes(content)
            os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
            assert call(name, f"bundled/{model}", *words) == first
