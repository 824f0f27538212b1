"""Every number that somebody may set has bounds: beyond them clocks and databases only raise their own errors."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bec_orch.cli.arguments.options import read_config
from bec_orch.core.job_types.registry import job_types, job_worker_class
from bec_orch.errors import ConfigError
from bec_orch.jobs.pipeline.config import PageJobConfig, RequestJobConfig
from bec_orch.jobs.pipeline.skip_rules import SkipRule
from bec_orch.settings.config import Settings, load_settings, variable

_NUMBERS = {"integer", "number"}


def _numbers(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the fields of a schema that are numbers, each with its bounds."""
    for name, field in schema["properties"].items():
        for kind in (field, *field.get("anyOf", ())):
            if kind.get("type") in _NUMBERS:
                yield name, kind


CONFIGS = [PageJobConfig, RequestJobConfig, *(job_worker_class(name).config_type for name in job_types())]


@pytest.mark.parametrize("model", [Settings, *CONFIGS], ids=lambda model: model.__name__)
def test_every_number_has_bounds(model: type[Settings]) -> None:
    for name, field in _numbers(model.model_json_schema()):
        assert {"maximum", "exclusiveMaximum"} & field.keys(), name
        assert {"minimum", "exclusiveMinimum"} & field.keys(), name


SETTINGS = sorted(name for name, _ in _numbers(Settings.model_json_schema()) if name in Settings.model_fields)


@pytest.mark.parametrize("value", ["1e308", "inf", "nan", "-1", "0", "99999999999999"])
@pytest.mark.parametrize("field", SETTINGS)
def test_a_setting_out_of_its_bounds_is_reported(field: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable(field), value)
    with pytest.raises(ConfigError, match=variable(field)):
        load_settings({})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e308])
@pytest.mark.parametrize("field", ["page_timeout", "request_timeout"])
def test_a_number_of_a_config_out_of_its_bounds_is_reported(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        RequestJobConfig.parse({field: value})


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_rule_compares_with_numbers(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        SkipRule(job="a", column="b", at_least=value)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a": ' * 100_000, '{"page_timeout": ' + "9" * 5000 + "}", '{"a": NaN}', '{"a": Infinity}', "{"],
    ids=["lists", "objects", "digits", "nan", "infinity", "cut"],
)
def test_a_config_that_is_no_json_is_reported(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    for given in ((None, text), (file, None)):
        with pytest.raises(ConfigError) as caught:
            read_config(*given)
        assert caught.value.code == "E_JOB_CONFIG"
