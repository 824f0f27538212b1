"""Two databases with one destination, and what an earlier system left there: nothing of others is ever harmed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from bec_orch.core.tasks import AttemptOutcome
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ConfigError, UsageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.identity import identity_of, keep_identity, owner_of, take_identity
from bec_orch.io.postgres.ledger import PgLedger
from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import Stores
from bec_orch.orch.audit.audit import Auditor
from bec_orch.orch.audit.repairs import Repairer
from bec_orch.orch.audit.values import Report
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.foreign import find_foreign
from tests.conftest import TEMPLATE
from tests.integration.test_worker_runtime import World
from tests.support.jobs.toy_job import ToyConfig
from tests.support.owners import contents

FOREIGN = "E_ARTEFACT_FOREIGN"
EARLIER = "earlier_system"
WHOLE = [1, 2, 3, 4]


@pytest.fixture
def other_database(server: str) -> Iterator[Database]:
    name = f"test_other_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        )
        with Database(psycopg.conninfo.make_conninfo(server, dbname=name)) as database:
            take_identity(database, uuid4())
            yield database
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Stores().open((tmp_path / "shared").as_uri(), create=True)


def put_into(world: World, objects: Objects) -> World:
    world.artefacts = StoredArtefacts(objects, world.work, owner_of(world.database))
    return world


@pytest.fixture
def first(database: Database, objects: Objects, tmp_path: Path) -> Iterator[World]:
    """A database with one job and one volume, which is not done yet."""
    home = tmp_path / "first"
    home.mkdir()
    world = put_into(World(home, database), objects)
    world.create_job()
    world.volume()
    yield world
    world.queues.close()


@pytest.fixture
def second(other_database: Database, first: World, objects: Objects, tmp_path: Path) -> Iterator[World]:
    """Another database with a job of the same name over the same volumes, and the same destination."""
    home = tmp_path / "second"
    home.mkdir()
    world = put_into(World(home, other_database), objects)
    world.scans, world.source = first.scans, first.source
    world.store._default_source = first.source
    world.create_job()
    yield world
    world.queues.close()


def volume_of(world: World) -> VolumeRef:
    return VolumeRef("W1", "I1", world.source)


def ask(world: World, **how: Any) -> None:
    """Enqueue the volume, and let a worker do what that says, and its maintenance after it."""
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", [volume_of(world)], **how)
    maintain(world)


def maintain(world: World) -> None:
    world.run(name=uuid4().hex, maintenance_every=0.01)


def reconfigure(world: World) -> None:
    """Change the job, so that its pages come out otherwise."""
    world.config = ToyConfig(factor=3)
    execute(world, "UPDATE jobs SET config_hash = %s", world.config.output_hash())


def execute(world: World, statement: str, *values: str) -> None:
    with world.database.transaction("set the scene") as connection:
        connection.execute(statement.encode(), values)


def audit(world: World, *, deep: bool = True) -> Report:
    """Audit with every repair, and let a worker do what it queued."""
    auditor = Auditor(
        PgLedger(world.database), world.queues, world.artefacts, world.source, manifests=world.sources if deep else None
    )
    repairer = Repairer(
        world.store, PgBacklog(world.database), PgLedger(world.database), world.queues, world.artefacts, world.source
    )
    report = auditor.audit([world.store.job("toy")], repairer)
    maintain(world)
    return report


def state(world: World) -> tuple[str, str | None]:
    task = world.tasks("state, failure_code")[-1]
    return task["state"], task["failure_code"]


def redo_in_every_way(world: World) -> None:
    """Whatever a database can be asked for, but to replace what is shown."""
    ask(world)
    ask(world, force=True)
    reconfigure(world)
    ask(world, stale=True)
    audit(world)
    audit(world, deep=False)


class TestTwoDatabases:
    def test_neither_harms_what_the_other_published(self, first: World, second: World, objects: Objects) -> None:
        ask(first)
        before = contents(objects)
        redo_in_every_way(second)
        assert contents(objects) == before
        assert state(second) == ("terminal_failed", FOREIGN)
        assert audit(first).violations == 0
        assert state(first) == ("done", None)
        assert contents(objects) == before

    def test_the_hint_says_what_can_be_done(self, first: World, second: World) -> None:
        ask(first)
        ask(second)
        [task] = second.tasks("failure_message, failure_hint")
        assert identity_of(first.database) in task["failure_message"]
        for way in ("--adopt-foreign", f"bec queue replace-foreign toy W1/I1 --source {second.source}", "another name"):
            assert way in task["failure_hint"]

    def test_what_fits_is_adopted_when_that_is_asked_for(self, first: World, second: World, objects: Objects) -> None:
        ask(first)
        before = contents(objects)
        ask(second)
        ask(second, adopt_foreign=True)
        assert state(second) == ("done", None)
        assert second.attempts()[-1] == AttemptOutcome.ADOPTED
        assert (audit(second).violations, contents(objects)) == (0, before)
        # Adopted is not owned.
        redo_in_every_way(second)
        assert contents(objects) == before

    def test_what_does_not_fit_is_not_adopted(self, first: World, second: World, objects: Objects) -> None:
        ask(first)
        before = contents(objects)
        reconfigure(second)
        ask(second, adopt_foreign=True)
        assert (state(second), contents(objects)) == (("terminal_failed", FOREIGN), before)

    def test_adopting_and_force_exclude_each_other(self, first: World) -> None:
        with pytest.raises(UsageError, match="--adopt-foreign"):
            ask(first, adopt_foreign=True, force=True)

    def test_what_was_shown_is_replaced_and_the_files_beside_it_stay(
        self, first: World, second: World, objects: Objects
    ) -> None:
        ask(first)
        theirs = {key: data for key, data in contents(objects).items() if key.endswith(".parquet")}
        ask(second)
        [shown] = find_foreign(second.artefacts, second.sources, second.store.job("toy"), [volume_of(second)])
        assert identity_of(first.database) in shown.made_by
        assert shown.files == tuple(key.rpartition("/")[2] for key in theirs)
        reconfigure(second)
        ask(second, replace_foreign={volume_of(second): shown.etag})
        assert state(second) == ("done", None)
        assert second.lengths(volume_of(second)) == [3 * length for length in WHOLE]
        assert theirs.items() <= contents(objects).items()
        report = audit(second)
        # The name that readers make up is still the first one's.
        assert (report.violations, report.looked.names_of_others) == (0, 1)

        before = contents(objects)
        maintain(first)
        audit(first)
        assert (state(first), contents(objects)) == (("terminal_failed", FOREIGN), before)
        with pytest.raises(UsageError, match="No artefact of others"):
            find_foreign(second.artefacts, second.sources, second.store.job("toy"), [volume_of(second)])

    def test_one_that_changed_since_it_was_shown_stays(self, first: World, second: World, objects: Objects) -> None:
        ask(first)
        [shown] = find_foreign(second.artefacts, second.sources, second.store.job("toy"), [volume_of(second)])
        ask(first, force=True)
        before = contents(objects)
        ask(second, replace_foreign={volume_of(second): shown.etag})
        assert (state(second), contents(objects)) == (("terminal_failed", FOREIGN), before)

    def test_who_comes_second_to_the_commit_publishes_nothing(
        self, first: World, second: World, objects: Objects
    ) -> None:
        """Both are at it at the same time, each in its third page when the other begins."""
        met = False

        def meet(_context: Any, page: Any) -> None:
            nonlocal met
            if page.index == 2 and not met:
                met = True
                ask(second)

        first.at_page = meet
        ask(first)
        assert (state(first), state(second)) == (("terminal_failed", FOREIGN), ("done", None))
        assert second.lengths(volume_of(second)) == WHOLE
        before = contents(objects)
        for world in (first, second):
            assert audit(world).violations == 0
        assert contents(objects) == before

    def test_finished_pages_of_the_others_running_attempt_stay(
        self, first: World, second: World, objects: Objects
    ) -> None:
        """The second one finishes, and removes its own part files, while the first one has some of its own there."""

        def interrupted(context: Any, page: Any) -> None:
            if page.index == 2:
                context.rows.flush()
                ask(second)
                kept.update({key: data for key, data in contents(objects).items() if "/parts/" in key})

        kept: dict[str, bytes] = {}
        first.at_page = interrupted
        ask(first)
        tag = owner_of(first.database).tag
        assert kept
        assert all(tag in key for key in kept)


class TestEarlierSystem:
    def plant(self, world: World, objects: Objects, name: str, errors: int = 0) -> None:
        """Leave what the earlier system leaves for our volume: `name` is its file's, with `{stem}` in it."""
        etag = world.sources(world.source).read_manifest(volume_of(world)).version
        prefix, stem = f"toy/W1/I1/{etag}", f"W1-I1-{etag}"
        rows = pa.table({"img_file_name": [f"{n:04}.jpg" for n in range(1, 5)], "length": WHOLE, "ok": [True] * 4})
        path = world.home / "earlier.parquet"
        pq.write_table(rows, path)
        told = {"job_id": 7, "job_name": "toy", "total_images": 4, "nb_errors": errors, "timestamp": 1769000000.0}
        objects.create(f"{prefix}/{name.format(stem=stem)}", path)
        objects.create(f"{prefix}/{stem}-errors.jsonl", b"{}\n")
        objects.create(f"{prefix}/success.json", json.dumps(told).encode())

    @pytest.mark.parametrize("name", ["{stem}_ocrv1.parquet", "{stem}.parquet", "{stem}.a0.parquet"])
    def test_nothing_of_it_is_harmed(self, first: World, objects: Objects, name: str) -> None:
        self.plant(first, objects, name)
        before = contents(objects)
        report = audit(first)
        assert (report.violations, report.looked.foreign, first.tasks()) == (0, 1, [])
        redo_in_every_way(first)
        assert (state(first), contents(objects)) == (("terminal_failed", FOREIGN), before)

    @pytest.mark.parametrize("name", ["{stem}_ocrv1.parquet", "{stem}-gv.parquet", "{stem}.parquet"])
    def test_a_table_of_its_layout_is_adopted_when_that_is_asked_for(
        self, first: World, objects: Objects, name: str
    ) -> None:
        self.plant(first, objects, name)
        before = contents(objects)
        ask(first, adopt_foreign=True)
        assert (state(first), audit(first).violations, contents(objects)) == (("done", None), 0, before)

    def test_one_of_another_layout_cannot_be_adopted(self, first: World, objects: Objects) -> None:
        self.plant(first, objects, "{stem}.a0.parquet")
        before = contents(objects)
        ask(first, adopt_foreign=True)
        assert (state(first), contents(objects)) == (("terminal_failed", FOREIGN), before)

    def test_its_errors_are_page_errors(self, first: World, objects: Objects) -> None:
        self.plant(first, objects, "{stem}.parquet", errors=1)
        ask(first, adopt_foreign=True)
        [task] = first.tasks("pages_ok, pages_skipped, pages_error")
        assert task == {"pages_ok": 3, "pages_skipped": 0, "pages_error": 1}
        assert audit(first).violations == 0
        # One that was recorded otherwise, by a version that did not count them, is looked at again.
        execute(first, "UPDATE tasks SET pages_ok = 4, pages_error = 0")
        assert audit(first).violations == 1
        [task, *_] = reversed(first.tasks("pages_ok, pages_error"))
        assert (state(first), task) == (("done", None), {"pages_ok": 3, "pages_error": 1})

    def test_it_is_replaced_when_it_was_shown(self, first: World, objects: Objects) -> None:
        self.plant(first, objects, "{stem}_ocrv1.parquet")
        theirs = {key: data for key, data in contents(objects).items() if not key.endswith("success.json")}
        [shown] = find_foreign(first.artefacts, first.sources, first.store.job("toy"), [volume_of(first)])
        assert (shown.made_at, len(shown.files)) == ("2026-01-21T12:53:20+00:00", 2)
        ask(first, replace_foreign={volume_of(first): shown.etag})
        assert state(first) == ("done", None)
        assert audit(first).violations == 0
        assert theirs.items() <= contents(objects).items()

    def test_the_examples_of_the_library_are_left_as_they_are(
        self, first: World, objects: Objects, shared_data: Path, tmp_path: Path
    ) -> None:
        examples = shared_data / EARLIER / "artefacts"
        if not examples.is_dir():
            pytest.skip(f"the examples are not there: {examples}")
        kinds = sorted(folder for folder in examples.iterdir() if folder.is_dir())
        etag = first.sources(first.source).read_manifest(volume_of(first)).version
        for kind in kinds:
            [success] = kind.rglob("success.json")
            folder = tmp_path / "shared" / "toy" / "W1" / "I1" / etag
            shutil.rmtree(tmp_path / "shared" / "toy", ignore_errors=True)
            shutil.copytree(success.parent, folder)
            folder.chmod(0o755)  # the examples may be for reading alone
            before = contents(objects)
            ask(first, force=True)
            assert (state(first), contents(objects)) == (("terminal_failed", FOREIGN), before), kind.name
            assert audit(first).violations == 0
            assert contents(objects) == before, kind.name


class TestOlderVersionOfThisProgram:
    """Artefacts with our format and no identity: those whose task this database knows are its own."""

    def age(self, objects: Objects) -> None:
        """Take from the artefact what a version before identities did not write."""
        for key, data in contents(objects).items():
            if key.endswith("success.json"):
                content = json.loads(data)
                del content["database"]
                for file in content["files"]:
                    file["key"] = f"{file['key'].rpartition('-')[0]}.parquet"
                objects.delete([key])
                objects.create(key, json.dumps(content).encode())
            elif ".a" in key:
                objects.delete([key])
                objects.create(f"{key.rpartition('-')[0]}.parquet", data)

    def test_they_are_its_own(self, first: World, objects: Objects) -> None:
        ask(first)
        self.age(objects)
        execute(first, "UPDATE tasks SET artefact_key = regexp_replace(artefact_key, '-[0-9a-f]+.parquet', '.parquet')")
        before = contents(objects)
        report = audit(first)
        assert (report.violations, report.looked.foreign, contents(objects)) == (0, 0, before)
        ask(first, force=True)
        assert state(first) == ("done", None)
        assert audit(first).violations == 0

    def test_those_of_another_database_are_not(self, first: World, second: World, objects: Objects) -> None:
        ask(first)
        self.age(objects)
        before = contents(objects)
        redo_in_every_way(second)
        assert (state(second), contents(objects)) == (("terminal_failed", FOREIGN), before)


class TestIdentity:
    def test_a_new_database_goes_on_for_one_that_was_lost(self, first: World, second: World, objects: Objects) -> None:
        ask(first)
        before = contents(objects)
        take_identity(second.database, UUID(identity_of(first.database)))
        put_into(second, objects)
        report = audit(second)
        assert (list(report.findings["E_AUDIT_NOT_RECORDED"].examples) != [], state(second)) == (True, ("done", None))
        assert second.attempts() == [AttemptOutcome.ADOPTED]
        assert (audit(second).violations, contents(objects)) == (0, before)
        ask(second, force=True)
        assert state(second) == ("done", None)

    def test_one_that_has_tasks_takes_no_other(self, first: World) -> None:
        ask(first)
        own = identity_of(first.database)
        take_identity(first.database, UUID(own))
        with pytest.raises(ConfigError) as caught:
            take_identity(first.database, uuid4())
        assert (caught.value.code, identity_of(first.database)) == ("E_DB_IDENTITY", own)

    def test_it_outlives_its_database_in_a_file(
        self, database: Database, other_database: Database, tmp_path: Path
    ) -> None:
        file, own = tmp_path / "identity", identity_of(database)
        keep_identity(database, file)
        assert file.read_text() == f"{own}\n"
        keep_identity(other_database, file)
        assert identity_of(other_database) == own

    def test_the_file_follows_a_database_that_has_tasks(self, first: World, tmp_path: Path) -> None:
        ask(first)
        file, own = tmp_path / "identity", identity_of(first.database)
        for text in (str(uuid4()), "", "6f1c"):
            file.write_text(text)
            keep_identity(first.database, file)
            assert (file.read_text(), identity_of(first.database)) == (f"{own}\n", own)
        assert [path.name for path in tmp_path.glob("identity*")] == ["identity"]


def test_a_dependency_of_others_is_read_as_it_is(first: World, second: World, objects: Objects) -> None:
    """The second database took over what the first one made; its own job reads that."""
    ask(first)
    ask(second, adopt_foreign=True)
    before = contents(objects)
    second.create_job(name="after")
    execute(second, "INSERT INTO job_dependencies SELECT max(id), min(id) FROM jobs")
    Enqueuer(PgBacklog(second.database), second.queues).enqueue("after", [volume_of(second)])
    assert second.run(name="w", job="after").outcomes == {AttemptOutcome.DONE: 1}
    assert before.items() <= contents(objects).items()
