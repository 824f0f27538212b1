"""Plans that hold without statistics: each stored statement touches no more of a large archive than it has to.

What is counted are blocks, as `EXPLAIN (ANALYZE, BUFFERS)` tells them, and never seconds. The archive has 20,000
volumes with a task of each of three jobs. A plan that reads a job's tasks once for each volume touches millions.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from bec_orch.io.postgres.sql_files import sql_folder, statements
from tests.conftest import TEMPLATE
from tests.support.archive_rows import SOURCE, Statistics, fill

VOLUMES = 20_000
# A statement about one volume or task reads a few rows of each table; one block is read more than once.
FEW = 300
# Blocks for each row of a portion: its volume, its tasks, and the indexes that a change goes through.
A_ROW = 60
PORTION = 1000
WHOLE = A_ROW * VOLUMES
# Ends a quadratic plan, so that the test fails in its time.
_LIMIT = "20s"


@dataclass(frozen=True)
class Case:
    """A statement with what it is given, and the most blocks that it may touch. `first` runs before it."""

    file: str
    name: str
    most: int
    given: dict[str, Any] = field(default_factory=dict)
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}.{self.name}"


PORTION_GIVEN = {
    "w_ids": [f"W{n // 20}" for n in range(PORTION)],
    "i_ids": [f"I{n}" for n in range(PORTION)],
    "sources": [SOURCE] * PORTION,
    "jobs": ["ocr"] * PORTION,
    "limit": PORTION,
}
ONE = {"w_id": "W500", "i_id": "I10001", "source": SOURCE, "volume_id": 10_001}
# What fits one statement, and not the others that take a value of the same name.
RUNNING = {"task_id": 1007}
MESSAGE = {"id": 1, "reason": "{}", "limit": 1}
OWN: dict[str, dict[str, Any]] = {
    "deaths.queue_again": {**RUNNING, "charged": 1},
    "deaths.give_up": {**RUNNING, "charged": 1, "code": "E_X"},
    "jobs.add_dependencies": {"job_id": 1, "from_ids": [3], "if_missing": ["proceed"]},
    "upkeep.reject_message": {"code": "E_X", "fingerprint": "f"},
    "upkeep.done_to_verify": {"limit": 5},
    "upkeep.given_up_to_verify": {"job_id": 1, "limit": 5},
    "upkeep.doubt": {"jobs": ["lines"]},
    "tasks.fail": {**RUNNING, "charged": 1, "state": "retryable_failed", "backoff": 1.0, "code": "E_X"},
    "queue.receive": MESSAGE,
    "queue.change_visibility": MESSAGE,
    "queue.delete": MESSAGE,
    "queue.dead_letter": MESSAGE,
    "tasks.give_back": RUNNING,
    "tasks.put_to_wait": RUNNING,
}
LOADED = ("backlog.create_incoming", "*incoming")
JUDGED = (*LOADED, "backlog.judge")
GIVEN: dict[str, Any] = {
    "activities": "[]",
    "adopt_foreign": False,
    "artifact_prefix": None,
    "after": 0,
    "artefact_key": "k",
    "attempt": 1,
    "before": dt.datetime(2100, 1, 1, tzinfo=dt.UTC),
    "bodies": ["{}"] * PORTION,
    "body": "{}",
    "charged": True,
    "code": None,
    "code_version": "1",
    "config": "{}",
    "config_hash": "h1",
    "counters": "{}",
    "dead": False,
    "descending": True,
    "delay": 0.0,
    "database": "bec",
    "dispatched": False,
    "exhausted": "E_ATTEMPTS_EXHAUSTED",
    "fingerprint": None,
    "force": False,
    "from_ids": [1],
    "grace": 0.0,
    "hint": "",
    "host": "h",
    "i_id": None,
    "id": "w1",
    "identity": UUID(int=1),
    "ids": list(range(1, PORTION)),
    "inputs": "{}",
    "instance_id": None,
    "instance_type": None,
    "job": "ocr",
    "job_ids": [2],
    "lease": 60.0,
    "lifecycle": None,
    "limit": 50,
    "lost_after": 60.0,
    "manifest_etag": "etag1",
    "max_attempts": 3,
    "max_page_error_rate": 0.1,
    "message": "m",
    "metrics": None,
    "models": "[]",
    "name": "ocr",
    "names": ["ocr"],
    "nb_pages": 3,
    "order": "seconds",
    "outcome": "done",
    "overdue": 900.0,
    "page": 1,
    "pages": [1],
    "pages_error": 0,
    "pages_ok": 3,
    "pages_skipped": 0,
    "pid": 1,
    "queue": "lines",
    "reason": "r",
    "receipt": UUID(int=0),
    "redispatch_after": 900.0,
    "retryable": True,
    "root": "ocr",
    "seconds": 300.0,
    "skip": 0,
    "source": SOURCE,
    "stage": "run",
    "stale": False,
    "state": None,
    "stopped": True,
    "task_id": 30_001,
    "text": "",
    "token": UUID(int=0),
    "type": "ocrv1",
    "uid": UUID(int=0),
    "values": ["60000"],
    "unsure_pages": "unsure_pages",
    "version": "1",
    "versions": ["{}"] * (PORTION - 1),
    "visibility": 60.0,
    "volume_id": 10_001,
    "w_id": None,
    "wait": "5s",
    "worker": "w1",
    "worker_id": "w1",
}

# What goes over a whole job, or over all, in one statement.
WHOLES = {
    "ledger": ("states", "done_twice", "unfinished_twice", "left_behind"),
    "listings": ("tasks", "course", "silent"),
    "overview": (
        *("task_states", "volume_states", "page_errors", "stale", "graph", "recent_pages", "tasks", "errors"),
        "expected_messages",
    ),
    "backlog": ("reset_failed",),
    "jobs": ("cancel_tasks", "count_unfinished"),
    "upkeep": ("expired", "release_waiting", "undispatched", "unfinished"),
    "queue": ("stats", "dead_letters", "purge"),
}
# Tasks whose lease ran out.
EXPIRED: dict[str, Any] = {
    "ids": list(range(7, 10 * PORTION, 10)),
    "attempts": [1] * PORTION,
    "states": ["queued"] * PORTION,
    "charged": [1] * PORTION,
    "codes": ["E_LEASE_LOST"] * PORTION,
    "messages": ["m"] * PORTION,
    "code": "E_LEASE_LOST",
}
# What goes over a portion of rows.
PORTIONS: dict[str, dict[str, Any]] = {
    "ledger.announced": PORTION_GIVEN,
    "ledger.tasks_of": PORTION_GIVEN,
    "ledger.to_be_announced": {"limit": PORTION, "before": dt.datetime(2100, 1, 1, tzinfo=dt.UTC)},
    "ledger.done": {"limit": PORTION, "after": 20_000},
    "listings.stage_seconds": {},
    "overview.done_volumes": {"limit": PORTION, "after": 5_000},
    "overview.spelled": PORTION_GIVEN,
    "overview.note_references": {"task_ids": list(range(1, PORTION))},
    "upkeep.mark_dispatched": PORTION_GIVEN,
    "backlog.mark_sent": {"ids": list(range(20_003, 20_003 + 10 * PORTION, 10))},
    "queue.send": {},
    "upkeep.close_expired": EXPIRED,
    "upkeep.expire": EXPIRED,
    "queue.peek": {"limit": PORTION},
    "queue.bodies": {"limit": PORTION},
    "queue.peek_dead": {"limit": PORTION},
    "queue.revive": {},
    "backlog.unsent": {"limit": PORTION},
}
# Statements of a portion that is being enqueued, and what runs before.
ENQUEUEING = {
    "add_volumes": LOADED,
    "lock_volumes": LOADED,
    "stamp_volumes": LOADED,
    "note_intro": LOADED,
    "judge": LOADED,
    "count_verdicts": JUDGED,
    "lock_tasks": JUDGED,
    "cancel_superseded": JUDGED,
    "force_unfinished": JUDGED,
    "note_foreign": JUDGED,
    "add_tasks": JUDGED,
    "release_added": JUDGED,
    "count_added": JUDGED,
}
# No plan to look at: what makes tables, locks, notifies, copies, or sets. What reads the earlier system's tables, and
# takes its work over, runs once in the life of a database.
WITHOUT_PLAN = {
    "taking_over": (
        "create_taken_over",
        "copy_volumes",
        "copy_done",
        "analyze_taken_over",
        "add_volumes",
        "add_names",
        "lock_volumes",
        "judge",
        "count_verdicts",
        "add_done",
    ),
    "earlier": ("read_only", "lacking", "jobs", "volumes", "done", "undone"),
    "backlog": ("create_incoming", "copy_incoming", "analyze_incoming", "analyze_judged"),
    "queue": ("wake", "listen"),
    "migrate": ("has_table", "create_table", "applied", "record", "analyze"),
    "connection": ("limit",),
    "advisory_locks": ("take", "try_take"),
    "embedded/access": ("look",),
    "checks": ("encryption",),
    "database": ("now",),
    "rights": ("owner", "connected", "powers", "rights", "columns"),
    "tasks": ("limit_lock_wait",),
}


def words(by_file: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{file}.{name}" for file, names in by_file.items() for name in names]


LISTED = {*words(WHOLES), *PORTIONS, *words({"backlog": list(ENQUEUEING)}), *words(WITHOUT_PLAN)}


def cases() -> Iterator[Case]:
    """Return every stored statement with its bound: what is on no list is about one volume, task or message."""
    for file, names in WHOLES.items():
        for name in names:
            yield Case(file, name, WHOLE)
    for word, given in PORTIONS.items():
        file, name = word.split(".")
        yield Case(file, name, A_ROW * PORTION, given)
    for name, first in ENQUEUEING.items():
        yield Case("backlog", name, A_ROW * PORTION, {**PORTION_GIVEN, "pages": 1}, first)
    for file in sorted(path.name.removesuffix(".sql") for path in sql_folder().iterdir() if path.name.endswith(".sql")):
        for name in statements(file):
            if f"{file}.{name}" not in LISTED:
                yield Case(file, name, FEW, {**ONE, **OWN.get(f"{file}.{name}", {})})


@pytest.fixture(scope="module", params=Statistics)
def archive(server: str, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """A database with the archive in it; what a test changes is undone."""
    statistics: Statistics = request.param
    name = f"plans_{statistics.name.lower()}"
    with psycopg.connect(server, autocommit=True) as other:
        database, template = sql.Identifier(name), sql.Identifier(TEMPLATE)
        other.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(database, template))
        info = psycopg.conninfo.make_conninfo(server, dbname=name)
        with psycopg.connect(info, prepare_threshold=None) as connection:
            fill(connection, VOLUMES, statistics)
            connection.commit()
            yield connection
        other.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def blocks(connection: psycopg.Connection[Any], case: Case) -> int:
    """Run a statement, and count the blocks that it touched."""
    given = {**GIVEN, "job_id": 2, **case.given}
    try:
        connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(_LIMIT))
        for word in case.first:
            before(connection, word, given)
        explained = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statements(case.file)[case.name]
        row = connection.execute(explained, given).fetchone()
    finally:
        connection.rollback()
    assert row
    plan = row[0][0]["Plan"]
    return sum(plan[f"{kind} {what} Blocks"] for kind in ("Shared", "Local") for what in ("Hit", "Read"))


def before(connection: psycopg.Connection[Any], word: str, given: dict[str, Any]) -> None:
    if word != "*incoming":
        file, name = word.split(".")
        connection.execute(statements(file)[name], given)
        return
    with connection.cursor() as cursor, cursor.copy(statements("backlog")["copy_incoming"]) as copy:
        for w_id, i_id in zip(given["w_ids"], given["i_ids"], strict=True):
            copy.write_row((w_id, i_id, SOURCE, None, None))
    connection.execute(statements("backlog")["analyze_incoming"])


def test_each_statement_touches_no_more_than_it_must(archive: psycopg.Connection[Any]) -> None:
    over: dict[str, str] = {}
    for case in cases():
        try:
            touched: int | str = blocks(archive, case)
        except psycopg.errors.QueryCanceled:
            touched = f"more than can be touched in {_LIMIT}"
        if isinstance(touched, str) or touched > case.most:
            over[str(case)] = f"{touched} of {case.most}"
    assert over == {}, json.dumps(over, indent=1)


def test_a_renewal_changes_no_index(archive: psycopg.Connection[Any]) -> None:
    indexed = archive.execute(
        "SELECT string_agg(indexdef, ' ') FROM pg_indexes WHERE tablename = 'tasks' AND schemaname = 'public'"
    ).fetchone()
    archive.rollback()
    assert indexed
    assert not {"lease_expires_at", "updated_at"} & set(re.findall(r"\w+", indexed[0]))


def test_every_list_names_statements_that_there_are() -> None:
    unknown = [word for word in LISTED if word.split(".")[1] not in statements(word.split(".")[0])]
    assert unknown == []


def scans(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Return the nodes of a plan that read tables, without what is worked out for single rows."""
    if "Relation Name" in node:
        yield node
    for each in node.get("Plans", ()):
        if not each.get("Subplan Name", "").startswith("SubPlan"):
            yield from scans(each)


def test_what_staleness_costs_is_paid_for_the_tasks_of_one_job(archive: psycopg.Connection[Any]) -> None:
    explained = b"EXPLAIN (FORMAT JSON) " + statements("overview")["volume_states"]
    row = archive.execute(explained, {"job_id": 2}).fetchone()
    archive.rollback()
    assert row
    of_tasks = [each for each in scans(row[0][0]["Plan"]) if each["Relation Name"] == "tasks"]
    conditions = [f"{each.get('Index Cond')} {each.get('Recheck Cond')} {each.get('Filter')}" for each in of_tasks]
    assert len(conditions) == 2
    assert all("job_id = " in each for each in conditions), conditions
