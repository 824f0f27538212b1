"""Folders that are away for a moment: the source, the destination, a work's folder, by renaming and by real mounts.

What is missing then is no fault of any volume: nothing fails for good, no page becomes an error, nothing is done twice,
and nothing is written into the folder that is left in the place of a disk.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.life.stop import StopReason
from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.records.backlog import RedriveFilter
from bec_orch.core.tasks import AttemptOutcome
from bec_orch.core.volumes import Page, VolumeRef, version_of
from bec_orch.errors import StorageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.identity import owner_of
from bec_orch.io.postgres.ledger import PgLedger
from bec_orch.io.sources.sources import Sources
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.objects import Blob
from bec_orch.io.stores.storage import Stores
from bec_orch.orch.audit import values as must
from bec_orch.orch.audit.audit import Auditor
from bec_orch.orch.audit.repairs import Repairer
from bec_orch.orch.audit.values import Repair, Violation
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver
from tests.integration.test_worker_runtime import PAGES, World

DONE, RETRIED, FAILED = AttemptOutcome.DONE, AttemptOutcome.RETRYABLE_FAILED, AttemptOutcome.TERMINAL_FAILED


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, database)
    world.create_job()
    yield world
    world.queues.close()


def _missing(folder: Path) -> None:
    """Take a folder away: an automounter does so, and who renames it."""
    folder.rename(folder.with_name(f"{folder.name}.away"))


def _emptied(folder: Path) -> None:
    """Leave an empty folder, as an unmounted disk does."""
    _missing(folder)
    folder.mkdir()


def _strewn(folder: Path) -> None:
    """Leave a folder in which something else lies: somebody wrote into the mount point once."""
    _emptied(folder)
    (folder / "lost.txt").touch()


def _back(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True) if folder.exists() else []:
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.exists():
        folder.rmdir()
    folder.with_name(f"{folder.name}.away").rename(folder)


WAYS = pytest.mark.parametrize("take_away", [_missing, _emptied, _strewn])


@dataclass
class BackAgain:
    """Brings a folder back when an attempt ended, as whoever watches."""

    world: World
    folder: Path
    seen: list[list[Path]]

    def __post_init__(self) -> None:
        self._told = self.world.watching.task_ended

    def __call__(self, end: TaskEnd) -> None:
        self._told(end)
        if self.folder.with_name(f"{self.folder.name}.away").exists():
            self.seen.append([path for path in self.folder.rglob("*") if path.name != "lost.txt"])
            _back(self.folder)


def away_at(world: World, index: int, folder: Path, take_away: Callable[[Path], None]) -> list[list[Path]]:
    """Take a folder away at a page, once, and bring it back when the attempt has ended.

    Returns what lay in the place of the folder each time, but for what was strewn there.
    """
    seen: list[list[Path]] = []
    done: list[int] = []

    def at_page(_context: JobContext, page: Page) -> None:
        if page.index == index and not done:
            done.append(1)
            take_away(folder)

    world.at_page = at_page
    world.watching.task_ended = BackAgain(world, folder, seen)  # type: ignore[method-assign]
    return seen


def failures(world: World) -> list[str]:
    return [end.failure.code for end in world.watching.ends if end.failure]


class TestSource:
    @WAYS
    @pytest.mark.parametrize("index", [0, 2, PAGES - 1])
    def test_away_in_mid_run(self, world: World, index: int, take_away: Callable[[Path], None]) -> None:
        volume = world.volume()
        away_at(world, index, world.scans, take_away)
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}
        assert world.lengths(volume) == [1, 2, 3, 4]
        assert world.tasks("state, charged, pages_error") == [{"state": "done", "charged": 0, "pages_error": 0}]

    @WAYS
    def test_away_at_the_claim(self, world: World, take_away: Callable[[Path], None]) -> None:
        volume = world.volume()
        world.sources(world.source)
        world.watching.task_ended = BackAgain(world, world.scans, [])  # type: ignore[method-assign]
        take_away(world.scans)
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}
        assert failures(world) == ["E_STORAGE_MISSING"]

    def test_empty_from_the_beginning(self, world: World) -> None:
        """A worker that is started while the disk is away knows no other folder."""
        volume = world.volume()
        _emptied(world.scans)
        world.sources(world.source)
        world.watching.task_ended = BackAgain(world, world.scans, [])  # type: ignore[method-assign]
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}
        assert failures(world) == ["E_STORAGE_EMPTY"]

    def test_away_in_mid_run_by_a_real_mount(self, world: World, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        volume = world.volume()
        world.scans.rename(disk)
        world.scans.mkdir()
        with mounted(disk, world.scans):
            away_at(world, 2, world.scans, _unmount)
            world.watching.task_ended = Remounting(world, disk)  # type: ignore[method-assign]
            world.send(volume)
            assert world.run().outcomes == {RETRIED: 1, DONE: 1}
            assert world.lengths(volume) == [1, 2, 3, 4]


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(disk: Path, folder: Path) -> None:
    subprocess.run(["mount", "--bind", disk, folder], check=True, capture_output=True)


@dataclass
class Remounting:
    """Mounts the scans again when an attempt ended."""

    world: World
    disk: Path

    def __post_init__(self) -> None:
        self._told = self.world.watching.__class__.task_ended

    def __call__(self, end: TaskEnd) -> None:
        self._told(self.world.watching, end)
        if not any(self.world.scans.iterdir()):
            _mount(self.disk, self.world.scans)


class mounted:  # noqa: N801  (a context manager, named as one)
    """A folder mounted in the place of another for a block; skips the test where that is not allowed."""

    def __init__(self, disk: Path, folder: Path) -> None:
        self._folder = folder
        try:
            _mount(disk, folder)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("only root may mount, where the system lets him")

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        # Where the program failed to notice, it may be mounted twice.
        with suppress(subprocess.CalledProcessError):
            while True:
                _unmount(self._folder)


class TestVolume:
    """The source is there, and a volume in it is not: a work may be a mount of its own."""

    def test_away_at_the_claim(self, world: World) -> None:
        world.volume("I2")
        volume = world.volume("I1")
        folder = world.scans / "W1" / "I1"
        world.watching.task_ended = BackAgain(world, folder, [])  # type: ignore[method-assign]
        _missing(folder)
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}
        assert failures(world) == ["E_MANIFEST_MISSING"]

    def test_emptied_at_the_claim(self, world: World) -> None:
        world.volume("I2")
        volume = world.volume("I1")
        folder = world.scans / "W1" / "I1"
        world.watching.task_ended = BackAgain(world, folder, [])  # type: ignore[method-assign]
        _emptied(folder)
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}
        assert failures(world) == ["E_MANIFEST_EMPTY"]

    def test_away_in_mid_run(self, world: World) -> None:
        volume = world.volume()
        world.volume("I2")
        away_at(world, 2, world.scans / "W1" / "I1", _missing)
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}
        assert failures(world) == ["E_MANIFEST_MISSING"]
        assert world.lengths(volume) == [1, 2, 3, 4]

    def test_gone_it_ends_at_the_second_look_and_is_looked_for_twice_after_a_redrive(self, world: World) -> None:
        world.volume("I1")
        world.send(VolumeRef("W1", "I404", world.source))
        assert world.run().outcomes == {RETRIED: 1, FAILED: 1}
        ended = [{"state": "terminal_failed", "failure_code": "E_MANIFEST_MISSING", "charged": 1}]
        assert world.tasks("state, failure_code, charged") == ended
        Redriver(PgBacklog(world.database), world.queues).redrive("toy", RedriveFilter(code="E_MANIFEST_MISSING"))
        assert world.run().outcomes == {RETRIED: 1, FAILED: 1}
        assert world.tasks("state, failure_code, charged") == ended

    def test_a_look_before_an_interruption_does_not_count(self, world: World) -> None:
        volume = world.volume("I1")
        world.volume("I2")
        folder = world.scans / "W1" / "I1"
        worker = world.worker()
        world.watching.task_ended = BackAgain(world, folder, [])  # type: ignore[method-assign]
        _missing(folder)

        def stop_once(_context: JobContext, page: Page) -> None:
            if page.index == 1:
                worker.stop(StopReason.SHUTDOWN)

        world.at_page = stop_once
        world.send(volume)
        assert worker.run(until_empty=True).outcomes == {RETRIED: 1, AttemptOutcome.INTERRUPTED: 1}
        _missing(folder)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}


class TestPage:
    def test_away_for_a_moment_is_done_by_the_next_attempt(self, world: World) -> None:
        volume = world.volume()
        page, away = world.scans / "W1/I1/0003.jpg", world.scans / "0003.jpg"
        seen: list[int] = []

        def hide_and_show(_context: JobContext, at: Page) -> None:
            seen.append(at.index)
            if seen == [0, 1, 2]:
                page.rename(away)
            elif seen == [0, 1, 2, 3]:
                away.rename(page)

        world.at_page = hide_and_show
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}
        assert failures(world) == ["E_PAGE_MISSING"]
        assert seen == [0, 1, 2, 3, 2], "what was finished is kept"
        assert world.lengths(volume) == [1, 2, 3, 4]
        assert world.tasks("charged, pages_error") == [{"charged": 0, "pages_error": 0}]

    def test_listed_and_never_read_it_ends_when_the_attempts_are_used_up(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        volume = world.volume()
        world.sources(world.source)
        real = FolderObjects.read_async

        async def lacking(self: FolderObjects, key: str, *, limit: int | None = None) -> Blob | None:
            return None if key.endswith("0003.jpg") else await real(self, key, limit=limit)

        monkeypatch.setattr(FolderObjects, "read_async", lacking)
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 3}
        assert world.run().outcomes == {FAILED: 1}
        (task,) = world.tasks("failure_code, failure_message, charged, attempt")
        assert (task["failure_code"], task["charged"], task["attempt"]) == ("E_ATTEMPTS_EXHAUSTED", 3, 4)
        assert "'0003.jpg' for one" in task["failure_message"]


class TestManyAtOnce:
    def test_a_worker_that_misses_many_volumes_stops_itself_and_names_the_mount(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.volume("I1")
        world.send(*(VolumeRef("W1", f"I40{number}", world.source) for number in range(8)))
        report = world.run(failures_in_a_row=3)
        assert (report.stop_reason, report.outcomes) == ("failing: E_MANIFEST_MISSING", {RETRIED: 3})
        (told,) = [record.__dict__ for record in caplog.records if record.message == "worker.black_hole"]
        assert "mount" in told["hint"]

    def test_it_stops_also_where_each_of_them_was_ended_by_it(self, world: World) -> None:
        world.volume("I1")
        world.send(*(VolumeRef("W1", f"I40{number}", world.source) for number in range(8)))
        world.run(failures_in_a_row=99)
        with world.database.transaction("look once more") as connection:
            connection.execute("UPDATE tasks SET state = 'retryable_failed', finished_at = NULL, not_before = now()")
        world.send(*(VolumeRef("W1", f"I40{number}", world.source) for number in range(8)))
        report = world.run(failures_in_a_row=3)
        assert (report.stop_reason, report.outcomes) == ("failing: E_MANIFEST_MISSING", {FAILED: 3})


class TestDestination:
    @WAYS
    def test_away_in_mid_run_nothing_is_written_in_its_place(
        self, world: World, take_away: Callable[[Path], None]
    ) -> None:
        volume = world.volume()
        seen = away_at(world, 2, world.home / "out", take_away)
        world.send(volume)
        assert world.run().outcomes == {RETRIED: 1, DONE: 1}
        assert seen == [[]]
        assert failures(world) == ["E_STORAGE_MISSING"]
        assert world.lengths(volume) == [1, 2, 3, 4]

    @WAYS
    def test_away_at_the_round_of_maintenance_nothing_is_redone(
        self, world: World, take_away: Callable[[Path], None]
    ) -> None:
        world.send(world.volume())
        world.run()
        take_away(world.home / "out")
        with pytest.raises(StorageError) as caught:
            world.worker()._maintenance.verify()
        assert caught.value.code == "E_STORAGE_MISSING"
        assert world.tasks() == [{"state": "done"}]

    def test_empty_from_the_beginning_of_a_worker_nothing_is_redone(self, world: World) -> None:
        world.send(world.volume())
        world.run()
        _emptied(world.home / "out")
        world.artefacts = _opened_anew(world)
        with pytest.raises(StorageError) as caught:
            world.worker()._maintenance.verify()
        assert caught.value.code == "E_STORAGE_EMPTY"
        assert world.tasks() == [{"state": "done"}]

    def test_back_when_maintenance_looks_again_nothing_is_redone(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.send(world.volume())
        world.run()
        real, looks = StoredArtefacts.success, []

        def away_once(self: StoredArtefacts, location: Any) -> Any:
            looks.append(location)
            return real(self, location) if len(looks) > 1 else None

        monkeypatch.setattr(StoredArtefacts, "success", away_once)
        world.worker()._maintenance.verify()
        assert len(looks) > 1
        assert world.tasks() == [{"state": "done"}]

    def test_many_artefacts_gone_at_once_are_not_redone(self, world: World) -> None:
        world.send(*(world.volume(f"I{number}") for number in range(5)))
        world.run()
        maintenance = world.worker()._maintenance
        for success in (world.home / "out").rglob("success.json"):
            success.unlink()
        with pytest.raises(StorageError) as caught:
            maintenance.verify()
        assert (caught.value.code, "mounted" in caught.value.hint) == ("E_STORAGE_DOUBTED", True)
        assert world.tasks() == [{"state": "done"}] * 5

    def test_a_worker_does_not_begin_where_all_that_was_finished_is_gone(self, world: World) -> None:
        world.send(world.volume("I1"))
        world.run()
        world.send(world.volume("I2"))
        _emptied(world.home / "out")
        world.artefacts = _opened_anew(world)
        with pytest.raises(StorageError) as caught:
            world.run()
        assert caught.value.code == "E_STORAGE_EMPTY"
        assert list((world.home / "out").iterdir()) == []
        _back(world.home / "out")
        world.artefacts = _opened_anew(world)
        assert world.run().outcomes == {DONE: 1}

    def test_a_worker_begins_in_an_emptied_one_when_all_is_asked_for_anew(self, world: World) -> None:
        volume = world.volume("I1")
        world.send(volume)
        world.run()
        _emptied(world.home / "out")
        world.artefacts = _opened_anew(world)
        Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", [volume], force=True)
        assert world.run().outcomes == {DONE: 1}

    def test_an_audit_mends_nothing_in_an_empty_destination(self, world: World) -> None:
        world.send(world.volume("I1"))
        world.run()
        _emptied(world.home / "out")
        artefacts = _opened_anew(world)
        repairer = Repairer(
            world.store, PgBacklog(world.database), PgLedger(world.database), world.queues, artefacts, world.source
        )
        auditor = Auditor(PgLedger(world.database), world.queues, artefacts, world.source)
        assert auditor.audit([world.store.job("toy")]).violations == 1
        with pytest.raises(StorageError) as caught:
            auditor.audit([world.store.job("toy")], repairer)
        assert caught.value.code == "E_STORAGE_EMPTY"
        assert world.tasks() == [{"state": "done"}]

    def test_an_audit_takes_nothing_back_in_an_empty_destination(self, world: World) -> None:
        volume = world.volume("I1")
        world.send(volume)
        world.run()
        _emptied(world.home / "out")
        artefacts = _opened_anew(world)
        ledger = PgLedger(world.database)
        repairer = Repairer(world.store, PgBacklog(world.database), ledger, world.queues, artefacts, world.source)
        (task,) = ledger.tasks_of(world.store.job("toy"), [volume])
        place = ArtefactLocation("toy", task.volume, version_of(task.manifest_etag or ""))
        wrong = Violation(must.FILE, "toy", "wrong", task.volume, (task.id,), Repair.RETRACT, place)
        with pytest.raises(StorageError) as caught:
            repairer.begin(wrong)
        assert caught.value.code == "E_STORAGE_EMPTY"
        assert world.tasks() == [{"state": "done"}]


def _opened_anew(world: World) -> StoredArtefacts:
    return StoredArtefacts(
        Stores().open((world.home / "out").as_uri(), create=True), world.work, owner_of(world.database)
    )


def test_an_empty_source_is_not_a_source_without_volumes(world: World) -> None:
    world.volume("I1")
    _emptied(world.scans)
    with pytest.raises(StorageError) as caught:
        list(Sources(Stores())(world.source).volumes())
    assert caught.value.code == "E_STORAGE_EMPTY"
