"""The dashboard: the graph's drawing, bars of states, and lines for Prometheus."""

import datetime as dt
import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from bec_orch.core.records.listings import DoubtfulVolume
from bec_orch.core.records.overview import GraphNode
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import PageCounts, VolumeRef
from bec_orch.orch.overview.standing import JobStats
from bec_orch.orch.overview.volume_pages import PageView, VolumePages
from bec_orch.web.dashboard.examples import example_number
from bec_orch.web.dashboard.graph import BOX, drawing
from bec_orch.web.dashboard.job import silent_table, why_doubtful
from bec_orch.web.dashboard.jobs import jobs
from bec_orch.web.dashboard.states import counts_of, shares
from bec_orch.web.html.tables import answer
from bec_orch.web.live.metrics import Metric


def node(name: str, *needs: str) -> GraphNode:
    return GraphNode(name, "ldv1", needs, {}, {})


def test_each_job_stands_right_of_what_it_needs_and_on_no_other() -> None:
    nodes = [node("a"), node("b"), node("c", "a", "b"), node("d", "a"), node("e", "d", "a")]
    found = drawing(nodes)
    place = {box.node.name: box for box in found.boxes}
    for job in nodes:
        assert all(place[needed].x + BOX[0] < place[job.name].x for needed in job.depends_on)
    for one, other in itertools.combinations(found.boxes, 2):
        assert abs(one.x - other.x) >= BOX[0] or abs(one.y - other.y) >= BOX[1]
    assert len(found.curves) == 5
    assert all(box.x + BOX[0] <= found.width and box.y + BOX[1] <= found.height for box in found.boxes)


def test_no_jobs_are_no_drawing() -> None:
    assert drawing([]).boxes == ()


def test_a_job_whose_need_was_deleted_is_drawn() -> None:
    assert drawing([node("a", "gone")]).curves == []


def test_an_example_is_the_page_that_failed_in_this_way_else_one_that_failed() -> None:
    pages = [PageView(1, "a", "ok"), PageView(2, "b", "error", code="E_A"), PageView(3, "c", "error", code="E_B")]
    found = VolumePages("j", VolumeRef("W1", "I1", "s"), 1, TaskState.DONE, partial=False, pages=pages)
    assert [example_number(found, code) for code in ("E_A", "E_B", "E_C")] == [2, 3, 2]
    assert example_number(replace(found, pages=pages[:1]), "E_A") == 1
    assert example_number(replace(found, pages=[]), "E_A") == 0


def doubtful(
    source: str, ok: int = 4, skipped: int = 0, error: int = 0, unsure: int = 0, *, shared: bool = False
) -> DoubtfulVolume:
    at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    return DoubtfulVolume("W1", "I1", source, ok, skipped, error, unsure, at, has_namesakes=shared)


def test_volumes_of_one_name_are_told_and_lead_to_their_own_sources() -> None:
    alone = silent_table("j", [doubtful("folder+file:///a")])
    assert [column.key for column in alone.columns] == ["volume", "pages_ok", "why", "finished_at"]
    assert alone.columns[0].link(alone.rows[0]) == "/volumes/W1/I1"
    both = silent_table("j", [doubtful("folder+file:///a", shared=True), doubtful("folder+file:///b#c=1", shared=True)])
    assert both.columns[-1].key == "source"
    assert [both.columns[0].link(row) for row in both.rows] == [
        "/volumes/W1/I1?source=folder%2Bfile%3A%2F%2F%2Fa",
        "/volumes/W1/I1?source=folder%2Bfile%3A%2F%2F%2Fb%23c%3D1",
    ]


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ((4, 0, 0, 0), "nothing was found on its pages"),
        ((0, 3, 0, 0), "its pages were skipped"),
        ((0, 1, 2, 0), "its pages are errors"),
        ((4, 0, 0, 2), "2 pages read with little confidence"),
    ],
)
def test_why_a_volume_is_doubtful(pages: tuple[int, int, int, int], why: str) -> None:
    assert why_doubtful(doubtful("s", *pages)) == why


def test_a_table_that_is_cut_says_so() -> None:
    volume = doubtful("s")
    for found, most, cut in (([volume] * 3, 3, False), ([volume] * 4, 3, True)):
        table = silent_table("j", found, most)
        assert (len(table.rows), table.is_cut) == (3, cut)
        answered = answer(asked("/jobs/j/silent.json", None), table)
        assert answered
        assert json.loads(bytes(answered.body))["is_cut"] is cut


def test_older_tasks_are_taken_off_those_that_are_counted_now() -> None:
    tasks, volumes = {TaskState.DONE: 5, TaskState.QUEUED: 1}, {TaskState.DONE: 3, TaskState.QUEUED: 1}
    stats = JobStats(Job(1, "a", "ldv1", {}, ""), tasks, volumes, PageCounts(), {}, 0, None, None, None)
    now = replace(node("a"), tasks={TaskState.DONE: 6, TaskState.RUNNING: 1})
    counted = {TaskState.DONE: 4, TaskState.RUNNING: 1}
    assert counts_of(now, stats) == counted
    assert counts_of(now, None) == now.tasks
    assert counts_of(None, stats) == stats.volumes
    assert counts_of(None, None) == {}


def test_shares_fill_the_bar_in_order() -> None:
    found = shares({TaskState.TERMINAL_FAILED: 1, TaskState.DONE: 2, TaskState.RUNNING: 1, TaskState.WAITING: 0})
    assert [(one.state, one.word, one.count, one.begin, one.width) for one in found] == [
        (TaskState.DONE, "done", 2, 0.0, 500.0),
        (TaskState.RUNNING, "running", 1, 500.0, 250.0),
        (TaskState.TERMINAL_FAILED, "failed", 1, 750.0, 250.0),
    ]
    assert shares({}) == []


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ([({"job": "a"}, 3)], ['m{job="a"} 3']),
        ([({}, 0.5)], ["m 0.5"]),
        ([({"job": 'a"b\\c\nd'}, 1e9)], ['m{job="a\\"b\\\\c\\nd"} 1e+09']),
    ],
)
def test_a_metric_is_written_as_prometheus_reads_it(
    values: list[tuple[dict[str, str], float]], lines: list[str]
) -> None:
    assert list(Metric("m", "Tells.", values).lines()) == ["# HELP m Tells.", "# TYPE m gauge", *lines]


def test_a_metric_without_values_is_left_out() -> None:
    assert list(Metric("m", "Tells.", []).lines()) == []


def asked(path: str, sight: object) -> Request:
    app = SimpleNamespace(state=SimpleNamespace(sight=sight))
    return Request({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "app": app})


def test_jobs_that_are_not_counted_yet_are_not_said_to_be_none() -> None:
    waited: list[float] = []

    def figure(*_: object, seconds: float) -> None:
        waited.append(seconds)

    sight = SimpleNamespace(figure=figure, figures=lambda *_: [], overview=None)
    shown = bytes(jobs(asked("/jobs", sight)).body).decode()
    assert "The jobs are being counted." in shown
    assert "There are no jobs yet" not in shown
    jobs(asked("/jobs.json", sight))
    for_a_person, for_a_program = waited
    assert for_a_person < 1
    assert for_a_program > 10, "it does not look again"
