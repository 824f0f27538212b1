"""What a page job is handed: the page, its image read once, the rows that others left, and the rules to skip it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.volumes import Page, PageState
from bec_orch.errors import ConfigError, PageError, TerminalError
from bec_orch.jobs.images import probe
from bec_orch.jobs.pipeline.config import PageJobConfig
from bec_orch.jobs.pipeline.page_input import InputRow, InputRows, PageInput, VolumeInputs, read_rows
from bec_orch.jobs.pipeline.skip_rules import SkipRule
from tests.unit import image_bytes as made
from tests.unit.fakes import MemoryPages, MemoryRows, context, resources
from tests.unit.test_page_job_worker import BrightnessWorker

PAGE = Page(0, "a.png")


def labels(**columns: list[Any]) -> pa.Table:
    return pa.table({"img_file_name": ["b.png", "a.png"], **columns})


def row(**columns: list[Any]) -> InputRow:
    return InputRows("classes", labels(**columns)).of(PAGE)


def test_rows_are_found_by_the_name_of_the_image() -> None:
    assert row(label=["cover", "text"])["label"] == "text"
    assert row()["label"] is None
    missing = InputRows("classes", labels()).of(Page(7, "c.png"))
    assert (missing.place, missing["img_file_name"], missing.skip_reason) == (None, None, "classes: no row")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, None),
        ({"ok": [True, True], "skipped": [False, False]}, None),
        ({"ok": [True, False], "error_type": [None, "E_X"]}, "classes: E_X"),
        ({"ok": [True, False]}, "classes: error"),
        ({"ok": [True, False], "skipped": [False, True], "skip_reason": [None, "form"]}, "classes: form"),
        ({"skipped": [False, True]}, "classes: skipped"),
    ],
)
def test_why_a_row_has_nothing_to_read(columns: dict[str, list[Any]], reason: str | None) -> None:
    assert row(**columns).skip_reason == reason


def test_headers_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[int] = []

    def counting(data: bytes, *, max_pixels: int, frame: int) -> object:
        probed.append(max_pixels)
        return probe(data, max_pixels=max_pixels, frame=frame)

    monkeypatch.setattr("bec_orch.jobs.pipeline.page_input.probe", counting)
    page = PageInput(PAGE, {}, None, 4000).fetched(PageBytes(made.png(Image.new("L", (64, 48))), "etag"))
    assert (page.header.width, page.image(reduce=2).shape, page.etag) == (64, (24, 32), "etag")
    assert probed == [4000]
    with pytest.raises(PageError, match="more than"):
        _ = replace(page, max_pixels=10).header


def test_a_page_that_was_not_fetched_has_no_bytes_and_the_version_that_others_state() -> None:
    page = PageInput(PAGE, {"classes": row(source_etag=["x", "y"])}, None)
    assert (page.nbytes, page.etag) == (0, "y")
    assert PageInput(replace(PAGE, etag="z"), page.rows, None).etag == "z"
    with pytest.raises(ValueError, match="was not fetched"):
        _ = page.data


@pytest.mark.parametrize(
    ("rule", "value", "told"),
    [
        ({"values": ["cover", "blank"]}, "cover", "classes: label is cover"),
        ({"values": ["cover"]}, "text", None),
        ({"values": [True]}, True, "classes: label is True"),
        ({"values": ["cover"]}, None, None),
        ({"at_least": 0.5}, 0.5, "classes: label is 0.5"),
        ({"at_least": 0.5}, 0.4, None),
        ({"at_most": 3}, 2, "classes: label is 2"),
        ({"at_least": 1, "at_most": 3}, 4, None),
        ({"at_most": 3}, "text", None),
        ({"values": ["x"], "at_least": 9}, 9, "classes: label is 9"),
    ],
)
def test_rules_look_at_values_and_bounds(rule: dict[str, Any], value: Any, told: str | None) -> None:
    assert SkipRule(job="classes", column="label", **rule).reason({"label": value}.get) == told


def test_a_rule_must_say_something() -> None:
    with pytest.raises(ConfigError, match="a rule needs"):
        PageJobConfig.parse({"skip_pages": [{"job": "classes", "column": "label"}]})


def test_a_rule_names_a_job_that_is_depended_on() -> None:
    config = PageJobConfig.parse({"skip_pages": [{"job": "classes", "column": "label", "values": ["cover"]}]})
    config.check_dependencies(["classes"])
    with pytest.raises(ConfigError, match="'classes' left, which the job does not depend on"):
        config.check_dependencies(["lines"])


def test_rules_count_in_the_hash_of_a_config_only_where_there_are_some() -> None:
    plain = PageJobConfig.parse({})
    ruled = PageJobConfig.parse({"skip_pages": [{"job": "classes", "column": "label", "values": ["cover"]}]})
    assert "skip_pages" not in plain.hashed()
    assert ruled.output_hash() != plain.output_hash()


def skipped_by(rule: Mapping[str, Any], table: pa.Table) -> MemoryRows:
    rows = MemoryRows()
    white = made.png(Image.new("L", (8, 8), 255))
    volume = replace(context({"a.png": white, "b.png": white}, rows), dependencies={"classes": lambda: table})
    worker = BrightnessWorker.create({"skip_pages": [{"job": "classes", **rule}]}, resources())
    worker.run(volume)
    assert isinstance(volume.pages, MemoryPages)
    done = [index for index, outcome in rows.flushed.items() if outcome.state is PageState.OK]
    assert volume.pages.read_names == [volume.manifest.pages[index].filename for index in done]
    return rows


def test_pages_that_another_job_labelled_are_skipped_for_it_and_not_read() -> None:
    rows = skipped_by({"column": "label", "values": ["cover"]}, labels(label=["text", "cover"]))
    assert {index: outcome.skip_reason for index, outcome in rows.flushed.items()} == {
        0: "classes: label is cover",
        1: None,
    }


def test_a_rule_on_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(TerminalError, match="column 'lable' of the job 'classes'") as refused:
        skipped_by({"column": "lable", "values": ["cover"]}, labels(label=["text", "cover"]))
    assert refused.value.code == "E_SKIP_COLUMN"
    assert "img_file_name" in refused.value.hint
    assert "label." in refused.value.hint


def test_a_reason_of_the_manifest_comes_first() -> None:
    inputs = VolumeInputs(None, {"classes": InputRows("classes", labels())}, ("classes",))
    page = inputs.of(replace(PAGE, skip_reason="intro"), 100)
    assert inputs.skip_reason(page) == "intro"
    assert inputs.skip_reason(inputs.of(Page(7, "c.png"), 100)) == "classes: no row"


def test_a_dependency_that_the_volume_goes_without_has_no_row_and_skips_no_page() -> None:
    rows, rule = MemoryRows(), {"job": "classes", "column": "label", "values": ["cover"]}
    volume = replace(context({"a.png": made.png(Image.new("L", (8, 8), 255))}, rows), absent=frozenset({"classes"}))
    found = read_rows(volume)["classes"].of(PAGE)
    assert (found.is_absent, found.place, found["label"]) == (True, None, None)
    assert not row().is_absent
    BrightnessWorker.create({"skip_pages": [rule]}, resources()).run(volume)
    assert rows.flushed[0].state is PageState.OK
