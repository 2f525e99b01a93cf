"""How fast this computer is, whoever else is at work on it."""

from __future__ import annotations

import os
import sys
import time

import pytest

from bert_demo import speed


def test_what_others_took_does_not_count() -> None:
    main, lane, other = os.getpid(), -1, -2
    before = {main: 1.0, lane: 2.0}
    after = {main: 1.5, lane: 2.25, other: 0.125}
    # Ten seconds, of which the main thread was kept for half a one and the slower lane for a
    # quarter while the main thread waited for it.
    assert speed._own_time(10.0, before, after) == pytest.approx(9.25)
    assert speed._own_time(10.0, {main: 0.0}, {main: 60.0}) == pytest.approx(1.0)
    assert speed._own_time(10.0, {}, {}) == 10.0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long a thread waits")
def test_the_main_thread_is_known_by_its_process() -> None:
    begin, before = time.perf_counter(), speed._waits()
    sum(range(100_000))
    after = speed._waits()
    assert os.getpid() in after
    assert 0 < speed._own_time(time.perf_counter() - begin, before, after) < 60
