"""Buckets that keep what they were given: told once, counted, and never a reason to stop or to try for ever."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bec_orch.core.tasks import AttemptOutcome
from bec_orch.errors import StorageError, TerminalError
from bec_orch.io.artefacts import removal
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.names import attempt_key
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.identity import owner_of
from bec_orch.io.postgres.ledger import PgLedger
from bec_orch.io.stores.objects import PROBE
from bec_orch.orch.audit.audit import Auditor
from bec_orch.orch.audit.repairs import Repairer
from bec_orch.orch.audit.values import Report
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.doctor.checks import Level, check_writable
from tests.conformance.store_suite import content_of, location_of, manifest_of, ok, opened
from tests.integration.test_s3 import PAGES, S3, S3World
from tests.support.owners import owner
from tests.support.servers.aws import Aws
from tests.support.servers.http_faults import Fault, faulty

DENIED = b"<Error><Code>AccessDenied</Code></Error>"
LENGTHS = [len(data) for data in PAGES.values()]


@pytest.fixture
def s3(aws: Aws) -> Iterator[S3]:
    bucket = aws.fresh_name("locked")
    client = aws.client("s3")
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )
    with faulty(aws.endpoint_url) as proxy:
        proxy.rewrites = named
        yield S3(aws, proxy, bucket)


@pytest.fixture
def world(database: Database, tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3World]:
    monkeypatch.setattr(removal, "_logged", set())
    world = S3World(tmp_path, database)
    world.on(s3)
    world.create_job()
    yield world
    world.queues.close()


def named(headers: dict[str, str]) -> dict[str, str]:
    """Name the algorithm of a checksum: moto asks for that where AWS is content with the checksum."""
    checksum = "x-amz-checksum-sha256" in {name.lower() for name in headers}
    return {**headers, "x-amz-sdk-checksum-algorithm": "SHA256"} if checksum else headers


def refuse(s3: S3, method: str, suffix: str = "", times: int = 200) -> None:
    s3.proxy.faults.extend([Fault("status", method, suffix, 403, DENIED)] * times)


def mend(world: S3World) -> Report:
    auditor = Auditor(PgLedger(world.database), world.queues, world.artefacts, world.source)
    repairer = Repairer(
        world.store, PgBacklog(world.database), PgLedger(world.database), world.queues, world.artefacts, world.source
    )
    return auditor.audit([world.store.job("toy")], repairer)


def test_a_versioned_bucket_with_a_default_retention_is_worked_in_as_any(world: S3World, s3: S3) -> None:
    """Nothing is lost there: what is removed or replaced becomes an older version."""
    for force in (False, True):
        Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", world.volumes, force=force)
        assert world.run(name=f"worker-{force}").outcomes == {AttemptOutcome.DONE: 3}
    report = mend(world)
    assert report.violations == 0
    assert [world.lengths(volume) for volume in world.volumes] == [LENGTHS] * 3
    sent = [headers for method, _, headers in s3.proxy.requests if method == "PUT"]
    assert all("x-amz-checksum-sha256" in {name.lower() for name in headers} for headers in sent)
    versions = s3.aws.client("s3").list_object_versions(Bucket=s3.bucket, Prefix="out/toy/W1/I0001/")
    assert len([one for one in versions["Versions"] if one["Key"].endswith("success.json")]) == 2
    assert versions["DeleteMarkers"]


def test_deletes_that_are_refused_are_reported_once_and_stop_nobody(
    world: S3World, s3: S3, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(s3, "DELETE")
    refuse(s3, "POST")
    caplog.set_level(logging.WARNING, "bec_orch")
    for force in (False, True):
        Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", world.volumes, force=force)
        outcomes = world.run(name=f"worker-{force}", maintenance_every=0.01).outcomes
        assert outcomes == {AttemptOutcome.DONE: 3}
    told = [record for record in caplog.records if record.message == "artefacts.kept_by_store"]
    assert [record.levelname for record in told] == ["WARNING"]
    assert not [record for record in caplog.records if record.message == "maintenance.failed"]

    for _ in range(2):
        litter = mend(world).findings["E_AUDIT_LITTER"]
        assert (litter.violations, litter.repaired) == (3, 0)
    assert [world.lengths(volume) for volume in world.volumes] == [LENGTHS] * 3


def test_maintenance_goes_on_behind_what_it_may_not_remove(world: S3World, s3: S3) -> None:
    """The artefact that is looked at last is broken: it is found, although those before it have litter that stays."""
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", world.volumes)
    world.run(name="first")
    ours = owner_of(world.database)
    places = [found.location for found in map(world.success, world.volumes) if found]
    for place in places[:2]:
        s3.put(f"out/{attempt_key(place, 0, ours)}", b"litter")
    s3.aws.client("s3").delete_object(Bucket=s3.bucket, Key=f"out/{places[2].prefix}/success.json")
    refuse(s3, "DELETE")
    refuse(s3, "POST")
    world.run(name="second", maintenance_every=0.01)
    world.run(name="third")
    assert [world.lengths(volume) for volume in world.volumes] == [LENGTHS] * 3


def test_a_success_json_that_may_not_be_replaced_ends_the_task(s3: S3, tmp_path: Path) -> None:
    store, manifest = StoredArtefacts(s3.objects(), tmp_path, owner()), manifest_of(3)
    with opened(store, manifest) as files:
        for page in manifest.pages:
            files.rows.add(ok(page))
        file = files.assemble()
    first = store.commit(location_of(manifest), content_of(file), replaces=None)
    refuse(s3, "PUT", "success.json")
    with pytest.raises(TerminalError) as caught:
        store.commit(location_of(manifest), content_of(file, n=2), replaces=first)
    assert caught.value.code == "E_ARTEFACT_LOCKED"
    assert store.success(location_of(manifest)) == first


def test_a_store_that_lets_nothing_go_will_do(s3: S3) -> None:
    refuse(s3, "DELETE")
    refuse(s3, "POST")
    finding = check_writable("destination", s3.objects())
    assert (finding.level, "lets nothing be deleted" in finding.message) == (Level.WARN, True)


def test_a_store_that_holds_only_what_we_tried_it_with_is_empty(s3: S3) -> None:
    refuse(s3, "DELETE")
    refuse(s3, "POST")
    objects = s3.objects()
    check_writable("destination", objects)
    assert [entry.key.startswith(PROBE) for entry in objects.walk("")] == [True]
    with pytest.raises(StorageError) as caught:
        objects.check_there()
    assert caught.value.code == "E_STORAGE_EMPTY"
