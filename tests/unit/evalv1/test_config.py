import pytest

from bec_orch.core.job_types.registry import job_worker_class
from bec_orch.core.ports.job_worker import BlobReader, WorkerResources
from bec_orch.errors import ConfigError
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.evalv1.config import Evalv1Config
from bec_orch.jobs.evalv1.worker import Evalv1Worker
from tests.unit.fakes import resources


def test_it_is_the_job_type_that_is_installed() -> None:
    assert job_worker_class("evalv1") is Evalv1Worker


@pytest.mark.parametrize(
    "config",
    [
        {"script": "Klingon"},
        {"script": "Latin}|."},
        {"truth_folder": "{volume}"},
        {"truth_folder": "{w_id.__class__}"},
        {"truth_folder": "{w_id"},
        {"truth_folder": "w_id}"},
        {"truth_url": "truth"},
        {"second_ocr_job": "b"},
        {"ocr_job": "a", "second_ocr_job": "a"},
        {"low_confidence": 1.5},
        {"speed": 1},
    ],
)
def test_wrong_configs_are_refused(config: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="config is wrong: "):
        Evalv1Worker.create(config, resources())


def test_every_field_changes_the_output() -> None:
    changes: list[dict[str, object]] = [
        {"ocr_job": "a"},
        {"ocr_job": "a", "second_ocr_job": "b"},
        {"truth_url": "file:///truth"},
        {"truth_folder": ""},
        {"truth_skip_lines": 1},
        {"script": "Latin"},
        {"low_confidence": 0.4},
        {"empty_page_ink": 0.1},
    ]
    hashes = {Evalv1Config.parse(change).output_hash() for change in [{}, *changes]}
    assert len(hashes) == len(changes) + 1


def test_a_process_without_stores_says_so() -> None:
    with pytest.raises(ConfigError, match="file:///truth"):
        Evalv1Worker.create({"truth_url": "file:///truth"}, resources())


def test_a_store_that_is_no_store_is_a_config_error() -> None:
    def open_store(url: str) -> BlobReader:
        return Stores().open(url)

    without = resources()
    given = WorkerResources(1, 2**20, without.models, open_store=open_store)
    with pytest.raises(ConfigError, match="ftp"):
        Evalv1Worker.create({"truth_url": "ftp://truth"}, given)


def test_a_password_in_a_url_is_refused_unseen() -> None:
    with pytest.raises(ConfigError, match="holds a user or password") as refused:
        Evalv1Config.parse({"truth_url": "s3://key:canary@bucket/truth"})
    assert "canary" not in f"{refused.value}{refused.value.__cause__}"
