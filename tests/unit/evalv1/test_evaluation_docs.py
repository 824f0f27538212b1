"""docs/evaluation.md tells what is there."""

import json
import re
from pathlib import Path

import pytest

from bec_orch.jobs.evalv1.config import Evalv1Config
from bec_orch.jobs.evalv1.page_row import COUNTED, SCHEMA
from bec_orch.jobs.evalv1.truth import SUFFIXES
from bec_orch.jobs.pipeline.config import PageJobConfig

TEXT = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SCHEMA.names)
def test_every_column_is_documented_with_its_type(name: str) -> None:
    kind = str(SCHEMA.field(name).type)
    rows = [line for line in TEXT.split("## Columns")[1].splitlines() if f"`{name}`" in line]
    told = {"double": "float64", "float": "float32"}.get(kind, kind).replace("item: ", "")
    assert rows
    assert told in rows[0]


def test_no_other_column_is_documented() -> None:
    table = TEXT.split("## Columns")[1].split("The counters")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert told <= set(SCHEMA.names)


def test_every_field_of_the_config_is_documented_with_its_default() -> None:
    for name in Evalv1Config.model_fields.keys() - PageJobConfig.model_fields.keys():
        field = Evalv1Config.model_fields[name]
        (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |") and "dependency" not in name]
        default = json.dumps(field.default) if isinstance(field.default, tuple) else str(field.default)
        assert line.split("|")[2].strip().strip("`") == default


def test_suffixes_come_in_the_documented_order() -> None:
    assert ", ".join(f"`{suffix}`" for suffix in SUFFIXES) in TEXT


def test_counters_are_named_like_their_columns_but_for_those_that_are_listed() -> None:
    for counter, column in COUNTED.items():
        assert counter == column or f"`{counter}`" in TEXT
