"""Of volumes of one name, the one that exported documents are of."""

from types import SimpleNamespace
from typing import Any

import pytest

from bec_orch.cli.export.record import Record
from bec_orch.cli.imports.command import _volume_of
from bec_orch.core.volumes import VolumeRef
from bec_orch.orch.overview.namesakes import NamedVolume

NEWEST, OTHER = (VolumeRef("W1", "I1", f"folder+file:///{name}") for name in ("newest", "other"))


@pytest.mark.parametrize(
    ("records", "volume"),
    [
        ([], NEWEST),
        ([("folder+file:///gone", "999999")], NEWEST),
        ([(NEWEST.source, "999999")], NEWEST),
        ([(OTHER.source, "999999")], OTHER),
        ([(OTHER.source, "abc000")], NEWEST),
        ([(OTHER.source, "999999"), (NEWEST.source, "999999")], NEWEST),
    ],
)
def test_the_record_of_an_export_tells(records: list[tuple[str, str]], volume: VolumeRef) -> None:
    task: Any = SimpleNamespace(volume=NEWEST, manifest_etag="abc")
    waiting: Any = SimpleNamespace(volume=NEWEST, manifest_etag=None)
    found = NamedVolume([waiting, task], [OTHER])
    assert _volume_of(found, [Record(source=source, version=version) for source, version in records]) == volume
