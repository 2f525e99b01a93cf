"""The folder of runs: who may do what, what is written, and what fifty watchers read."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig, TrainingConfig, model_config
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.model import checkpoint, unfinished
from bert_demo.model.bert import BertModel
from bert_demo.model.folders import LOCK, read_json
from bert_demo.runs import record
from bert_demo.runs.actions import request
from bert_demo.runs.events import REWIND
from bert_demo.runs.owners import NotAllowed
from bert_demo.runs.record import Status, held, write_json, write_status
from bert_demo.runs.store import RunStore

ROOT = Path(__file__).resolve().parents[2]
CONFIG = RunConfig(training=TrainingConfig(steps=5))


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs", admin_token="teacher")


def put(store: RunStore, run_id: str, state: str, **fields: Any) -> None:
    write_status(store.root / run_id, Status(state, **fields))


def test_a_run_comes_back_as_it_was_made(store: RunStore) -> None:
    run = store.create(CONFIG, "secret-of-anna", "  My\nfirst \x00 run ", 12.5)
    assert store.get(run.id) == run == RunStore(store.root).get(run.id)
    assert run.config == CONFIG and run.title == "My first run" and run.estimate_seconds == 12.5
    assert run.status.state == "queued" and run.status.queued is not None
    assert not run.has_model and not run.goes_on
    written = "".join(p.read_text() for p in store.root.rglob("*") if p.is_file())
    assert "secret-of-anna" not in written
    assert store.create(CONFIG, "ben").title == "tiny on crane-world"


def test_runs_are_listed_newest_first_and_follow_the_disk(store: RunStore) -> None:
    ids = [store.create(CONFIG, "anna").id for _ in range(5)]
    assert len(set(ids)) == 5
    assert [run.id for run in store.list()] == ids[::-1]
    put(store, ids[0], "completed", step=7)
    assert store.list()[-1].status.step == 7
    assert request(store, ids[1], "delete", "anna") is None
    assert [run.id for run in store.list()] == [ids[4], ids[3], ids[2], ids[0]]
    assert not (store.root / ids[1]).exists()


@pytest.mark.parametrize(
    "run_id",
    ["", ".", "..", "../other", "a/b", "a\\b", "/etc", ".hidden", "x" * 65, "a\n", 7, None],
)
def test_names_that_lead_elsewhere_are_refused(store: RunStore, run_id: Any) -> None:
    outside = store.root.parent / "other"
    outside.mkdir()
    (outside / "run.json").write_text("{}")
    with pytest.raises(UserError, match="not the name of a run"):
        store.get(run_id)
    for action in ("delete", "stop"):
        with pytest.raises(UserError, match="not the name of a run"):
            request(store, run_id, action, "teacher")
    with pytest.raises(UserError):
        store.events(run_id)
    assert outside.exists()


def test_a_run_that_is_not_there_is_said(store: RunStore) -> None:
    with pytest.raises(UserError, match="There is no run 'nothing'"):
        store.get("nothing")


@pytest.mark.parametrize("token", ["ben", "", None, "Teacher", "\ud800"])
@pytest.mark.parametrize("action", ["stop", "pause", "resume", "delete"])
def test_strangers_change_nothing(store: RunStore, action: str, token: str | None) -> None:
    run = store.create(CONFIG, "anna")
    for state in ("queued", "running", "paused", "completed"):
        put(store, run.id, state)
        with pytest.raises(NotAllowed, match="Only the browser that started this run"):
            request(store, run.id, action, token)
        assert store.get(run.id).status.state == state


def test_what_is_kept_of_a_token_opens_nothing(store: RunStore) -> None:
    run = store.create(CONFIG, "anna")
    assert run.owner is not None and not store.may_control(run, run.owner)
    assert store.may_control(run, "anna") and store.may_control(run, "teacher")


def test_without_an_admin_token_nobody_is_the_teacher(tmp_path: Path) -> None:
    for admin_token in (None, ""):
        store = RunStore(tmp_path, admin_token=admin_token)
        assert not any(store.is_admin(token) for token in ("", None, "teacher"))


def test_orders_are_heeded_where_they_make_sense(store: RunStore) -> None:
    run_id = store.create(CONFIG, "anna").id

    def ask(action: str, token: str = "anna") -> str:
        run = request(store, run_id, action, token)
        assert run is not None
        return run.status.state

    with pytest.raises(UserError, match="is queued"):
        ask("pause")
    assert ask("stop") == "stopped"
    with pytest.raises(UserError, match="ended already"):
        ask("stop")
    assert ask("resume", "teacher") == "queued"
    assert store.claim(run_id) and not store.claim(run_id)
    assert ask("pause") == "pausing"
    assert ask("stop") == "stopping"
    assert record.wished(store.root / run_id) == "stop"
    with pytest.raises(UserError, match="is stopping"):
        ask("pause")
    with pytest.raises(UserError, match="stop it before"):
        ask("delete")
    put(store, run_id, "completed")
    assert record.wished(store.root / run_id) is None, "an order must not outlive its run"
    with pytest.raises(UserError, match="cut short"):
        ask("resume")
    with pytest.raises(UserError, match="not 'explode'"):
        ask("explode")


def test_only_so_much_is_kept(tmp_path: Path) -> None:
    store = RunStore(tmp_path, admin_token="teacher", max_runs_per_owner=2)
    for _ in range(2):
        store.create(CONFIG, "anna")
    with pytest.raises(UserError, match="You have 2 runs"):
        store.create(CONFIG, "anna")
    store.create(CONFIG, "ben")
    for _ in range(3):
        store.create(CONFIG, "teacher")
    assert len(store.list()) == 6
    (tmp_path / "big").write_bytes(bytes(2_000))
    with pytest.raises(UserError, match="delete some first"):
        RunStore(tmp_path, max_total_bytes=1_500).create(CONFIG, "chris")
    with pytest.raises(UserError, match="no name yet"):
        store.create(CONFIG, "")


def test_a_place_that_cannot_hold_runs_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot hold runs"):
        RunStore(tmp_path / "file")


def test_damage_to_one_run_stays_there(store: RunStore) -> None:
    whole, torn, lost, odd = (store.create(CONFIG, "anna").id for _ in range(4))
    (store.root / torn / "status.json").write_text('{"state": "runn')
    (store.root / lost / "run.json").write_text("[]")
    facts = json.loads((store.root / odd / "run.json").read_text())
    facts["config"]["of_another_version"] = 1
    (store.root / odd / "run.json").write_text(json.dumps(facts))
    (store.root / "notes.txt").write_text("mine")
    (store.root / "a folder of mine").mkdir()
    assert {run.id for run in store.list()} == {whole, torn, odd}
    assert store.get(torn).status.state == "failed"
    assert store.get(odd).config is None
    put(store, odd, "paused")
    with pytest.raises(UserError, match="another version"):
        request(store, odd, "resume", "anna")


@pytest.mark.parametrize("said", [None, 3, {}, {"template": "{x}", "values": {}}, "another"])
def test_a_message_without_its_template_stays_english(store: RunStore, said: Any) -> None:
    run = store.create(RunConfig(), "token")
    message = Text("Paused after {n} steps.", n=7)
    assert store.set_status(run.id, message=message).status.message.values == {"n": 7}
    status = json.loads((run.folder / "status.json").read_text(encoding="utf-8"))
    status["said"] = said
    (run.folder / "status.json").write_text(json.dumps(status), encoding="utf-8")
    read = RunStore(store.root).get(run.id).status.message
    assert read == message and not isinstance(read, Text)


def test_checkpoints_of_the_command_line_are_runs_too(store: RunStore) -> None:
    tokenizer = Tokenizer.from_words([*SPECIAL_TOKENS, "a", "crane"])
    model = BertModel(model_config("tiny", "d2l", tokenizer.vocab_size, hidden_size=8))
    about = {"run": CONFIG.to_dict(), "scores": {"mlm_loss": 5.0}, "step": 9, "seconds": 1.5}
    checkpoint.save(store.root / "mine", model, tokenizer, about)
    checkpoint.save(store.root / "theirs", model, tokenizer, {"source": "elsewhere"})
    mine, theirs = store.get("mine"), store.get("theirs")
    assert mine.status.state == "completed" and mine.status.step == 9
    assert mine.config == CONFIG and mine.status.scores == {"mlm_loss": 5.0}
    assert mine.has_model and mine.model == mine.folder and theirs.config is None
    (mine.folder / "metrics.jsonl").write_text('{"event": "step", "step": 1}\n')
    assert store.events("mine")[0] == [{"event": "step", "step": 1}]
    unfinished.save_resume(mine.folder, {}, {})
    assert not store.get("theirs").goes_on and store.get("mine").goes_on
    assert store.get("mine").status.state == "stopped"
    with pytest.raises(NotAllowed):
        request(store, "mine", "delete", "anna")
    with pytest.raises(UserError, match="command line"):
        request(store, "mine", "resume", "teacher")
    request(store, "mine", "delete", "teacher")
    assert [run.id for run in store.list()] == ["theirs"]


def test_the_page_can_open_runs_without_torch() -> None:
    code = "import bert_demo.runs.queue, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def metrics_of(store: RunStore, run_id: str) -> Path:
    path = store.root / run_id / "model" / "metrics.jsonl"
    path.parent.mkdir(exist_ok=True)
    return path


def line(step: int, event: str = "step") -> str:
    return json.dumps({"event": event, "step": step}) + "\n"


def steps(events: list[dict[str, Any]]) -> list[int]:
    return [event["step"] for event in events]


def test_events_come_once_and_whole(store: RunStore) -> None:
    run_id = store.create(CONFIG, "anna").id
    assert store.events(run_id)[0] == []
    path = metrics_of(store, run_id)
    with path.open("a") as file:
        file.write(line(1) + line(2) + line(3)[:9])
        file.flush()
        events, after = store.events(run_id)
        assert steps(events) == [1, 2]
        assert store.events(run_id, after) == ([], after)
        file.write(line(3)[9:] + "not json\n" + line(4))
        file.flush()
    assert steps(store.events(run_id, after)[0]) == [3, 4]
    assert steps(store.events(run_id)[0]) == [1, 2, 3, 4]
    assert after < 2**53, "JavaScript counts no further"


def test_who_watched_a_run_before_it_was_resumed_begins_anew(store: RunStore) -> None:
    run_id = store.create(CONFIG, "anna").id
    path = metrics_of(store, run_id)
    path.write_text(line(0, "start") + "".join(line(n) for n in range(1, 9)))
    _, after = store.events(run_id)
    # As the loop does it: steps up to the save stay, later ones come again, "start" moves.
    path.write_text("".join(line(n) for n in range(1, 5)) + line(4, "start"))
    events, again = store.events(run_id, after)
    assert events[0] == REWIND and steps(events[1:]) == [1, 2, 3, 4, 4]
    with path.open("a") as file:
        file.write("".join(line(n) for n in range(5, 12)))
    assert steps(store.events(run_id, again)[0]) == list(range(5, 12))
    assert store.events(run_id, after)[0][0] == REWIND
    # The same length, other contents.
    path.write_text(path.read_text().replace("11}", "99}"))
    assert store.events(run_id, again)[0][0] == REWIND
    # A cursor of an app that ran before this one.
    assert RunStore(store.root).events(run_id, again)[0][0] == REWIND


@pytest.mark.parametrize("after", [-5, 10**30, 2**32])
def test_any_number_is_a_safe_cursor(store: RunStore, after: int) -> None:
    run_id = store.create(CONFIG, "anna").id
    metrics_of(store, run_id).write_text(line(1))
    events, _ = store.events(run_id, after)
    assert steps([e for e in events if e != REWIND]) == [1]


def test_many_watchers_of_a_growing_run_each_see_everything(store: RunStore) -> None:
    run_id = store.create(CONFIG, "anna").id
    path = metrics_of(store, run_id)
    seen: list[list[int]] = [[] for _ in range(20)]

    def watch(mine: list[int]) -> None:
        after = 0
        while not mine or mine[-1] != 300:
            events, after = store.events(run_id, after)
            mine += steps(events)

    threads = [threading.Thread(target=watch, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    with path.open("a") as file:
        for step in range(1, 301):
            text = line(step)
            file.write(text[:7])
            file.flush()
            file.write(text[7:])
            file.flush()
    for thread in threads:
        thread.join()
    assert all(mine == list(range(1, 301)) for mine in seen)


def test_readers_never_meet_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_json(path, {"n": 0})
    done = threading.Event()

    def write() -> None:
        for n in range(300):
            write_json(path, {"n": n, "text": "x" * (n % 7) * 3000})
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    read = 0
    while not done.is_set():
        assert read_json(path) is not None
        read += 1
    thread.join()
    assert read and [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_a_run_is_interrupted_once_its_worker_is_gone(store: RunStore) -> None:
    run_id, waiting = (store.create(CONFIG, "anna").id for _ in range(2))
    put(store, run_id, "running", step=3)
    code = (
        "import sys, time; from pathlib import Path; from bert_demo.runs.record import held\n"
        "with held(Path(sys.argv[1])) as free: print(free, flush=True); time.sleep(60)"
    )
    lock = store.root / run_id / LOCK
    worker = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    with worker, worker.stdout:
        assert worker.stdout.readline() == "True\n"
        with held(lock) as free:
            assert not free
        store.mark_interrupted()
        assert store.get(run_id).status.state == "running"
        worker.kill()
        worker.wait()
    store.mark_interrupted(besides=[run_id])
    assert store.get(run_id).status.state == "running"
    store.mark_interrupted()
    status = store.get(run_id).status
    assert status.state == "interrupted" and status.step == 3
    assert "can begin again" in status.message
    assert store.get(waiting).status.state == "queued"
