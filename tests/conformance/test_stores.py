"""The store suite over a folder and over memory."""

from pathlib import Path

import pytest

from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import Stores
from tests.conformance.store_suite import StoreSuite


class TestFolderStore(StoreSuite):
    @pytest.fixture
    def objects(self, tmp_path: Path) -> Objects:
        return Stores().open((tmp_path / "my artefacts").as_uri(), create=True)


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def objects(self) -> Objects:
        return Stores().open("memory://artefacts")
