"""Other texts of a page: which jobs may have one, and what it is."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.transcripts import Line, PageContent, PageRecord
from bec_orch.core.volumes import VolumeRef
from bec_orch.orch.overview.other_texts import OtherTexts

VOLUME = VolumeRef("W1", "I1", "folder+memory:///")
JOBS = {
    job.name: job
    for job in (
        Job(1, "lines", "ldv1", {}, "h"),
        Job(2, "ocr", "ocrv1", {}, "h", depends_on=("lines",)),
        Job(3, "other", "ocrv1", {}, "h", depends_on=("lines",)),
        Job(4, "eval", "evalv1", {"truth": "yes"}, "h", depends_on=("ocr",)),
        Job(5, "elsewhere", "evalv1", {}, "h", depends_on=("other",)),
        Job(6, "undone", "ocrv1", {}, "h"),
        Job(7, "figures", "toy", {}, "h"),
    )
}
RECORD = PageRecord(
    3, "d.jpg", PageContent((Line(((0, 0),), text="one"), Line(((0, 0),)), Line(((0, 0),), text="two")))
)


def truth(config: Mapping[str, Any], volume: VolumeRef, image: str, open_store: Any) -> str | None:
    return f"{config['truth']} {volume} {image}" if config else None


class SomeLayers:
    """Has what `other` read of every page."""

    def layer(self, job: str, volume: VolumeRef) -> str | None:
        return job if job in {"other", "figures"} else None

    def page(self, layer: str, index: int, image: str) -> PageRecord | None:
        return RECORD if layer == "other" and index == 3 else None


@pytest.fixture
def others() -> OtherTexts:
    jobs: Any = SimpleNamespace(every=lambda: list(JOBS.values()), job=JOBS.__getitem__)
    layers: Any = SomeLayers()
    no_store: Any = str
    return OtherTexts(
        jobs, layers, no_store, lambda kind: truth if kind == "evalv1" else None, {"ldv1", "ocrv1"}.__contains__
    )


def test_jobs_that_know_the_truth_come_before_those_that_read(others: OtherTexts) -> None:
    tasks: Any = [SimpleNamespace(job=name, state=TaskState.DONE) for name in ("lines", "ocr", "other", "figures")]
    tasks.append(SimpleNamespace(job="undone", state=TaskState.QUEUED))
    assert others.names("ocr", tasks) == ["eval", "other"]
    assert others.names("other", tasks) == ["elsewhere", "ocr"]
    assert others.names("lines", tasks) == ["ocr", "other"]


def test_the_text_is_that_of_the_truth_or_of_the_lines(others: OtherTexts) -> None:
    assert others.text("eval", VOLUME, 3, "d.jpg") == "yes W1/I1 d.jpg"
    assert others.text("elsewhere", VOLUME, 3, "d.jpg") is None
    assert others.text("other", VOLUME, 3, "d.jpg") == "one\ntwo"
    assert others.text("other", VOLUME, 4, "e.jpg") is None
    assert others.text("undone", VOLUME, 3, "d.jpg") is None
