"""What is told when a job type, or what it needs, is not installed."""

import sys
from pathlib import Path

import pytest

from bec_orch.core.job_types.registry import create_job_worker, job_types, job_worker_class
from bec_orch.errors import ConfigError, extra_hint
from bec_orch.orch.doctor.checks import Level, check_models
from tests.support.jobs.plugin import install
from tests.unit.fakes import resources

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
def test_a_plugin_that_imports_what_is_no_more_is_refused_with_where_it_is(
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


LACKING = "class Job:\n    job_type, needs, code_version = 'lacking', (), '1'\n    def run(self, context): ...\n"
ABSTRACT = "from bec_orch.plugin import PageJobWorker\nclass Job(PageJobWorker):\n    job_type = 'lacking'\n"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (LACKING, "lacking_job:Job lacks `config_type`, `create`, `close`"),
        (ABSTRACT, "lacking_job:Job lacks `config_type`, `code_version`, `decode`, `finish`, `infer`"),
        (LACKING + "    config_type = dict\n    create = close = run\n", "lacking_job:Job lacks `config_type`, or"),
        ("Job = undefined\n", "lacking_job:Job of the job type 'lacking' cannot be loaded: NameError"),
        ("class Jobs: ...\n", "cannot be loaded: AttributeError"),
        ("class Job\n", "cannot be loaded: SyntaxError"),
    ],
)
def test_a_class_that_is_no_job_worker_is_reported_with_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path / "plugins", {"lacking": "lacking_job:Job"}, lacking_job=code)))
    monkeypatch.delitem(sys.modules, "lacking_job", raising=False)
    with pytest.raises(ConfigError) as found:
        job_worker_class("lacking")
    assert found.value.code == "E_PLUGIN_BROKEN"
    assert told in found.value.message
    assert "docs/writing-a-job-worker.md" in found.value.hint


def test_a_worker_without_what_its_instances_have_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from bec_orch.plugin import JobConfig\n"
        f"{LACKING}    config_type = JobConfig\n    close = run\n    models = ()\n"
        "    @classmethod\n    def create(cls, config, resources):\n        return cls()\n"
    )
    monkeypatch.syspath_prepend(str(install(tmp_path / "plugins", {"lacking": "lacking_job:Job"}, lacking_job=code)))
    monkeypatch.delitem(sys.modules, "lacking_job", raising=False)
    with pytest.raises(ConfigError, match="lacks `schema`, `counted`") as found:
        create_job_worker("lacking", {}, resources())
    assert found.value.code == "E_PLUGIN_BROKEN"
    finding = next(one for one in check_models([], resources()) if one.check == "model of lacking")
    assert (finding.level, finding.message.split(":")[0]) == (Level.WARN, "E_PLUGIN_BROKEN")


def test_the_doctor_tries_no_type_that_has_no_default_config() -> None:
    assert "model of importv1" not in {finding.check for finding in check_models([], resources())}


def test_an_unknown_type_is_reported_with_those_that_are_there() -> None:
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
