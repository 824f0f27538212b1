"""The audit over both back-ends: each kind of damage is done for real, found by its code, and mended by a worker."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bec_orch.core.artefacts import Success
from bec_orch.core.tasks import Job
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.holdings import Holding
from bec_orch.io.artefacts.names import attempt_key, part_name, sidecar_folder
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.identity import owner_of
from bec_orch.io.postgres.ledger import PgLedger
from bec_orch.io.sqs.queues import SqsOptions, SqsQueues
from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import S3Options, Stores
from bec_orch.orch.audit.audit import Auditor, Repairs
from bec_orch.orch.audit.repairs import Repairer
from bec_orch.orch.audit.values import Report, Violation
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver
from tests.integration.test_worker_runtime import World
from tests.support.jobs.toy_job import answer, keep_answer
from tests.support.owners import contents
from tests.support.servers.aws import REGION, Aws
from tests.support.servers.fake_sqs import FakeSqs, served

PAGES = 4
OF_VOLUME = "volume_id = (SELECT id FROM volumes WHERE i_id = %s)"


@dataclass
class Archive(World):
    """Volumes that are done, on either back-end. What the methods do, they do to the volume `at`."""

    objects: Objects = field(init=False)
    at: int = 1

    def put_into(self, objects: Objects) -> None:
        self.objects = objects
        self.artefacts = StoredArtefacts(objects, self.work, owner_of(self.database))

    def fill(self, count: int) -> None:
        self.volumes = [self.volume(f"I{n}", PAGES) for n in range(1, count + 1)]
        Enqueuer(PgBacklog(self.database), self.queues).enqueue("toy", self.volumes)
        self.run(slots=2)

    def audit(self, repairs: Repairs | None = None, *, deep: bool = True) -> Report:
        auditor = Auditor(
            PgLedger(self.database),
            self.queues,
            self.artefacts,
            self.source,
            manifests=self.sources if deep else None,
        )
        return auditor.audit([self.store.job("toy")], repairs)

    def codes(self, *, deep: bool = True) -> dict[str, set[str]]:
        """The codes of what is wrong with each volume."""
        found = Collected()
        self.audit(found, deep=deep)
        return found.codes

    def mend(self) -> Report:
        """Audit with repairs, and have a worker do what they queued."""
        report = self.audit(
            Repairer(
                self.store, PgBacklog(self.database), PgLedger(self.database), self.queues, self.artefacts, self.source
            )
        )
        self.run(name="mender", slots=2)
        return report

    def there(self) -> Success:
        found = self.success(self.volumes[self.at - 1])
        assert found
        return found

    def key(self) -> str:
        """The Parquet file of the volume."""
        return self.there().files[0].key

    def prefix(self) -> str:
        return self.there().location.prefix

    def change(self, key: str, data: bytes) -> None:
        self.objects.delete([key])
        assert self.objects.create(key, data)

    def rewrite_success(self, **changes: Any) -> None:
        success = self.there()
        content = {**(success.content or {}), **changes}
        self.change(f"{success.location.prefix}/success.json", json.dumps(content).encode())

    def rewrite_file(self, change: Callable[[pa.Table], pa.Table], *, told: bool = False) -> None:
        """Write the volume's Parquet file anew; `told` also in success.json: size and digest."""
        success = self.there()
        path = self.home / "changed.parquet"
        pq.write_table(change(self.artefacts.read_rows(success)), path)
        key = success.files[0].key
        self.change(key, path.read_bytes())
        if told:
            facts = self.artefacts.inspect(success.files[0])
            assert facts
            file = {"key": key, "size": facts.size, "sha256": facts.sha256, "rows": success.files[0].rows}
            self.rewrite_success(files=[file])

    def sql(self, statement: str, *values: Any) -> None:
        with self.database.transaction("damage") as connection:
            connection.execute(statement.encode(), values)

    def set_task(self, assignments: str) -> None:
        self.sql(f"UPDATE tasks SET {assignments} WHERE {OF_VOLUME}", f"I{self.at}")  # noqa: S608  (words of this file)

    def set_attempt(self, assignments: str) -> None:
        of_task = f"task_id IN (SELECT id FROM tasks WHERE {OF_VOLUME})"  # noqa: S608
        self.sql(f"UPDATE task_attempts SET {assignments} WHERE {of_task}", f"I{self.at}")  # noqa: S608

    def make_old(self) -> None:
        """Put the volume into the older layout: another name, and a success.json that says nothing."""
        success = self.there()
        blob = self.objects.read(success.files[0].key)
        assert blob
        self.objects.create(f"{success.location.prefix}/{success.location.stem}.parquet", blob.data)
        self.objects.delete([success.files[0].key])
        self.change(f"{success.location.prefix}/success.json", b'{"nb_images": 4}')

    def purge(self) -> None:
        """Lose every message, as somebody who empties the queue does."""
        self.queues("toy").purge()

    def send_body(self, body: str) -> None:
        """Send a message that is not ours."""
        if isinstance(self.queues, SqsQueues):
            url = self.queues("toy").urls.tasks
            self.queues._clients.talking.send_message(QueueUrl=url, MessageBody=body)
        else:
            self.sql("INSERT INTO queue_messages (queue, body) VALUES ('toy', %s)", body)


class Collected:
    """Repairs nothing, and keeps what is found."""

    def __init__(self) -> None:
        self.codes: dict[str, set[str]] = {}

    def begin(self, violation: Violation) -> bool:
        assert violation.volume
        self.codes.setdefault(violation.volume.i_id, set()).add(violation.invariant.code)
        return False

    def end(self, job: Job) -> None:
        pass


@pytest.fixture
def sqs(aws_credentials: None) -> Iterator[FakeSqs]:
    with served(FakeSqs()) as sqs:
        yield sqs


@pytest.fixture(params=["folder and queue table", "S3 and SQS"])
def archive(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path, database, options={"poll_wait": 0.5}, at_page=keep_answer)
    if request.param == "S3 and SQS":
        aws: Aws = request.getfixturevalue("aws")
        bucket = aws.fresh_name("artefacts")
        aws.client("s3").create_bucket(Bucket=bucket)
        archive.put_into(Stores(S3Options(aws.endpoint_url, aws.region)).open(f"s3://{bucket}/some%20where"))
        queues = SqsQueues(SqsOptions(AwsOptions(REGION, request.getfixturevalue("sqs").url)))
        queues.admin("toy").create()
        archive.queues.close()
        archive.queues = queues  # type: ignore[assignment]
    else:
        archive.put_into(Stores().open((tmp_path / "out").as_uri(), create=True))
    archive.create_job()
    yield archive
    archive.queues.close()


def drop_parquet(archive: Archive) -> None:
    archive.objects.delete([archive.key()])


def cut_parquet(archive: Archive) -> None:
    blob = archive.objects.read(archive.key())
    assert blob
    archive.change(archive.key(), blob.data[:-20])


def spoil_parquet(archive: Archive) -> None:
    """Of the same size, but nothing that opens."""
    archive.change(archive.key(), b"x" * archive.there().files[0].size)


def flip_a_byte(archive: Archive) -> None:
    """In the data of a column that an audit does not read: only the digest tells."""
    blob = archive.objects.read(archive.key())
    assert blob
    with pq.ParquetFile(pa.BufferReader(blob.data)) as parquet:
        group = parquet.metadata.row_group(0)
        columns = [group.column(n) for n in range(group.num_columns)]
        place = next(column.data_page_offset for column in columns if column.path_in_schema == "length")
    archive.change(archive.key(), blob.data[: place + 4] + b"\xff" + blob.data[place + 5 :])


def drop_a_row(archive: Archive) -> None:
    archive.rewrite_file(lambda rows: rows.slice(1), told=True)


def rename_a_page(archive: Archive) -> None:
    def renamed(rows: pa.Table) -> pa.Table:
        names = ["other.jpg", *rows["img_file_name"].to_pylist()[1:]]
        return rows.set_column(0, rows.schema.field(0), pa.array(names))

    archive.rewrite_file(renamed, told=True)


def fail_a_page(archive: Archive) -> None:
    def failed(rows: pa.Table) -> pa.Table:
        place = rows.column_names.index("ok")
        return rows.set_column(place, rows.schema.field(place), pa.array([False, True, True, True]))

    archive.rewrite_file(failed, told=True)


def drop_sidecar(archive: Archive) -> None:
    archive.objects.delete([archive.there().sidecars[1].key])


def lengthen_sidecar(archive: Archive) -> None:
    archive.change(archive.there().sidecars[0].key, b"x" * (archive.there().sidecars[0].size + 1))


def spoil_sidecar(archive: Archive) -> None:
    archive.change(archive.there().sidecars[2].key, b"x" * archive.there().sidecars[2].size)


def name_a_file_of_others(archive: Archive) -> None:
    archive.rewrite_success(sidecars=[{"key": f"{archive.prefix()}/../0.json", "size": 1, "sha256": ""}])


def drop_success(archive: Archive) -> None:
    archive.objects.delete([f"{archive.prefix()}/success.json"])


def garble_success(archive: Archive) -> None:
    archive.change(f"{archive.prefix()}/success.json", b'{"files": [')


def mistype_success(archive: Archive) -> None:
    archive.rewrite_success(attempt="one")


def name_another_file(archive: Archive) -> None:
    [file] = (archive.there().content or {})["files"]
    archive.rewrite_success(files=[{**file, "key": f"{archive.prefix()}/another.parquet"}])


def name_no_file(archive: Archive) -> None:
    archive.rewrite_success(files=[])


def change_etag_in_success(archive: Archive) -> None:
    archive.rewrite_success(manifest_etag='"0123456789"')


def swap_success(archive: Archive) -> None:
    archive.rewrite_success(i_id="I0")


def change_counts_in_success(archive: Archive) -> None:
    archive.rewrite_success(pages={"total": PAGES, "ok": PAGES - 2, "skipped": 0, "error": 1})


def change_etag_in_sql(archive: Archive) -> None:
    archive.set_task("manifest_etag = '0123456789'")


def change_counts_in_sql(archive: Archive) -> None:
    archive.set_task("pages_ok = pages_ok - 1, pages_error = 1")


def change_pages_of_manifest_in_sql(archive: Archive) -> None:
    archive.sql("UPDATE volumes SET nb_pages = nb_pages + 1 WHERE i_id = %s", f"I{archive.at}")


def change_key_in_sql(archive: Archive) -> None:
    archive.set_task("artefact_key = 'toy/else'")


def change_config_in_sql(archive: Archive) -> None:
    archive.set_task("config_hash = 'other'")


def forget_a_volume(archive: Archive) -> None:
    i_id = f"I{archive.at}"
    archive.sql(f"DELETE FROM task_attempts WHERE task_id IN (SELECT id FROM tasks WHERE {OF_VOLUME})", i_id)  # noqa: S608
    archive.sql(f"DELETE FROM tasks WHERE {OF_VOLUME}", i_id)  # noqa: S608
    archive.sql("DELETE FROM volumes WHERE i_id = %s", i_id)


def fail_a_finished_task(archive: Archive) -> None:
    archive.set_task("state = 'terminal_failed', failure_code = 'E_TEST'")
    archive.set_attempt("outcome = 'terminal_failed'")


def cancel_a_finished_task(archive: Archive) -> None:
    archive.set_task("state = 'canceled', cancel_reason = 'by hand'")


def leave_attempt_files(archive: Archive) -> None:
    """Of an older attempt, of one that lost, and pages of neither."""
    success = archive.there()
    ours = owner_of(archive.database)
    archive.objects.create(attempt_key(success.location, 0, ours), b"older")
    archive.objects.create(attempt_key(success.location, 2, ours), b"newer")
    archive.objects.create(f"{sidecar_folder(success.location, 2, ours)}/0.json", b"of the newer one")
    archive.objects.create(f"{success.location.prefix}/parts/{part_name('key', 0, 1, ours, '0a1b2c3d')}", b"part")
    archive.set_task("attempt = 2")


def spoil_old_parquet(archive: Archive) -> None:
    archive.change(archive.key(), b"PAR1")


def drop_a_row_of_old(archive: Archive) -> None:
    archive.rewrite_file(lambda rows: rows.slice(1))


def count_a_page_less(archive: Archive) -> None:
    archive.set_task("pages_ok = pages_ok - 1")


Damage = Callable[[Archive], None]
CHEAP: tuple[tuple[Damage, set[str]], ...] = (
    (drop_parquet, {"E_AUDIT_FILE"}),
    (cut_parquet, {"E_AUDIT_FILE"}),
    (drop_sidecar, {"E_AUDIT_FILE"}),
    (lengthen_sidecar, {"E_AUDIT_FILE"}),
    (name_a_file_of_others, {"E_AUDIT_UNREADABLE"}),
    (name_another_file, {"E_AUDIT_FILE", "E_AUDIT_RECORD"}),
    (name_no_file, {"E_AUDIT_FILE", "E_AUDIT_RECORD"}),
    (drop_success, {"E_AUDIT_NO_SUCCESS"}),
    (mistype_success, {"E_AUDIT_UNREADABLE"}),
    (change_etag_in_success, {"E_AUDIT_VERSION"}),
    (swap_success, {"E_AUDIT_VERSION"}),
    (change_counts_in_success, {"E_AUDIT_PAGES", "E_AUDIT_RECORD"}),
    (change_pages_of_manifest_in_sql, {"E_AUDIT_PAGES"}),
    (change_counts_in_sql, {"E_AUDIT_RECORD"}),
    (change_key_in_sql, {"E_AUDIT_RECORD"}),
    (change_config_in_sql, {"E_AUDIT_RECORD"}),
    (change_etag_in_sql, {"E_AUDIT_NO_SUCCESS", "E_AUDIT_NOT_RECORDED"}),
    (forget_a_volume, {"E_AUDIT_NOT_RECORDED"}),
    (fail_a_finished_task, {"E_AUDIT_NOT_RECORDED"}),
    (cancel_a_finished_task, {"E_AUDIT_NOT_RECORDED"}),
    (leave_attempt_files, {"E_AUDIT_LITTER"}),
)
DEEP: tuple[tuple[Damage, set[str]], ...] = (
    (spoil_parquet, {"E_AUDIT_OPENS"}),
    (flip_a_byte, {"E_AUDIT_DIGEST"}),
    (spoil_sidecar, {"E_AUDIT_DIGEST"}),
    (drop_a_row, {"E_AUDIT_ROWS", "E_AUDIT_LEDGER"}),
    (rename_a_page, {"E_AUDIT_NAMES"}),
    (fail_a_page, {"E_AUDIT_LEDGER"}),
)


def violations(report: Report) -> dict[str, int]:
    return {finding.invariant.code: finding.violations for finding in report.violated()}


def test_a_whole_archive_is_clean_and_nothing_is_changed(archive: Archive) -> None:
    archive.fill(3)
    before = list(archive.objects.walk(""))
    report = archive.mend()
    assert violations(report) == {}
    assert (report.looked.artefacts, report.looked.files, report.looked.manifests) == (3, 3 + 3 * PAGES, 3)
    [states] = report.states
    assert (states.enqueued, states.done, states.unaccounted) == (3, 3, 0)
    assert list(archive.objects.walk("")) == before
    assert [task["state"] for task in archive.tasks()] == ["done"] * 3


def test_damage_is_found_by_its_code_and_mended_by_a_worker(archive: Archive) -> None:
    archive.fill(len(CHEAP) + len(DEEP) + 1)
    for archive.at, (damage, _) in enumerate((*CHEAP, *DEEP), start=1):
        damage(archive)
    cheap = {f"I{n}": codes for n, (_, codes) in enumerate(CHEAP, start=1)}
    deep = {f"I{n}": codes for n, (_, codes) in enumerate(DEEP, start=len(CHEAP) + 1)}
    # What success.json names is no longer what was copied: that shows in the sizes.
    changed = (drop_a_row, rename_a_page, fail_a_page)
    beside = {f"I{n}": {"E_AUDIT_NAME"} for n, (one, _) in enumerate(DEEP, start=len(CHEAP) + 1) if one in changed}
    assert archive.codes(deep=False) == cheap | beside
    assert archive.codes() == cheap | deep

    report = archive.mend()
    assert [f.invariant.code for f in report.violated() if f.repaired < f.violations] == []
    assert archive.codes() == {}
    assert [archive.lengths(volume) for volume in archive.volumes] == [[1, 2, 3, 4]] * len(archive.volumes)
    assert {task["state"] for task in archive.tasks()} == {"done", "canceled"}
    for volume in archive.volumes:
        success = archive.success(volume)
        assert success
        pages = archive.sources(volume.source).read_manifest(volume).pages
        kept = {file.key.rpartition("/")[2]: archive.objects.read(file.key) for file in success.sidecars}
        assert {name: blob and blob.data for name, blob in kept.items()} == {
            f"{page.index}.json": answer(page) for page in pages
        }


def test_a_success_json_that_does_not_say_whose_it_is_is_left_to_people(archive: Archive) -> None:
    archive.fill(1)
    garble_success(archive)
    before = contents(archive.objects)
    assert archive.codes() == {"I1": {"E_AUDIT_UNREADABLE"}}
    for _ in range(2):
        archive.mend()
    assert contents(archive.objects) == before
    assert [task["failure_code"] for task in archive.tasks("failure_code")] == [None, "E_ARTEFACT_BROKEN"]
    assert archive.codes() == {"I1": {"E_AUDIT_UNREADABLE"}}

    archive.objects.delete([key for key in before if key.endswith("success.json")])
    Redriver(PgBacklog(archive.database), archive.queues).redrive("toy")
    archive.run(name="second")
    assert archive.codes() == {}
    assert archive.lengths(archive.volumes[0]) == [1, 2, 3, 4]


class TestOlderLayout:
    """What an earlier system left, which says nothing of its making."""

    def adopt(self, archive: Archive) -> None:
        Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", archive.volumes, adopt_foreign=True)
        archive.run(name="adopter")

    def test_it_is_clean_and_adopted_only_when_that_is_asked_for(self, archive: Archive) -> None:
        archive.fill(2)
        archive.make_old()
        forget_a_volume(archive)
        before = contents(archive.objects)
        report = archive.mend()
        assert (violations(report), report.looked.artefacts, report.looked.foreign) == ({}, 2, 1)
        assert len(archive.tasks()) == 1

        self.adopt(archive)
        assert archive.watching.ends[-1].outcome == "adopted"
        report = archive.audit()
        assert (violations(report), report.looked.files, report.looked.manifests) == ({}, 2 + PAGES, 2)
        assert contents(archive.objects) == before

    def test_its_damage_is_found_and_reported_and_left_as_it_is(self, archive: Archive) -> None:
        damages: tuple[tuple[Damage, set[str]], ...] = (
            (drop_parquet, {"E_AUDIT_FILE"}),
            (spoil_old_parquet, {"E_AUDIT_OPENS"}),
            (drop_a_row_of_old, {"E_AUDIT_ROWS"}),
            (change_counts_in_sql, set()),
            (count_a_page_less, {"E_AUDIT_PAGES"}),
        )
        archive.fill(len(damages))
        for archive.at in range(1, len(damages) + 1):
            archive.make_old()
            forget_a_volume(archive)
        self.adopt(archive)
        for archive.at, (damage, _) in enumerate(damages, start=1):
            damage(archive)
        assert archive.codes() == {f"I{n}": codes for n, (_, codes) in enumerate(damages, start=1) if codes}
        before = contents(archive.objects)
        archive.mend()
        assert contents(archive.objects) == before
        assert archive.codes() == {}
        ends = {end.claim.volume.i_id: end for end in archive.watching.ends}
        told = {i_id: end.failure and end.failure.code for i_id, end in ends.items()}
        # What was wrong with the database alone is mended: it was asked once to take the artefact as it is.
        assert told == {**dict.fromkeys(("I1", "I2", "I3"), "E_ARTEFACT_FOREIGN"), "I4": None, "I5": None}


class TestMessages:
    def test_tasks_that_lost_their_messages_get_new_ones(self, archive: Archive) -> None:
        archive.fill(1)
        volumes = [archive.volume(f"I{n}", 1) for n in range(2, 5)]
        Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", volumes)
        archive.sql("UPDATE tasks SET dispatched_at = dispatched_at - interval '5 minutes'")
        assert violations(archive.audit()) == {}
        archive.purge()
        assert violations(archive.audit()) == {"E_AUDIT_HINT": 3}

        report = archive.mend()
        assert report.findings["E_AUDIT_HINT"].repaired == 3
        assert violations(archive.audit()) == {}
        assert [task["state"] for task in archive.tasks()] == ["done"] * 4

    def test_a_task_whose_message_would_never_be_sent_again_is_found(self, archive: Archive) -> None:
        Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", [archive.volume()])
        archive.purge()
        archive.set_task("dispatched_at = 'infinity'")
        assert violations(archive.audit()) == {"E_AUDIT_HINT": 1}
        archive.mend()
        assert [task["state"] for task in archive.tasks()] == ["done"]

    def test_the_outbox_announces_and_so_does_a_message_sent_by_hand(self, archive: Archive) -> None:
        Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", [archive.volume(), archive.volume("I2")])
        archive.sql("UPDATE tasks SET dispatched_at = dispatched_at - interval '5 minutes'")
        archive.purge()
        archive.set_task("dispatched_at = NULL")
        archive.send(archive.sources(archive.source).read_manifest(archive.volume("I3")).volume)
        archive.send(*[volume for volume in archive.sources(archive.source).volumes() if volume.i_id == "I2"])
        assert violations(archive.audit()) == {}

    def test_a_task_that_is_sent_while_the_audit_looks_is_no_violation(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = archive.queues("toy")
        told = queue.bodies

        def told_before() -> Iterator[str] | None:
            bodies = told()
            before = None if bodies is None else list(bodies)
            Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", [archive.volume()])
            archive.purge()
            return None if before is None else iter(before)

        monkeypatch.setattr(queue, "bodies", told_before)
        assert violations(archive.audit()) == {}

    def test_hostile_messages_announce_nothing_and_stop_nothing(self, archive: Archive) -> None:
        Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", [archive.volume()])
        for body in (
            "[" * 10_000,
            "x" * 100_000,
            '{"w_id": "W1\'; DROP TABLE tasks; --", "i_id": "%s"}',
            "null",
            "\x7f",
        ):
            archive.send_body(body)
        assert violations(archive.audit()) == {}


class TestTables:
    def test_a_state_that_nobody_knows_does_not_add_up(self, archive: Archive) -> None:
        archive.fill(2)
        archive.sql("ALTER TABLE tasks DROP CONSTRAINT tasks_state_ck, DROP CONSTRAINT tasks_finished_ck")
        archive.set_task("state = 'mislaid'")
        report = archive.audit()
        assert report.findings["E_AUDIT_STATES"].violations == 1
        assert (report.states[0].enqueued, report.states[0].unaccounted) == (2, 1)

    def test_a_task_that_was_done_twice_and_two_open_tasks_are_found(self, archive: Archive) -> None:
        archive.fill(2)
        archive.sql(
            "INSERT INTO task_attempts SELECT task_id, attempt + 1, job_id, worker_id, token, config, config_hash,"
            " started_at, ended_at, outcome FROM task_attempts ORDER BY task_id LIMIT 1"
        )
        archive.sql("DROP INDEX tasks_unfinished_uq")
        for _ in range(2):
            archive.sql(
                "INSERT INTO tasks (job_id, volume_id, state) SELECT job_id, volume_id, 'waiting' FROM tasks"
                " WHERE state = 'done' ORDER BY id DESC LIMIT 1"
            )
        assert archive.codes() == {"I1": {"E_AUDIT_HISTORY"}, "I2": {"E_AUDIT_HISTORY"}}

    def test_what_living_workers_leave_is_found_and_done_for_them(self, archive: Archive) -> None:
        Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", [archive.volume("I1", PAGES)])
        archive.set_task(
            "state = 'running', token = gen_random_uuid(), worker_id = 'dead', updated_at = now() - interval '1 hour',"
            " lease_expires_at = now() - interval '1 hour'"
        )
        assert violations(archive.audit()) == {}, "no worker lives that could have taken over"
        archive.sql(
            "INSERT INTO workers (id, job_id, host, pid, version, started_at)"
            " SELECT 'idle', id, 'host', 1, '0', now() - interval '1 hour' FROM jobs"
        )
        assert archive.codes() == {"I1": {"E_AUDIT_LEFT"}}
        archive.mend()
        assert archive.codes() == {}
        assert [task["state"] for task in archive.tasks()] == ["done"]


def test_a_volume_that_is_worked_on_is_left_alone(archive: Archive) -> None:
    archive.fill(1)
    drop_parquet(archive)
    Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", archive.volumes, force=True)
    assert archive.codes() == {}
    archive.run(name="other")
    assert archive.codes() == {}


def test_what_a_worker_does_between_two_looks_is_no_violation(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing is from before the commit, the tables from after it."""
    archive.volumes = [archive.volume("I1", PAGES)]
    Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", archive.volumes)
    listed = archive.artefacts.holdings

    def listed_before(job: str) -> Iterator[Holding]:
        before = list(listed(job))
        archive.run(name="late")
        return iter(before)

    monkeypatch.setattr(archive.artefacts, "holdings", listed_before)
    assert violations(archive.audit()) == {}


def test_the_artefact_of_an_older_version_needs_no_task(archive: Archive) -> None:
    archive.fill(1)
    (archive.scans / "W1" / "I1" / "0005.jpg").write_bytes(b"xxxxx")
    Enqueuer(PgBacklog(archive.database), archive.queues).enqueue("toy", archive.volumes, refresh=archive.sources)
    archive.run(name="second")
    archive.sql("DELETE FROM task_attempts WHERE attempt = 1")
    archive.sql("DELETE FROM tasks WHERE attempt = 1")
    report = archive.audit()
    assert (violations(report), report.looked.artefacts, report.looked.manifests) == ({}, 2, 1)


def test_a_manifest_that_changed_or_went_is_not_held_against_the_files(archive: Archive) -> None:
    archive.fill(2)
    (archive.scans / "W1" / "I1" / "0005.jpg").write_bytes(b"xxxxx")
    (archive.scans / "W1" / "I2").rename(archive.scans / "elsewhere")
    report = archive.audit()
    assert (violations(report), report.looked.files, report.looked.manifests) == ({}, 2 + 2 * PAGES, 0)


def test_what_lies_elsewhere_than_an_artefact_is_passed_over(archive: Archive) -> None:
    archive.fill(1)
    for key in ("toy/notes.txt", "toy/W1/I1/notes.txt", "toy/W1 /I1/abc/success.json", "toyer/W/I/v/success.json"):
        archive.objects.create(key, b"{}")
    assert violations(archive.audit()) == {}


def test_an_artefact_of_no_known_source_cannot_be_enqueued(archive: Archive) -> None:
    archive.fill(1)
    archive.rewrite_success(source="")
    forget_a_volume(archive)
    repairer = Repairer(
        archive.store, PgBacklog(archive.database), PgLedger(archive.database), archive.queues, archive.artefacts, ""
    )
    auditor = Auditor(PgLedger(archive.database), archive.queues, archive.artefacts, "")
    report = auditor.audit([archive.store.job("toy")], repairer)
    assert (violations(report), report.findings["E_AUDIT_NOT_RECORDED"].repaired) == ({"E_AUDIT_NOT_RECORDED": 1}, 0)


def test_a_source_that_only_a_file_in_the_store_names_is_not_read(archive: Archive) -> None:
    archive.fill(1)
    archive.rewrite_success(source="folder+file:///etc")
    forget_a_volume(archive)
    report = archive.mend()
    assert (violations(report), report.findings["E_AUDIT_NOT_RECORDED"].repaired) == ({"E_AUDIT_NOT_RECORDED": 1}, 0)
    assert archive.tasks() == []


def test_a_success_json_that_was_replaced_meanwhile_is_not_taken_back(archive: Archive) -> None:
    archive.fill(1)
    success = archive.there()
    assert not archive.artefacts.retract(success.location, '"another"')
    assert archive.there() == success


def test_audits_beside_workers_find_nothing(archive: Archive) -> None:
    archive.volumes = [archive.volume(f"I{n}", PAGES) for n in range(12)]
    enqueuer = Enqueuer(PgBacklog(archive.database), archive.queues)
    enqueuer.enqueue("toy", archive.volumes)
    found: list[dict[str, int]] = []
    for force in (False, True):
        if force:
            enqueuer.enqueue("toy", archive.volumes, force=True)
        worker = threading.Thread(target=archive.run, kwargs={"name": f"worker {force}", "slots": 3})
        worker.start()
        while worker.is_alive():
            found.append(violations(archive.audit()))
        worker.join()
    assert len(found) > 3
    assert [violated for violated in found if violated] == []
    assert archive.attempts().count("done") == 24


def test_any_damage_to_a_file_is_found_and_ends_no_audit(archive: Archive, tmp_path: Path) -> None:
    """Bytes changed at random, and columns that are not of their types: opened or not, never an exception."""
    archive.fill(1)
    success = archive.there()
    blob = archive.objects.read(archive.key())
    assert blob
    chance = random.Random(5)
    for _ in range(60):
        data = bytearray(blob.data)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        archive.change(archive.key(), bytes(data))
        facts = archive.artefacts.inspect(success.files[0])
        assert facts is None or facts.sha256 != success.files[0].sha256 or bytes(data) == blob.data
    for name, values in (("ok", ["a"] * 4), ("skipped", [1.5] * 4), ("img_file_name", [b"\xff"] * 4)):
        pq.write_table(pa.table({**dict.fromkeys(("ok", "skipped"), [True] * 4), name: values}), tmp_path / "odd")
        archive.change(archive.key(), (tmp_path / "odd").read_bytes())
        archive.artefacts.inspect(success.files[0])
        assert archive.codes()["I1"] & {"E_AUDIT_FILE", "E_AUDIT_OPENS", "E_AUDIT_DIGEST"}
