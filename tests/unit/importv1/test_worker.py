"""Job type `importv1`: which document is a page's, and what becomes of it."""

import pytest

from bec_orch.core.job_types.registry import job_worker_class
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ConfigError
from bec_orch.jobs.importv1.config import Importv1Config
from bec_orch.jobs.importv1.worker import Importv1Worker

VOLUME = VolumeRef("W1", "I1", "folder+file:///scans")
CONFIG = {"format": "alto", "documents_url": "file:///documents"}


def test_it_is_the_job_type_that_is_installed() -> None:
    assert job_worker_class("importv1") is Importv1Worker


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"format": "alto"},
        {**CONFIG, "format": "hocr"},
        {**CONFIG, "documents_url": ""},
        {**CONFIG, "documents_folder": "{volume}"},
        {**CONFIG, "documents_folder": "{w_id"},
        {**CONFIG, "documents_url": "s3://user:secret@bucket"},
        {**CONFIG, "speed": 1},
    ],
)
def test_wrong_configs_are_refused(config: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="config is wrong: "):
        Importv1Config.parse(config)


def test_the_documents_of_a_volume_are_a_reference_folder() -> None:
    (folder,) = Importv1Config.parse({**CONFIG, "documents_folder": "/{w_id}/{i_id}/alto/"}).reference_folders(VOLUME)
    assert folder.url == "file:///documents/W1/I1/alto"
