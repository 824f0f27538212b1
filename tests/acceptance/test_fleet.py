"""A fleet, whole: SQS, S3 and PostgreSQL, four worker processes, and what befalls them."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.sources.bdrc import volume_prefix
from bec_orch.io.stores.storage import S3Options, Stores
from tests.acceptance.conftest import ROOT, Bec, ok
from tests.support.jobs.fleet_job import GATE_AT
from tests.support.jobs.plugin import install
from tests.support.owners import owner
from tests.support.servers.aws import Aws
from tests.support.servers.fake_imds import FakeImds, fake_imds

WORK = "W1FLEET"
PAGES = 5
VOLUMES = 200
KILLED, DRAINED, NOTICED = "I0004", "I0006", "I0008"
_WAIT = 240.0


@dataclass
class Archive:
    """Volumes in the `bdrc` layout on S3, and what should become of each."""

    s3: Any
    bucket: str
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, i_id: str) -> None:
        """Add a volume; some are missing, some have a broken manifest, some have a page of no bytes."""
        number = int(i_id[1:])
        fault = {13: "E_MANIFEST_MISSING", 27: "E_MANIFEST_GZIP", 38: "E_IMAGE_EMPTY"}.get(number % 50)
        if fault == "E_MANIFEST_MISSING":
            self.failed[i_id] = fault
            return
        names = [f"{WORK}{number:04}{page:04}.jpg" for page in range(PAGES)]
        manifest = gzip.compress(json.dumps([{"filename": name, "width": 10, "height": 10} for name in names]).encode())
        self._put(i_id, "dimensions.json", manifest[:-9] if fault == "E_MANIFEST_GZIP" else manifest)
        for page, name in enumerate(names):
            self._put(i_id, name, b"" if fault == "E_IMAGE_EMPTY" and page == 1 else b"x" * (page + 1))
        if fault:
            self.failed[i_id] = fault
        else:
            self.done.append(i_id)

    def _put(self, i_id: str, name: str, data: bytes) -> None:
        key = f"{volume_prefix(WORK, i_id)}/{name}"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)


@dataclass
class Fleet:
    """Worker processes, each on a machine of its own as far as the metadata service tells."""

    folder: Path
    machines: ExitStack
    workers: dict[int, tuple[subprocess.Popen[str], FakeImds]] = field(default_factory=dict)

    def start(self) -> None:
        imds = self.machines.enter_context(fake_imds())
        number = len(self.workers)
        imds.told["meta-data/instance-id"] = f"i-{number:017}"
        command = [sys.executable, "-m", "bec_orch.cli.main", "worker", "--job", "fleet"]
        with (self.folder / f"worker-{number}.log").open("w") as log:
            environment = os.environ | {"BEC_IMDS_URL": imds.url}
            process = subprocess.Popen(
                command, stdout=log, stderr=log, text=True, env=environment, start_new_session=True
            )
        self.workers[process.pid] = (process, imds)

    def end(self) -> list[int]:
        """Drain all that run; returns the exit codes of all."""
        for process, _ in self.workers.values():
            process.terminate()
        return [process.wait(60) for process, _ in self.workers.values()]

    def log(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("worker-*.log")))


def until(happened: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + _WAIT
    while not happened():
        assert time.monotonic() < give_up, what
        time.sleep(0.1)


@pytest.fixture
def archive(aws: Aws, fleet_settings: dict[str, str]) -> Archive:
    return Archive(aws.client("s3"), fleet_settings["BEC_SOURCE_URL"].removeprefix("s3://"))


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    folder = tmp_path / "gates"
    for volume in (KILLED, DRAINED, NOTICED):
        (folder / volume).mkdir(parents=True)
    return folder


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    return install(
        tmp_path / "plugins",
        {"fleet": "tests.support.jobs.fleet_job:FleetJob", "toy": "tests.support.jobs.toy_job:ToyJob"},
    )


@pytest.fixture
def fleet(
    fleet_settings: dict[str, str], plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    monkeypatch.setenv("PYTHONPATH", f"{plugins}{os.pathsep}{ROOT}")
    with ExitStack() as machines:
        fleet = Fleet(tmp_path, machines)
        yield fleet
        for process, _ in fleet.workers.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def befall(fleet: Fleet, gates: Path) -> None:
    """Kill the worker that holds one volume, drain that of another, tell that of a third that its machine goes."""
    for volume in (KILLED, DRAINED, NOTICED):
        until((gates / volume / "reached").exists, f"nobody came to {volume}: {fleet.log()}")
        process, imds = fleet.workers[psutil.Process(int((gates / volume / "reached").read_text())).ppid()]
        if volume == KILLED:
            os.killpg(process.pid, signal.SIGKILL)
        elif volume == DRAINED:
            process.send_signal(signal.SIGTERM)
        else:
            imds.told["meta-data/spot/instance-action"] = '{"action": "terminate"}'
        code = process.wait(60)
        assert code == (-signal.SIGKILL if volume == KILLED else 0), fleet.log()
        (gates / volume / "open").touch()


def volumes_by_state(bec: Bec) -> dict[str, int]:
    return dict(ok(bec("jobs", "stats", "fleet", "--json")).json["volumes"])


def artefacts_of(settings: dict[str, str], aws: Aws, work: Path) -> StoredArtefacts:
    stores = Stores(S3Options(aws.endpoint_url, aws.region))
    return StoredArtefacts(stores.open(f"s3://{settings['BEC_DEST_S3_BUCKET']}"), work, owner())


def check_artefacts(tasks: list[dict[str, Any]], artefacts: StoredArtefacts) -> None:
    """Each file is whole, holds what the pages call for, and nothing else lies beside it."""
    for task in tasks:
        volume = VolumeRef(**task["volume"])
        location = ArtefactLocation("fleet", volume, version_of(task["manifest_etag"]))
        success = artefacts.success(location)
        assert success
        assert artefacts.verify(success, PAGES)
        assert success.attempt == task["attempt"]
        assert artefacts.read_rows(success, ["length"])["length"].to_pylist() == [1, 2, 3, 4, 5]
        assert artefacts.sweep(success) == 0, "an attempt left something behind"


@pytest.mark.timeout(900)
def test_a_fleet_does_every_volume_once_whatever_befalls_its_machines(
    bec: Bec, fleet: Fleet, archive: Archive, gates: Path, fleet_settings: dict[str, str], aws: Aws, tmp_path: Path
) -> None:
    made = ok(bec("jobs", "create", "fleet", "--config-text", json.dumps({"gates": str(gates)})))
    assert made.err.splitlines() == ["The queue bec_fleet_dlq is made.", "The queue bec_fleet_tasks is made."]
    for number in range(VOLUMES):
        archive.add(f"I{number:04}")
    volumes = tmp_path / "volumes.csv"
    volumes.write_text("".join(f"{WORK},I{number:04}\n" for number in range(VOLUMES)))
    assert ok(bec("queue", "enqueue", "fleet", "--file", volumes, "--json")).json["sent"] == VOLUMES

    for _ in range(4):
        fleet.start()
    befall(fleet, gates)
    for _ in range(3):
        fleet.start()
    expected = {"done": len(archive.done), "terminal_failed": len(archive.failed)}
    until(lambda: volumes_by_state(bec) == expected, fleet.log())
    assert sorted(fleet.end()) == [-signal.SIGKILL, *[0] * 6]

    tasks = ok(bec("jobs", "tasks", "fleet", "--limit", "1000", "--json")).json
    ended = {task["volume"]["i_id"]: task["failure_code"] for task in tasks}
    assert len(tasks) == len(ended) == VOLUMES
    assert ended == dict.fromkeys(archive.done) | archive.failed
    check_artefacts([task for task in tasks if task["state"] == "done"], artefacts_of(fleet_settings, aws, tmp_path))

    done_pages = Counter((gates / "pages").read_text().splitlines())
    again = {page for page, times in done_pages.items() if times > 1}
    assert again == {f"{KILLED} {page}" for page in range(GATE_AT)}, "only what died with its worker is done again"
    charged = {task["volume"]["i_id"] for task in tasks if task["charged"] and task["state"] == "done"}
    assert charged == {KILLED}

    queue = ok(bec("queue", "stats", "fleet", "--json")).json
    assert (queue["visible"], queue["in_flight"], queue["delayed"], queue["dead"]) == (0, 0, 0, len(archive.failed))
    assert queue["disagreements"] == []
    letters = ok(bec("queue", "peek", "fleet", "--dead", "--limit", "100", "--json")).json
    assert {json.loads(one["body"])["i_id"]: one["reason"]["code"] for one in letters} == archive.failed
    workers = ok(bec("workers", "--all", "--json")).json
    assert Counter(one["stop_reason"] for one in workers) == {"died: E_WORKER_GONE": 1, "spot": 1, "shutdown": 5}
    # On a machine that has far too much to do, the service that plays EC2's may answer too late for one.
    assert {one["instance_type"] for one in workers} - {None} == {"g6.xlarge"}
    assert len({one["instance_id"] for one in workers}) == 7
    assert '"CloudWatchMetrics"' in fleet.log()


def test_costs_are_shown_where_prices_are_known(
    bec: Bec, fleet: Fleet, archive: Archive, gates: Path, fleet_settings: dict[str, str]
) -> None:
    ok(bec("jobs", "create", "fleet", "--config-text", json.dumps({"gates": str(gates)})))
    before = ok(bec("jobs", "stats", "fleet", "--json")).json
    assert (before["cost_so_far"], before["cost_per_1000_pages"], before["currency"]) == (None, None, None)
    archive.add("I0000")
    ok(bec("queue", "enqueue", "fleet", "--volume", f"{WORK}/I0000"))
    fleet.start()
    until(lambda: volumes_by_state(bec) == {"done": 1}, fleet.log())
    fleet.end()

    unknown = " ".join(ok(bec("jobs", "stats", "fleet")).out.split())
    assert "cost so far unknown (0.0 machine hours without a price)" in unknown
    assert "cost per 1,000 pages unknown" in unknown
    prices = Path(fleet_settings["BEC_HOME"]) / "prices.toml"
    prices.write_text('[machines."g6.xlarge"]\nspot = 360000\n')
    known = ok(bec("jobs", "stats", "fleet", "--watch", "--json")).json
    assert known["cost_so_far"] > 0
    assert known["cost_per_1000_pages"] == pytest.approx(known["cost_so_far"] * 200)
    assert " USD" in ok(bec("jobs", "stats", "fleet", "--watch")).out
    assert "i-00000000000000000 (g6.xlarge, spot)" in " ".join(ok(bec("workers", "--all")).out.split())
