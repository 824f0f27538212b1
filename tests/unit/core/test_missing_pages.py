"""Rows of pages that were not found are held back until the volume's folder lacks them, too."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from bec_orch.core.life.missing_pages import PAGE_MISSING, DoubtedRows
from bec_orch.core.ports.job_worker import PageReader
from bec_orch.core.tasks import Claim, Job
from bec_orch.core.volumes import Manifest, Page, PageCounts, PageOutcome, PageState, VolumeRef
from bec_orch.errors import RetryableError, TaskFault
from tests.unit.fakes import VOLUME, MemoryRows

MANIFEST = Manifest(VOLUME, "0" * 32, tuple(Page(index, f"{index}.jpg") for index in range(3)))
JOB = Job(1, "job", "type", {}, "hash", max_attempts=3, max_page_error_rate=0.5)


class Folder:
    """An `ImageSource` of which only the listing is asked."""

    name = "folder"

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)

    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        assert volume == VOLUME
        return self._names

    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        raise AssertionError(volume, nb_images_intro)

    def manifest_etag(self, volume: VolumeRef) -> str | None:
        raise AssertionError(volume)

    def missing(self, volume: VolumeRef) -> str:
        raise AssertionError(volume)

    def pages(self, manifest: Manifest) -> PageReader:
        raise AssertionError(manifest)

    def spelled(self, volume: VolumeRef) -> VolumeRef:
        raise AssertionError(volume)

    def check_readable(self) -> None:
        raise AssertionError

    def check_there(self) -> None:
        raise AssertionError

    def volumes(self) -> Iterator[VolumeRef]:
        raise AssertionError


def claim(last_failure: str = "") -> Claim:
    return Claim(1, 2, uuid4(), JOB, VOLUME, None, force=False, charged=0, last_failure=last_failure)


def missing(index: int, stage: str = "fetch") -> PageOutcome:
    return PageOutcome(index, PageState.ERROR, None, error_stage=stage, error_type=PAGE_MISSING, error_message="gone")


def test_they_are_held_back_and_counted() -> None:
    rows = MemoryRows()
    doubted = DoubtedRows(rows)
    doubted.add(PageOutcome(0, PageState.OK, "etag"))
    doubted.add(missing(1))
    doubted.add(missing(2, stage="finish"))
    assert sorted(rows.added) == [0, 2]
    assert doubted.counts() == PageCounts(ok=1, error=2)
    assert doubted.any_held


def test_they_are_believed_when_the_folder_lacks_them() -> None:
    rows = MemoryRows()
    doubted = DoubtedRows(rows)
    doubted.add(missing(1))
    doubted.believe(Folder("0.jpg", "2.jpg"), MANIFEST, claim())
    assert rows.added == {1: missing(1)}
    assert not doubted.any_held


@pytest.mark.parametrize(("last_failure", "charged"), [("", False), ("E_STORAGE", False), (PAGE_MISSING, True)])
def test_one_that_is_there_has_the_attempt_made_again_and_charged_from_the_second_time(
    last_failure: str, *, charged: bool
) -> None:
    rows = MemoryRows()
    doubted = DoubtedRows(rows)
    doubted.add(PageOutcome(0, PageState.OK, "etag"))
    doubted.add(missing(1))
    doubted.add(missing(2))
    with pytest.raises(RetryableError, match=r"1 page of .* could not be found, '2.jpg' for one") as caught:
        doubted.believe(Folder("0.jpg", "2.jpg"), MANIFEST, claim(last_failure))
    assert (caught.value.code, caught.value.charged) == (PAGE_MISSING, charged)
    assert isinstance(caught.value, TaskFault) == charged
    assert sorted(rows.flushed) == [0]
