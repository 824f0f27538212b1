"""What is browsed, on the real database: sorted, filtered and cut tables, attempts, and the course of a job."""

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from bec_orch.core.records.listings import ListedTask, TaskOrder, TaskQuery
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ConfigError
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.listings import PgListings
from bec_orch.io.postgres.overview import PgOverview
from tests.support.archive_rows import SOURCE, Statistics, fill

VOLUMES = 60


@pytest.fixture
def listings(conninfo: str) -> Iterator[PgListings]:
    with psycopg.connect(conninfo) as connection:
        fill(connection, VOLUMES, Statistics.ENQUEUED)
        connection.execute("UPDATE tasks SET pages_error = id % 5 WHERE state = 'done'")
        connection.execute("UPDATE tasks SET started_at = finished_at - make_interval(secs => id) WHERE state = 'done'")
        connection.execute(
            "UPDATE task_attempts SET metrics = "
            """'{"stages": {"infer": {"count": 1, "seconds": 2.5, "longest": 2}}}' WHERE outcome = 'done'"""
        )
    with Database(conninfo) as database:
        yield PgListings(database)


def key_of(order: TaskOrder, task: ListedTask) -> Any:
    pages = [count or 0 for count in (task.pages_ok, task.pages_skipped, task.pages_error)]
    return {
        TaskOrder.UPDATED: task.updated_at,
        TaskOrder.VOLUME: f"{task.w_id}/{task.i_id}",
        TaskOrder.STATE: task.state.value,
        TaskOrder.PAGES: sum(pages) if task.pages_ok is not None else None,
        TaskOrder.ERRORS: task.pages_error,
        TaskOrder.SECONDS: task.seconds if task.state is not TaskState.RUNNING else None,
        TaskOrder.ATTEMPT: task.attempt,
        TaskOrder.CODE: task.failure_code,
    }[order]


@pytest.mark.parametrize("order", TaskOrder)
@pytest.mark.parametrize("descending", [True, False])
def test_tasks_are_sorted_and_those_without_a_value_come_last(
    listings: PgListings, order: TaskOrder, *, descending: bool
) -> None:
    found = listings.tasks("lines", TaskQuery(order=order, descending=descending, limit=1000))
    assert len(found) == VOLUMES
    keys = [key_of(order, task) for task in found]
    there = [key for key in keys if key is not None]
    assert there == sorted(there, reverse=descending)
    assert keys[len(there) :] == [None] * (len(keys) - len(there))


def test_parts_make_up_the_whole(listings: PgListings) -> None:
    whole = listings.tasks("ocr", TaskQuery(order=TaskOrder.STATE, limit=1000))
    parts = (
        listings.tasks("ocr", TaskQuery(order=TaskOrder.STATE, skip=skip, limit=7)) for skip in itertools.count(0, 7)
    )
    assert list(itertools.chain(*itertools.takewhile(bool, parts))) == whole


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (TaskQuery(state=TaskState.DONE), lambda task: task.state is TaskState.DONE),
        (TaskQuery(code="E_X"), lambda task: task.failure_code == "E_X"),
        (
            TaskQuery(code="E_IMAGE_TRUNCATED"),
            lambda task: task.state in {TaskState.DONE, TaskState.TERMINAL_FAILED},
        ),
        (TaskQuery(fingerprint="f6"), lambda task: task.failure_code and int(task.i_id[1:]) % 7 == 6),
        (TaskQuery(text="W1/"), lambda task: task.w_id == "W1"),
        (TaskQuery(text="W1/I2"), lambda task: task.w_id == "W1" and task.i_id.startswith("I2")),
        (TaskQuery(text="I5"), lambda task: task.i_id.startswith("I5")),
        (TaskQuery(text="%"), lambda _task: False),
        (TaskQuery(text="W1' OR true --"), lambda _task: False),
    ],
)
def test_tasks_are_filtered(listings: PgListings, wanted: TaskQuery, fits: Any) -> None:
    every = listings.tasks("lines", TaskQuery(limit=1000))
    found = {task.id for task in listings.tasks("lines", wanted)}
    assert found == {task.id for task in every if fits(task)}
    assert found or wanted.text in {"%", "W1' OR true --"}


def rename(conninfo: str, **names: str) -> None:
    """Give volumes, named by their image groups, other works."""
    with psycopg.connect(conninfo) as connection:
        for i_id, w_id in names.items():
            connection.execute("UPDATE volumes SET w_id = %s WHERE i_id = %s", (w_id, i_id))


def test_volumes_that_share_their_name_with_one_of_another_source_are_told(listings: PgListings, conninfo: str) -> None:
    assert {task.has_namesakes for task in listings.tasks("lines", TaskQuery(limit=1000))} == {False}
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "INSERT INTO volumes (w_id, i_id, source) VALUES ('W0', 'I1', 'x+y://'), ('W0', 'I9z', 'x+y://')"
        )
        connection.execute("UPDATE tasks SET pages_ok = 0 WHERE state = 'done'")
    for found in (listings.tasks("lines", TaskQuery(limit=1000)), listings.silent("lines", limit=1000)):
        assert {(one.w_id, one.i_id) for one in found if one.has_namesakes} == {("W0", "I1")}
        assert {one.source for one in found} == {SOURCE}


def test_names_are_filtered_by_either_unicode_form(listings: PgListings, conninfo: str) -> None:
    rename(conninfo, I50="Re\u0301gion")
    for text in ("Re\u0301g", "R\u00e9g"):
        (found,) = listings.tasks("lines", TaskQuery(text=text))
        assert found.i_id == "I50"


def test_a_volume_is_known_by_another_unicode_form_of_its_names(listings: PgListings, conninfo: str) -> None:
    dots = ("s\u0323\u0307", "\u1e63\u0307", "\u1e69")
    rename(conninfo, I50="Re\u0301gion")
    with Database(conninfo) as database:
        overview = PgOverview(database)
        (source,) = {task.volume.source for task in overview.tasks("lines")}
        typed = [VolumeRef("R\u00e9gion", "I50", of) for of in ("", source, "folder+file:///other")]
        meant = {one: VolumeRef("Re\u0301gion", "I50", one.source) for one in typed[:2]}
        assert overview.spelled([*typed, VolumeRef("W9", "I9", ""), VolumeRef("R\u00e9gion", "I51", "")]) == meant
        # One that is there as it stands is itself; of two that are there, neither is a third.
        rename(conninfo, I51=dots[0])
        assert overview.spelled([VolumeRef(name, "I51", "") for name in dots]) == {
            VolumeRef(name, "I51", ""): VolumeRef(dots[0], "I51", "") for name in dots[1:]
        }
        with psycopg.connect(conninfo) as connection:
            connection.execute("INSERT INTO volumes (w_id, i_id, source) VALUES (%s, 'I51', 'x+y://')", [dots[1]])
        assert overview.spelled([VolumeRef(name, "I51", "") for name in dots]) == {}


def test_a_volume_has_its_tasks_of_all_jobs_and_the_attempts_at_them(listings: PgListings) -> None:
    tasks = listings.tasks_of_volume("W0", "I1")
    assert [(task.job, task.state) for task in tasks] == [
        ("eval", TaskState.QUEUED),
        ("ocr", TaskState.DONE),
        ("lines", TaskState.DONE),
    ]
    assert [task.reason for task in listings.tasks_of_volume("W2", "I49")] == ["needs ocr", "needs lines", None]
    attempts = listings.attempts_of_volume("W0", "I1")
    assert {(one.job, one.outcome, one.worker_id) for one in attempts} == {
        ("ocr", "done", "w1"),
        ("lines", "done", "w1"),
    }
    assert attempts[0].stages == {"infer": 2.5}
    assert listings.tasks_of_volume("W0", "I99") == []
    assert listings.attempts_of_volume("W0", "I99") == []


def test_a_volume_says_why_its_work_is_stale(listings: PgListings, conninfo: str) -> None:
    assert listings.stale_reasons("W0", "I1").keys() == {
        t.id for t in listings.tasks_of_volume("W0", "I1") if t.job == "ocr"
    }
    with psycopg.connect(conninfo) as connection:
        connection.execute("UPDATE jobs SET config_hash = 'h2' WHERE name = 'lines'")
    reasons = listings.stale_reasons("W0", "I1")
    (lines,) = (task.id for task in listings.tasks_of_volume("W0", "I1") if task.job == "lines")
    assert reasons[lines] == ("config",)


def test_the_course_counts_what_ended(listings: PgListings) -> None:
    course = listings.course("lines")
    every = listings.tasks("lines", TaskQuery(limit=1000))
    assert sum(span.done for span in course.spans) == sum(task.state is TaskState.DONE for task in every)
    assert sum(span.failed for span in course.spans) == sum(task.state is TaskState.TERMINAL_FAILED for task in every)
    assert sum(span.enqueued for span in course.spans) == VOLUMES
    done = [task for task in every if task.state is TaskState.DONE]
    assert sum(span.pages for span in course.spans) == sum(
        (task.pages_ok or 0) + (task.pages_error or 0) for task in done
    )
    assert course.seconds >= 1


def test_a_volume_that_is_done_again_counts_once_in_the_course_and_its_pages_twice(
    listings: PgListings, conninfo: str
) -> None:
    before = listings.course("lines").spans
    with psycopg.connect(conninfo) as connection:
        connection.execute(_AGAIN, {"state": "done", "pages": 7})
        connection.execute(_AGAIN, {"state": "canceled", "pages": 9})
    after = listings.course("lines").spans
    for key, more in (("enqueued", 0), ("done", -1), ("canceled", 1), ("pages", 7)):
        assert sum(getattr(span, key) for span in after) == sum(getattr(span, key) for span in before) + more, key


_AGAIN = b"""
INSERT INTO tasks (job_id, volume_id, state, manifest_etag, config_hash, pages_ok, pages_skipped, pages_error,
                   finished_at, counters)
SELECT job_id, volume_id, %(state)s, manifest_etag, config_hash, %(pages)s, 0, 0, clock_timestamp(), '{"lines": 0}'
FROM tasks WHERE job_id = (SELECT id FROM jobs WHERE name = 'lines') AND state = 'done' ORDER BY id LIMIT 1
"""


def test_volumes_that_are_done_and_doubtful_are_found(listings: PgListings, conninfo: str) -> None:
    assert listings.silent("lines", limit=9) == [], "a job that counts nothing says nothing"
    done = listings.tasks("lines", TaskQuery(state=TaskState.DONE, limit=1000))
    cases = (
        ('{"lines": 0, "notes": 0, "E_IMAGE_CORRUPT": 2}', 5, True),
        ('{"E_IMAGE_CORRUPT": 2}', 5, False),
        ('{"lines": 0, "notes": 1}', 5, False),
        ("{}", 0, True),
        ('{"lines": 9, "unsure_pages": 3}', 6, True),
        ('{"lines": 9, "unsure_pages": 2}', 5, False),
    )
    with psycopg.connect(conninfo) as connection:
        for task, (counters, pages, _) in zip(done, cases, strict=False):
            connection.execute(
                "UPDATE tasks SET counters = %s::jsonb, pages_ok = %s WHERE id = %s", (counters, pages, task.id)
            )
    expected = {task.i_id for task, (_, _, doubtful) in zip(done, cases, strict=False) if doubtful}
    found = listings.silent("lines", limit=9)
    assert {volume.i_id for volume in found} == expected
    assert sorted(volume.pages_unsure for volume in found) == [0, 0, 3]
    assert len(listings.silent("lines", limit=1)) == 1
    with psycopg.connect(conninfo) as connection:
        connection.execute("UPDATE tasks SET counters = '{}', pages_ok = 1 WHERE state = 'done'")
        connection.execute(_AGAIN, {"state": "done", "pages": 7})
    assert len(listings.silent("lines", limit=9)) == 1, "the newest task of a volume counts"


def test_the_course_of_a_long_job_has_some_200_spans(listings: PgListings, conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("UPDATE tasks SET finished_at = finished_at - id * interval '1 hour' WHERE state = 'done'")
    course = listings.course("lines")
    begins = [span.begin.timestamp() for span in course.spans]
    assert begins == sorted(begins)
    assert (begins[-1] - begins[0]) / course.seconds <= 201
    assert all(begin % course.seconds == 0 for begin in begins)


def test_a_job_without_work_has_no_course(listings: PgListings, conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("INSERT INTO jobs (name, type, config, config_hash) VALUES ('new', 'ldv1', '{}', 'h')")
    assert listings.course("new").spans == []
    assert listings.stage_seconds("new") == {}
    assert listings.tasks("new", TaskQuery()) == []


def test_stages_add_up(listings: PgListings) -> None:
    done = len(listings.tasks("ocr", TaskQuery(state=TaskState.DONE, limit=1000)))
    assert listings.stage_seconds("ocr") == {"infer": pytest.approx(2.5 * done)}


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO tasks (job_id, volume_id, state) SELECT j.id, v.id, 'canceled' FROM jobs j, volumes v LIMIT 0",
        "UPDATE tasks SET finished_at = clock_timestamp() WHERE id = (SELECT min(id) FROM tasks WHERE state = 'done')",
        "UPDATE jobs SET updated_at = clock_timestamp() WHERE name = 'ocr'",
        "INSERT INTO workers (id, job_id, host, pid, version) SELECT 'w9', min(id), 'h', 1, '1' FROM jobs",
    ],
)
def test_the_pulse_beats_when_something_has_moved_on(listings: PgListings, conninfo: str, change: str) -> None:
    before = listings.pulse()
    assert listings.pulse() == before
    with psycopg.connect(conninfo) as connection:
        connection.execute(change.encode())
    assert (listings.pulse() != before) is ("LIMIT 0" not in change)


@pytest.mark.parametrize("method", ["course", "stage_seconds"])
def test_a_job_that_is_not_there_is_reported(listings: PgListings, method: str) -> None:
    with pytest.raises(ConfigError) as caught:
        getattr(listings, method)("nope")
    assert caught.value.code == "E_JOB_UNKNOWN"
    with pytest.raises(ConfigError):
        listings.tasks("nope", TaskQuery())
