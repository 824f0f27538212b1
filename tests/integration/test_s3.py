"""S3, through a network with faults: the same bytes, one commit, and a clear word where trying again cannot help."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from bec_orch.core.artefacts import ArtefactFile
from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.tasks import AttemptOutcome
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import StorageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.identity import owner_of
from bec_orch.io.sources.bdrc import volume_prefix
from bec_orch.io.sources.sources import Sources, source_name
from bec_orch.io.stores.objects import Objects, Retries
from bec_orch.io.stores.storage import S3_RETRIES, S3Options, Stores
from tests.conformance.store_suite import content_of, location_of, manifest_of, ok, opened
from tests.integration.test_worker_runtime import World
from tests.support.owners import owner
from tests.support.servers.aws import Aws
from tests.support.servers.http_faults import SLOW_DOWN, Fault, FaultProxy, faulty

SOON = Retries(S3_RETRIES.attempts, wait_initial=0.01, wait_max=0.05)
PAGES = {f"I00010{n:03}.jpg": bytes([n]) * (1000 * n) for n in range(1, 5)}
VOLUME = ("W1", "I0001")


@dataclass
class S3:
    """A bucket of moto behind a proxy, and stores that know of the proxy alone."""

    aws: Aws
    proxy: FaultProxy
    bucket: str

    def stores(self, **options: Any) -> Stores:
        return Stores(S3Options(self.proxy.url, self.aws.region, **options), SOON)

    def objects(self) -> Objects:
        return self.stores().open(f"s3://{self.bucket}")

    def put(self, key: str, data: bytes, **more: str) -> None:
        self.aws.client("s3").put_object(Bucket=self.bucket, Key=key, Body=data, **more)

    def all_keys(self) -> list[str]:
        listed = self.aws.client("s3").list_objects_v2(Bucket=self.bucket)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def add_volume(self, w_id: str, i_id: str) -> str:
        """Put a volume in the library's layout, and return the name of its source."""
        prefix = volume_prefix(w_id, i_id)
        entries = [{"filename": name, "width": 1, "height": 1} for name in PAGES]
        self.put(f"{prefix}/dimensions.json", gzip.compress(json.dumps(entries).encode()))
        for name, data in PAGES.items():
            self.put(f"{prefix}/{name}", data)
        return source_name("bdrc", f"s3://{self.bucket}")


@pytest.fixture
def s3(aws: Aws) -> Iterator[S3]:
    bucket = aws.fresh_name("bucket")
    aws.client("s3").create_bucket(Bucket=bucket)
    with faulty(aws.endpoint_url) as proxy:
        yield S3(aws, proxy, bucket)


def fault(name: str, method: str, suffix: str) -> list[Fault]:
    one: dict[str, list[Fault]] = {
        "500": [Fault("status", method, suffix, 500)],
        "SlowDown twice": [Fault("status", method, suffix, 503, SLOW_DOWN)] * 2,
        "reset": [Fault("reset", method, suffix)],
        "half a body": [Fault("half", method, suffix)],
        "lost": [Fault("lost", method, suffix)],
    }
    return one[name]


class TestReading:
    @pytest.mark.parametrize("what", ["dimensions.json", "I00010003.jpg"])
    @pytest.mark.parametrize("name", ["500", "SlowDown twice", "reset", "half a body", "lost"])
    def test_reads_the_same_bytes_through_each_fault(self, s3: S3, name: str, what: str) -> None:
        source = Sources(s3.stores())(s3.add_volume(*VOLUME))
        s3.proxy.faults.extend(wanted := fault(name, "GET", what))
        manifest = source.read_manifest(VolumeRef(*VOLUME, source.name))
        pages = [anyio.run(source.pages(manifest).read, page) for page in manifest.pages]
        assert [page.data for page in pages] == list(PAGES.values())
        assert [page.etag for page in manifest.pages] == [page.etag for page in pages]
        assert s3.proxy.happened == wanted

    def test_a_store_that_keeps_failing_is_reported_as_such(self, s3: S3) -> None:
        s3.put("key", b"data")
        s3.proxy.faults.extend([Fault("reset", "GET", "key")] * 99)
        with pytest.raises(StorageError) as caught:
            s3.objects().read("key")
        assert (caught.value.code, caught.value.charged) == ("E_STORAGE", False)

    def test_a_store_that_is_asked_too_often_is_left_alone_for_ever_longer(self, s3: S3) -> None:
        s3.put("key", b"data")
        s3.proxy.faults.extend([Fault("status", "GET", "key", 503, SLOW_DOWN)] * 99)
        with pytest.raises(StorageError) as caught:
            s3.objects().read("key")
        assert caught.value.code == "E_STORAGE_BUSY"
        assert len(s3.proxy.happened) == SOON.attempts

    @pytest.mark.parametrize(
        ("status", "code", "told"),
        [
            (403, "AccessDenied", "E_STORAGE_DENIED"),
            (403, "InvalidAccessKeyId", "E_STORAGE_CREDENTIALS"),
            (400, "ExpiredToken", "E_STORAGE_CREDENTIALS"),
            (400, "AuthorizationHeaderMalformed", "E_STORAGE_REGION"),
            (404, "NoSuchBucket", "E_STORAGE_MISSING"),
        ],
    )
    def test_what_does_not_pass_is_reported_by_its_code_after_one_request(
        self, s3: S3, status: int, code: str, told: str
    ) -> None:
        s3.proxy.faults.extend([Fault("status", "GET", "key", status, f"<Error><Code>{code}</Code></Error>".encode())])
        with pytest.raises(StorageError) as caught:
            s3.objects().read("key")
        assert (caught.value.code, caught.value.retryable, caught.value.charged) == (told, True, False)
        assert len(s3.proxy.requests) == 1

    def test_a_bucket_that_is_not_there_is_reported_whatever_is_asked(self, s3: S3) -> None:
        objects = s3.stores().open("s3://no-such-bucket/prefix")
        for action in (
            lambda: objects.read("key"),
            lambda: objects.list("prefix"),
            lambda: objects.create("key", b""),
            lambda: objects.read_range("key", 0, 1),
            objects.check_writable,
        ):
            with pytest.raises(StorageError) as caught:
                action()
            assert caught.value.code == "E_STORAGE_MISSING"

    def test_pays_only_where_that_was_agreed_and_signs_but_for_public_buckets(self, s3: S3) -> None:
        s3.put("key", b"data", ACL="public-read")
        for options in ({}, {"requester_pays": frozenset({s3.bucket})}, {"anonymous": frozenset({s3.bucket})}):
            s3.stores(**options).open(f"s3://{s3.bucket}").read("key")
        sent = [{name.lower() for name in headers} for _, _, headers in s3.proxy.requests]
        assert ["x-amz-request-payer" in names for names in sent] == [False, True, False]
        assert ["authorization" in names for names in sent] == [True, True, False]

    def test_public_buckets_are_read_by_who_has_no_credentials(self, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
        s3.put("key", b"data", ACL="public-read")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        with pytest.raises(StorageError) as caught:
            s3.stores().open(f"s3://{s3.bucket}")
        assert caught.value.code == "E_STORAGE_CREDENTIALS"
        found = s3.stores(anonymous=frozenset({s3.bucket})).open(f"s3://{s3.bucket}").read("key")
        assert found
        assert found.data == b"data"


class TestCommitting:
    def finished(self, store: StoredArtefacts) -> ArtefactFile:
        manifest = manifest_of(3)
        with opened(store, manifest) as files:
            for page in manifest.pages:
                files.rows.add(ok(page))
            return files.assemble()

    @pytest.mark.parametrize("what", [".parquet", "success.json"])
    @pytest.mark.parametrize("name", ["500", "SlowDown twice", "reset", "lost"])
    def test_makes_one_artefact_through_each_fault(self, s3: S3, tmp_path: Path, name: str, what: str) -> None:
        store = StoredArtefacts(s3.objects(), tmp_path, owner())
        s3.proxy.faults.extend(wanted := fault(name, "PUT", what))
        file = self.finished(store)
        held = store.commit(location_of(manifest_of(3)), content_of(file), replaces=None)
        assert s3.proxy.happened == wanted
        assert held.files == (file,)
        assert store.verify(held, 3)
        body = s3.aws.client("s3").get_object(Bucket=s3.bucket, Key=file.key)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == file.sha256
        assert sorted(key.rpartition(".")[2] for key in s3.all_keys() if "/parts/" not in key) == ["json", "parquet"]

    @pytest.mark.parametrize("name", ["500", "reset", "lost"])
    def test_exchanges_one_for_another_through_each_fault(self, s3: S3, tmp_path: Path, name: str) -> None:
        store, location = StoredArtefacts(s3.objects(), tmp_path, owner()), location_of(manifest_of(3))
        file = self.finished(store)
        first = store.commit(location, content_of(file, n=1), replaces=None)
        s3.proxy.faults.extend(fault(name, "PUT", "success.json"))
        second = store.commit(location, content_of(file, n=2), replaces=first)
        assert (second.content or {})["n"] == 2
        assert (store.commit(location, content_of(file, n=3), replaces=first).content or {})["n"] == 2


class S3World(World):
    """A world whose scans lie in the library's layout on S3, and whose artefacts go there."""

    def on(self, s3: S3) -> None:
        stores = s3.stores()
        self.sources = Sources(stores)
        self.artefacts = StoredArtefacts(stores.open(f"s3://{s3.bucket}/out"), self.work, owner_of(self.database))
        self.volumes = [VolumeRef("W1", f"I000{n}", s3.add_volume("W1", f"I000{n}")) for n in range(1, 4)]
        self.source = self.volumes[0].source
        self.store._default_source = self.source


@pytest.fixture
def world(database: Database, tmp_path: Path, s3: S3) -> Iterator[S3World]:
    world = S3World(tmp_path, database)
    world.on(s3)
    world.create_job()
    yield world
    world.queues.close()


class TestWorkers:
    def test_do_every_volume_once_through_faults_of_all_kinds(self, world: S3World, s3: S3) -> None:
        s3.proxy.faults.extend(
            one
            for method, suffix in [("GET", "dimensions.json"), ("GET", "I00010002.jpg"), ("PUT", "success.json")]
            for name in ("500", "SlowDown twice", "reset", "lost")
            for one in fault(name, method, suffix)
        )
        world.send(*world.volumes)
        outcomes = world.run(slots=2).outcomes
        # A commit whose acknowledgement is lost once too often is found by the next attempt.
        assert outcomes[AttemptOutcome.DONE] + outcomes[AttemptOutcome.ADOPTED] == 3
        assert not s3.proxy.faults
        for volume in world.volumes:
            assert world.lengths(volume) == [len(data) for data in PAGES.values()]
        assert len([key for key in s3.all_keys() if key.endswith("success.json")]) == 3
        assert [task["charged"] for task in world.tasks("charged")] == [0, 0, 0]
        # What a worker's policy lets it write is below its job's name.
        assert {key.split("/")[1] for key in s3.all_keys() if key.startswith("out/")} == {"toy"}

    def test_without_permission_stop_themselves_and_end_no_task(self, world: S3World, s3: S3) -> None:
        denied = b"<Error><Code>AccessDenied</Code></Error>"
        s3.proxy.faults.extend([Fault("status", "GET", ".jpg", 403, denied)] * 99)
        world.send(*world.volumes)
        report = world.run(failures_in_a_row=3)
        assert report.stop_reason == "failing: E_STORAGE_DENIED"
        assert {task["state"] for task in world.tasks()} <= {"queued", "retryable_failed"}
        assert [task["charged"] for task in world.tasks("charged")] == [0, 0, 0]
        s3.proxy.faults.clear()
        assert world.run().outcomes == {AttemptOutcome.DONE: 3}

    @pytest.mark.parametrize("how", ["lacking", "emptied"])
    @pytest.mark.parametrize("page", [-1, 0, 3])
    def test_a_bucket_without_its_objects_for_a_moment_ends_nothing_and_spoils_no_page(
        self, world: S3World, s3: S3, how: str, page: int
    ) -> None:
        buckets: set[str] = getattr(s3.proxy, how)
        taken: list[int] = []

        def take_away(_context: JobContext, at: Page) -> None:
            if at.index == page and not taken:
                taken.append(page)
                buckets.add(s3.bucket)

        if page < 0:
            buckets.add(s3.bucket)
        world.at_page = take_away
        world.watching.task_ended = lambda end: buckets.clear()  # type: ignore[method-assign]  # noqa: ARG005
        world.send(world.volumes[0])
        assert world.run().outcomes == {AttemptOutcome.RETRYABLE_FAILED: 1, AttemptOutcome.DONE: 1}
        assert world.lengths(world.volumes[0]) == [len(data) for data in PAGES.values()]
        assert world.tasks("charged, pages_error") == [{"charged": 0, "pages_error": 0}]

    def test_a_page_that_is_gone_from_the_bucket_is_an_error_of_its_row_at_the_first_attempt(
        self, world: S3World, s3: S3
    ) -> None:
        prefix = volume_prefix("W1", "I0001")
        s3.aws.client("s3").delete_object(Bucket=s3.bucket, Key=f"{prefix}/I00010002.jpg")
        world.send(world.volumes[0])
        assert world.run().outcomes == {AttemptOutcome.DONE: 1}
        assert world.lengths(world.volumes[0]) == [1000, None, 3000, 4000]
        found = world.success(world.volumes[0])
        assert found
        errors = world.artefacts.read_rows(found, ["error_type"])["error_type"].to_pylist()
        assert errors == [None, "E_PAGE_MISSING", None, None]
