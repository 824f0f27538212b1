"""The owners' own schemas accept every document."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bec_orch.core.transcripts import Origin, PageRecord
from bec_orch.exports.formats import Level, Material, format_of
from tests.schemas import schema
from tests.unit.exports.made import NOTHING_TOLD, ORIGIN, PAGES

etree = pytest.importorskip("lxml.etree")
NAMES = {"alto": "alto-4-4.xsd", "page": "page-2019-07-15.xsd"}


def written(name: str, page: PageRecord, origin: Origin) -> bytes:
    return b"".join(format_of(name).writers[Level.PAGE]([page], origin, Material()))


@pytest.fixture(scope="module")
def faults(shared_data: Path) -> Callable[[str, bytes], list[str]]:
    schemas: dict[str, Any] = {name: schema(shared_data / "schemas", file) for name, file in NAMES.items()}

    def check(name: str, data: bytes) -> list[str]:
        schemas[name].validate(etree.fromstring(data))
        return [str(fault) for fault in schemas[name].error_log]

    return check


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("page", PAGES, ids=[page.image for page in PAGES])
@pytest.mark.parametrize("origin", [ORIGIN, NOTHING_TOLD], ids=["all told", "nothing told"])
def test_every_page_is_accepted(
    faults: Callable[[str, bytes], list[str]], name: str, page: PageRecord, origin: Origin
) -> None:
    assert faults(name, written(name, page, origin)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_would_notice(faults: Callable[[str, bytes], list[str]], name: str) -> None:
    data = written(name, PAGES[0], ORIGIN)
    assert faults(name, data.replace(b"TextLine", b"TextLinie"))
