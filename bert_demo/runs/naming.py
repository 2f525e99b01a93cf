"""What the owner of a run calls it, and a note on it."""

from __future__ import annotations

from bert_demo.common.errors import UserError
from bert_demo.model.folders import LONGEST_NOTE, LONGEST_TITLE, RUN
from bert_demo.model.plain_json import one_line, read_value
from bert_demo.runs.record import Run, write_json
from bert_demo.runs.store import NotAllowed, RunStore


def rename(store: RunStore, run_id: str, token: str | None, title: str, note: str) -> Run:
    """Give a run another title, where there is one, and another note; gives the run afterwards.

    Raises:
        NotAllowed: for who did not start it and is not the teacher.
        UserError: for a checkpoint from a shell, which is called by its folder.
    """
    run = store.get(run_id)
    if not store.may_control(run, token):
        raise NotAllowed("Only the browser that started this run, or the teacher, can rename it.")
    if run.folder == run.model:
        raise UserError("{title} is called by its folder; rename that.", title=run.title)
    try:
        facts = read_value(run.folder / RUN)
        named = {"title": one_line(title, LONGEST_TITLE) or facts["title"]}
        write_json(run.folder / RUN, facts | named | {"note": one_line(note, LONGEST_NOTE)})
    except OSError as error:
        raise UserError(
            "The folder of this run cannot be changed: {reason}.", reason=error.strerror
        ) from error
    return store.get(run_id)
