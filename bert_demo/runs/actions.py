"""What the owner of a run, or the teacher, may do with it: stop, pause, resume, delete, rename."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from bert_demo.common.corpus_names import own_task
from bert_demo.common.errors import Text, UserError, listed
from bert_demo.data import own
from bert_demo.data.files import remove_folder
from bert_demo.model.folders import CONTROL, LONGEST_NOTE, LONGEST_TITLE, RUN
from bert_demo.model.plain_json import one_line, read_value
from bert_demo.runs.owners import NotAllowed
from bert_demo.runs.record import RESUMABLE, STATES, TRAINING, Run, write_json
from bert_demo.runs.store import RunStore


def request(store: RunStore, run_id: str, action: str, token: str | None) -> Run | None:
    """Stop, pause, resume or delete a run; gives the run afterwards, None once deleted.

    Raises `NotAllowed` for who may not, `UserError` where it makes no sense now.
    """
    if action not in _ACTIONS:
        raise UserError(
            "A run can be asked to {choices}, not {action!r}.",
            choices=listed(said for said, _ in _ACTIONS.values()),
            action=action,
        )
    said, act = _ACTIONS[action]
    with _changing(store, run_id, token, said) as run:
        act(store, run)
        return None if act is _delete else store.get(run_id)


def rename(store: RunStore, run_id: str, token: str | None, title: str, note: str) -> Run:
    """Give a run another title, where there is one, and another note; gives the run afterwards.

    Raises:
        NotAllowed: for who did not start it and is not the teacher.
        UserError: for a checkpoint from a shell, which is called by its folder.
    """
    with _changing(store, run_id, token, Text("rename")) as run:
        if run.folder == run.model:
            raise UserError("{title} is called by its folder; rename that.", title=run.title)
        facts = read_value(run.folder / RUN)
        named = {"title": one_line(title, LONGEST_TITLE) or facts["title"]}
        write_json(run.folder / RUN, facts | named | {"note": one_line(note, LONGEST_NOTE)})
        return store.get(run_id)


@contextlib.contextmanager
def _changing(store: RunStore, run_id: str, token: str | None, action: Text) -> Iterator[Run]:
    """The run, for somebody who may change it; that a disk takes no change is said."""
    with store.lock:
        run = store.get(run_id)
        if not store.may_control(run, token):
            raise NotAllowed(
                "Only the browser that started this run, or the teacher, can {action} it.",
                action=action,
            )
        try:
            yield run
        except OSError as error:
            raise UserError(
                "The folder of this run cannot be changed: {reason}.", reason=error.strerror
            ) from error


def _stop(store: RunStore, run: Run) -> None:
    if run.status.state in TRAINING:
        write_json(run.folder / CONTROL, {"action": "stop"})
    elif run.status.state in ("queued", "paused", "interrupted"):
        message = Text("Stopped." if run.has_model else "Taken out of the queue before it began.")
        store.set_status(run.id, state="stopped", message=message, ended=time.time())
    else:
        raise UserError("This run has ended already.")


def _pause(store: RunStore, run: Run) -> None:
    if run.status.state not in ("running", "pausing"):
        raise UserError("Only a run that is being trained can pause; {state}.", state=_is(run))
    write_json(run.folder / CONTROL, {"action": "pause"})


def _resume(store: RunStore, run: Run) -> None:
    if run.status.state not in RESUMABLE:
        raise UserError("Only a run that was cut short can go on; {state}.", state=_is(run))
    if run.folder == run.model:
        raise UserError(
            "This run was started from the command line; go on with it there, by --resume."
        )
    if run.config is None:
        raise UserError("The settings of this run are of another version of bert_demo.")
    store.set_status(
        run.id,
        state="queued",
        message=Text("Waiting for its turn."),
        queued=time.time(),
        ended=None,
        seconds_left=None,
    )


def _delete(store: RunStore, run: Run) -> None:
    if run.status.state in TRAINING:
        raise UserError("This run is being trained; stop it before you delete it.")
    remove_folder(run.folder)
    corpus = "" if run.config is None else run.config.corpus
    if own_task(corpus) is not None and corpus in own.brought():
        others = (other.config for other in store.list())
        if not any(config is not None and config.corpus == corpus for config in others):
            own.forget(corpus)


def _is(run: Run) -> Text:
    return Text("this one is {state}", state=STATES[run.status.state])


_ACTIONS = {
    "stop": (Text("stop"), _stop),
    "pause": (Text("pause"), _pause),
    "resume": (Text("resume"), _resume),
    "delete": (Text("delete"), _delete),
}
