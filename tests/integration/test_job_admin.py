"""Jobs: what may be made, changed and deleted, and what becomes of their tasks."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from bec_orch.core.tasks import Claim, TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import BecError, ConfigError, UsageError
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.orch import job_admin
from bec_orch.orch.job_admin import DeletedJob, JobAdmin
from tests.integration.conftest import SOURCE, Sql
from tests.support.jobs.toy_job import ToyConfig, ToyJob

VOLUME = VolumeRef("W1", "I1", SOURCE)


@pytest.fixture
def admin(database: Database, monkeypatch: pytest.MonkeyPatch) -> JobAdmin:
    monkeypatch.setattr(job_admin, "job_worker_class", lambda _: ToyJob)
    return JobAdmin(PgJobs(database))


class TestCreate:
    def test_stores_the_config_with_its_defaults(self, admin: JobAdmin) -> None:
        job = admin.create("toy", "toy", {"factor": 3}, max_attempts=2, max_page_error_rate=0.5)
        assert job.config == {"factor": 3, "patience": 0.0}
        assert job.config_hash == ToyConfig(factor=3).output_hash()
        assert (job.type, job.max_attempts, job.max_page_error_rate) == ("toy", 2, 0.5)
        assert admin.show("toy") == job
        assert admin.list() == [job]

    def test_unknown_key_is_refused(self, admin: JobAdmin) -> None:
        with pytest.raises(ConfigError, match="faktor") as caught:
            admin.create("toy", "toy", {"faktor": 3})
        assert caught.value.code == "E_JOB_CONFIG"
        assert admin.list() == []

    def test_unknown_type_is_refused(self, database: Database) -> None:
        with pytest.raises(ConfigError) as caught:
            JobAdmin(PgJobs(database)).create("toy", "no-such-type", {})
        assert caught.value.code == "E_JOB_TYPE"

    def test_name_that_is_taken(self, admin: JobAdmin) -> None:
        admin.create("toy", "toy", {})
        with pytest.raises(UsageError, match="'toy'") as caught:
            admin.create("toy", "toy", {})
        assert caught.value.code == "E_JOB_EXISTS"

    def test_of_many_at_once_one_gets_the_name(self, admin: JobAdmin) -> None:
        barrier = threading.Barrier(6)

        def create(_: int) -> str:
            barrier.wait()
            try:
                return admin.create("toy", "toy", {}).name
            except UsageError as error:
                return error.code

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(create, range(6))) == ["E_JOB_EXISTS"] * 5 + ["toy"]

    @pytest.mark.parametrize("name", ["", "A", "a b", "../x", "-a", "a" * 61, "ཀ", "a\n", "a\0", "'; DROP TABLE jobs"])
    def test_name_that_cannot_be_one(self, admin: JobAdmin, name: str) -> None:
        with pytest.raises(UsageError) as caught:
            admin.create(name, "toy", {})
        assert caught.value.code == "E_JOB_NAME"

    @pytest.mark.parametrize("name", ["a", "0", "ocr-woodblock_2", "a" * 60])
    def test_name_that_can(self, admin: JobAdmin, name: str) -> None:
        assert admin.create(name, "toy", {}).name == name

    @pytest.mark.parametrize(("attempts", "rate"), [(0, 0.1), (1, -0.1), (1, 1.1), (1, float("nan"))])
    def test_policies_have_limits(self, admin: JobAdmin, attempts: int, rate: float) -> None:
        with pytest.raises(ConfigError):
            admin.create("toy", "toy", {}, max_attempts=attempts, max_page_error_rate=rate)


class TestDependencies:
    def test_are_kept(self, admin: JobAdmin) -> None:
        admin.create("lines", "toy", {})
        assert admin.create("ocr", "toy", {}, depends_on=["lines", "lines"]).depends_on == ("lines",)

    def test_unknown_one_is_refused_and_nothing_made(self, admin: JobAdmin) -> None:
        with pytest.raises(ConfigError, match="'lines'") as caught:
            admin.create("ocr", "toy", {}, depends_on=["lines"])
        assert caught.value.code == "E_JOB_UNKNOWN"
        assert admin.list() == []

    def test_circle_is_refused(self, admin: JobAdmin) -> None:
        admin.create("a", "toy", {})
        admin.create("b", "toy", {}, depends_on=["a"])
        admin.create("c", "toy", {}, depends_on=["b"])
        for needs in (["c"], ["a"]):
            with pytest.raises(ConfigError) as caught:
                admin.update("a", depends_on=needs)
            assert caught.value.code == "E_JOB_CIRCLE"
        assert admin.show("a").depends_on == ()

    def test_can_be_taken_off(self, admin: JobAdmin) -> None:
        admin.create("a", "toy", {})
        admin.create("b", "toy", {}, depends_on=["a"])
        assert admin.update("b", depends_on=[]).depends_on == ()


class TestUpdate:
    def test_changes_what_is_named(self, admin: JobAdmin) -> None:
        before = admin.create("toy", "toy", {"factor": 3}, max_attempts=2)
        after = admin.update("toy", config={"patience": 1.0}, max_page_error_rate=0.5)
        assert after.config == {"factor": 3, "patience": 1.0}
        assert after.config_hash == before.config_hash
        assert (after.max_attempts, after.max_page_error_rate) == (2, 0.5)
        assert admin.update("toy", config={"factor": 4}, max_attempts=7).config_hash != before.config_hash

    def test_running_task_keeps_what_it_began_with(self, admin: JobAdmin, store: PgTasks) -> None:
        job = admin.create("toy", "toy", {"factor": 3})
        store.ensure_task(job, VOLUME)
        token = uuid4()
        claim = store.claim(job, VOLUME, worker_id="w", token=token, lease=60)
        admin.update("toy", config={"factor": 4})
        again = store.claim(job, VOLUME, worker_id="w", token=token, lease=60)
        assert isinstance(claim, Claim)
        assert isinstance(again, Claim)
        assert again.job.config == claim.job.config == {"factor": 3, "patience": 0.0}

    def test_wrong_config_changes_nothing(self, admin: JobAdmin) -> None:
        job = admin.create("toy", "toy", {})
        for wrong in ({"factor": "many"}, {"faktor": 1}):
            with pytest.raises(ConfigError):
                admin.update("toy", config=wrong)
        assert admin.show("toy") == job

    @pytest.mark.parametrize("name", ["nothing", "a\0", "\ud800"])
    def test_unknown_job(self, admin: JobAdmin, name: str) -> None:
        for use in (admin.show, admin.update, admin.delete):
            with pytest.raises(ConfigError) as caught:
                use(name)
            assert caught.value.code == "E_JOB_UNKNOWN"

    def test_a_job_of_nearly_that_name_is_proposed(self, admin: JobAdmin) -> None:
        admin.create("ocr-uchen", "toy", {})
        with pytest.raises(ConfigError, match="no job 'ocr-uchan' \\(did you mean 'ocr-uchen'\\?\\)"):
            admin.show("ocr-uchan")
        with pytest.raises(ConfigError, match="did you mean 'ocr-uchen'"):
            admin.create("eval", "toy", {}, depends_on=["ocr-uche"])


class TestDelete:
    def test_cancels_what_is_unfinished_and_frees_the_name(self, admin: JobAdmin, store: PgTasks, sql: Sql) -> None:
        job = admin.create("toy", "toy", {})
        store.ensure_task(job, VOLUME)
        store.ensure_task(job, VolumeRef("W1", "I2", SOURCE))
        claim = store.claim(job, VOLUME, worker_id="w", token=uuid4(), lease=60)
        assert isinstance(claim, Claim)
        assert admin.delete("toy") == DeletedJob("toy", 2)
        assert {row["state"] for row in sql("SELECT state FROM tasks")} == {TaskState.CANCELED}
        assert [row["outcome"] for row in sql("SELECT outcome FROM task_attempts")] == ["superseded"]
        assert store.renew(claim, 60) is False
        assert admin.list() == []
        again = admin.create("toy", "toy", {})
        store.ensure_task(again, VOLUME)
        second = store.claim(again, VOLUME, worker_id="w", token=uuid4(), lease=60)
        assert isinstance(second, Claim)
        assert second.attempt == 2

    def test_job_that_is_needed_stays(self, admin: JobAdmin) -> None:
        admin.create("lines", "toy", {})
        admin.create("ocr", "toy", {}, depends_on=["lines"])
        with pytest.raises(BecError, match="ocr") as caught:
            admin.delete("lines")
        assert caught.value.code == "E_JOB_NEEDED"
        admin.delete("ocr")
        admin.delete("lines")
        assert admin.list() == []
