"""The true text of a page, for whoever shows it."""

from pathlib import Path

import pytest

from bec_orch.core.job_types.registry import truth_of
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ConfigError, PageError
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.evalv1.true_text import true_text

VOLUME = VolumeRef("W1", "I1", "folder+memory:///")


def test_the_text_is_that_of_the_job_s_own_truth(tmp_path: Path) -> None:
    folder = tmp_path / "W1" / "I1"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("one\ntwo", encoding="utf-8")
    (folder / "b.xml").write_text("no XML", encoding="utf-8")
    config = {"truth_url": tmp_path.as_uri()}
    assert true_text(config, VOLUME, "a.jpg", Stores().open) == "one\ntwo"
    assert true_text({**config, "truth_skip_lines": 1}, VOLUME, "a.jpg", Stores().open) == "two"
    assert true_text(config, VOLUME, "c.jpg", Stores().open) is None
    with pytest.raises(PageError) as caught:
        true_text(config, VOLUME, "b.jpg", Stores().open)
    assert caught.value.code == "E_TRUTH_BROKEN"


def test_a_job_without_truth_opens_no_store() -> None:
    def refuse(url: str) -> None:
        raise AssertionError(url)

    assert true_text({}, VOLUME, "a.jpg", refuse) is None  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        true_text({"nonsense": 1}, VOLUME, "a.jpg", refuse)  # type: ignore[arg-type]


def test_types_say_whether_they_know_the_truth() -> None:
    assert truth_of("evalv1") is true_text
    assert truth_of("ldv1") is None
