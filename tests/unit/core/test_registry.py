"""What is told when a job type, or what it needs, is not installed."""

import sys
from pathlib import Path

import pytest

from bec_orch.core.registry import job_types, job_worker_class
from bec_orch.errors import ConfigError, extra_hint
from tests.support.jobs.plugin import install

BROKEN = "import no_such_package\n"


@pytest.mark.parametrize(
    ("extras", "hint"),
    [
        ("Provides-Extra: broken\n", extra_hint("broken", "bec-test-jobs")),
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


@pytest.mark.parametrize(
    "line", ["from bec_orch.core.pages import Page\n", "from bec_orch.core.models import PageLedger\n"]
)
def test_a_plugin_that_imports_what_is_no_more_is_told_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path / "plugins", {"old": "old_job:Job"}, old_job=line)))
    monkeypatch.delitem(sys.modules, "old_job", raising=False)
    with pytest.raises(
        ConfigError, match=r"The job type 'old' imports what this version does not have: .*core"
    ) as found:
        job_worker_class("old")
    assert found.value.code == "E_PLUGIN_OUTDATED"
    assert "`bec_orch.plugin`" in found.value.hint


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
