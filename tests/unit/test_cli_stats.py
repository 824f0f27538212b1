"""`bec jobs stats`: what it shows, and that it moves within a volume."""

import datetime as dt
import io
from dataclasses import replace
from typing import cast

import pytest
from rich.console import Console

from bec_orch.cli.jobs import stats as module
from bec_orch.cli.jobs.stats import _picture, _standing, _StateBar, _watch
from bec_orch.core.records.overview import JobFigures, Overview, VolumeFigures, WorkerCondition, WorkerTask, WorkerView
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import PageCounts
from bec_orch.orch.machines.prices import PriceTable

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
JOB = Job(1, "toy", "toy", {}, "")


class Fake:
    """A job of two volumes of 50 pages, one done; two workers, of which one is lost, are at 20 pages of the other."""

    def __init__(self) -> None:
        self.pages_done = 20

    def figures(self, _job: str, windows: tuple[float, ...]) -> JobFigures:
        tasks = {TaskState.DONE: 1, TaskState.RUNNING: 1}
        volumes = {
            TaskState.DONE: VolumeFigures(1, PageCounts(ok=50), known_pages=50),
            TaskState.RUNNING: VolumeFigures(1, known_pages=50),
        }
        return JobFigures(JOB, tasks, volumes, {"E_IMAGE_TRUNCATED": 1}, dict.fromkeys(windows))

    def machine_uses(self, _job: str) -> list[object]:
        return []

    def workers(self, _job: str, *, stopped: bool, limit: int) -> list[WorkerView]:
        assert not stopped
        return [self._worker(condition) for condition in (WorkerCondition.WORKING, WorkerCondition.LOST)]

    def _worker(self, condition: WorkerCondition) -> WorkerView:
        doing = (WorkerTask(2, "W1", "I2", self.pages_done, 50, NOW),)
        return WorkerView("w", "toy", "here", 1, "1", condition, 1.0, doing, NOW, NOW, None, None)


def standing(fake: Fake) -> module.Standing:
    return _standing(cast("Overview", fake), PriceTable(), "toy")


def drawn(fake: Fake, width: int = 100) -> str:
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    screen.print(_picture(standing(fake)))
    return cast("io.StringIO", screen.file).getvalue()


def test_the_pages_of_running_volumes_count_and_move_the_bar() -> None:
    fake = Fake()
    before = drawn(fake)
    fake.pages_done = 45
    after = drawn(fake)
    assert "pages with E_IMAGE_TRUNCATED 1 pages finished of running volumes 20" in " ".join(before.split())
    assert "pages finished of running volumes 45" in " ".join(after.split())
    assert before.splitlines()[0] != after.splitlines()[0]
    assert ("pages left 30" in " ".join(before.split()), "pages left 5" in " ".join(after.split())) == (True, True)


def test_each_running_volume_has_a_bar_and_each_state_its_share() -> None:
    shown = drawn(Fake()).splitlines()
    assert [line.split()[0] for line in shown[:3]] == ["pages", "volumes", "W1/I2"]
    assert (shown[1].count("█"), shown[1].count("▓"), shown[1].split()[-3:]) == (30, 30, ["1", "of", "2"])
    assert shown[2].split()[-3:] == ["20", "of", "50"]


def test_volumes_that_wait_for_a_job_that_failed_are_told_and_take_no_time() -> None:
    fake = Fake()
    assert "waiting for a job that failed" not in drawn(fake)
    found = fake.figures("toy", (300.0, 3600.0))
    stuck = {**found.volumes, TaskState.WAITING: VolumeFigures(3, known_pages=70, stuck=2)}
    fake.figures = lambda _job, windows: replace(found, volumes=stuck, paces=dict.fromkeys(windows))  # type: ignore[method-assign]
    told = " ".join(drawn(fake).split())
    assert "waiting for a job that failed 2 " in told
    assert "pages left 100 " in told


def test_a_state_of_few_volumes_is_seen_beside_many() -> None:
    bar = _StateBar({TaskState.DONE: 60_000, TaskState.TERMINAL_FAILED: 1, TaskState.RUNNING: 2})
    for width in (60, 20):
        plain = bar.drawn(width).plain
        assert (len(plain), plain.count("█"), plain.count("▚"), plain.count("▓")) == (width, width - 2, 1, 1)
    assert _StateBar({}).drawn(60).plain == ""


def test_bars_fit_a_narrow_terminal() -> None:
    shown = drawn(Fake(), 50).splitlines()
    assert all(len(line) <= 50 for line in shown)
    assert "…" not in shown[1]
    assert shown[1].count("█") == shown[1].count("▓") > 5


def test_of_many_running_volumes_the_longest_have_a_bar() -> None:
    since = [NOW - dt.timedelta(minutes=n) for n in range(12)]
    doing = tuple(WorkerTask(n, "W1", f"I{n}", 1, 2, begun) for n, begun in enumerate(since))
    worker = replace(Fake()._worker(WorkerCondition.WORKING), doing=doing)
    fake = Fake()
    fake.workers = lambda _job, **_: [worker]  # type: ignore[method-assign]
    shown = drawn(fake)
    assert [f"W1/I{n} " in shown for n in (11, 2, 1, 0)] == [True, True, False, False]
    assert "and 2 more volumes" in shown


def test_to_watch_draws_on_a_screen_of_its_own_and_leaves_the_last_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), width=100, force_terminal=True)
    monkeypatch.setattr(module, "console", lambda: screen)
    shown: list[str] = []
    monkeypatch.setattr(module, "print_record", lambda record: shown.append(record["job"]))

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bec_orch.cli.jobs.stats.time.sleep", interrupted)
    _watch(lambda: standing(Fake()))
    written = cast("io.StringIO", screen.file).getvalue()
    assert written.startswith("\x1b[?1049h"), "the alternate screen, which is drawn anew at each size"
    assert "\x1b[?1049l" in written
    assert shown == ["toy"]
