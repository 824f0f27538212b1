"""Which reference folders belong to no volume."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from bec_orch.errors import StorageError
from bec_orch.orch.overview.references import _filled

if TYPE_CHECKING:
    from bec_orch.core.ports.job_worker import BlobReader


@dataclass
class Truth:
    """A store of truth with a folder that cannot be listed."""

    code: str
    folders: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()

    def list(self, prefix: str) -> "Truth":
        if prefix == "lost+found":
            raise StorageError("Could not list lost+found.", code=self.code)
        return Truth(self.code, {"": ("W1", "lost+found"), "W1": ("I1",)}.get(prefix, ()))


def test_a_folder_that_may_not_be_listed_is_passed_over() -> None:
    assert _filled(cast("BlobReader", Truth("E_STORAGE_DENIED")), "{w_id}/{i_id}") == ["W1/I1"]


def test_a_store_that_is_away_is_an_error() -> None:
    with pytest.raises(StorageError):
        _filled(cast("BlobReader", Truth("E_STORAGE_AWAY")), "{w_id}/{i_id}")
