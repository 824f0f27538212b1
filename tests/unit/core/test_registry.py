"""What is told when a job type, or what it needs, is not installed."""

from pathlib import Path

import pytest

from bec_orch.core.registry import job_types, job_worker_class
from bec_orch.errors import ConfigError
from tests.plugin import install

BROKEN = "import no_such_package\n"


@pytest.mark.parametrize(
    ("extras", "hint"),
    [
        ("Provides-Extra: broken\n", "Run `pip install 'bec-test-jobs[broken]'`."),
        ("Provides-Extra: other\n", "Install it into the environment that `bec` runs in."),
    ],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extras: str, hint: str
) -> None:
    folder = install(tmp_path / "plugins", {"broken": "broken_job:Job"}, broken_job=BROKEN)
    with (folder / "bec_test_jobs-1.0.dist-info" / "METADATA").open("a") as metadata:
        metadata.write(extras)
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(ConfigError, match="'broken' needs the package 'no_such_package'") as caught:
        job_worker_class("broken")
    assert (caught.value.code, caught.value.hint) == ("E_EXTRA_MISSING", hint)


def test_an_unknown_type_is_told_with_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match="no job type 'nope'") as caught:
        job_worker_class("nope")
    assert "ldv1" in str(caught.value.hint)


@pytest.mark.parametrize("job_type", ["evalv1", "ldv1", "ocrv1"])
def test_a_config_is_the_same_after_it_was_stored_with_its_defaults(job_type: str) -> None:
    config_type = job_worker_class(job_type).config_type
    parsed = config_type.parse({})
    assert config_type.parse(parsed.model_dump(mode="json")) == parsed


def test_what_a_built_in_type_needs_is_a_type() -> None:
    assert {needed for name in ("evalv1", "ldv1", "ocrv1") for needed in job_worker_class(name).needs} <= set(
        job_types()
    )
