"""The public surface for packages with job types of their own."""

import ast
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

import bec_orch
from bec_orch import plugin
from bec_orch.core.volumes import Page
from bec_orch.errors import ConfigError
from bec_orch.jobs.pipeline.config import PageJobConfig
from bec_orch.jobs.pipeline.page_job import Round
from bec_orch.jobs.pipeline.page_worker import PageJobWorker
from bec_orch.plugin import Image, Row

PACKAGE = Path(bec_orch.__file__).parent


def test_every_name_that_is_listed_is_there() -> None:
    assert sorted(plugin.__all__) == plugin.__all__
    assert all(hasattr(plugin, name) for name in plugin.__all__)


def test_the_program_itself_does_not_import_it() -> None:
    for file in PACKAGE.rglob("*.py"):
        imported = {
            node.module for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)
        }
        assert "bec_orch.plugin" not in imported, file


def test_the_author_of_an_older_worker_is_told_where_to_look() -> None:
    with pytest.raises(ConfigError, match="OldWorker was written for an older version") as caught:

        class OldWorker(PageJobWorker[PageJobConfig, Image, float, None]):
            job_type = "old"
            config_type = PageJobConfig
            code_version = "1"
            schema = pa.schema([("brightness", pa.float32())])

            def decode(self, page: Page, data: bytes) -> Round[Image, None]:  # type: ignore[override]
                raise NotImplementedError

            def infer(self, items: Sequence[Image]) -> list[float]:
                raise NotImplementedError

            def finish(self, page: Page, state: None, outputs: Sequence[float]) -> Row:  # type: ignore[override]
                raise NotImplementedError

    assert caught.value.code == "E_PLUGIN_OUTDATED"
    assert "bec_orch.plugin" in caught.value.hint
