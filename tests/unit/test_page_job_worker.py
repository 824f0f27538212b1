from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa
import pytest
from PIL import Image as Pictures

from bec_orch.core.job_config import JobConfig
from bec_orch.errors import ConfigError, Interrupted
from bec_orch.jobs.pipeline.config import PageJobConfig
from bec_orch.jobs.pipeline.page_input import PageInput
from bec_orch.jobs.pipeline.page_job import Round
from bec_orch.jobs.pipeline.page_worker import PageJobWorker
from bec_orch.plugin import Image, Row
from tests.unit import image_bytes as made
from tests.unit.fakes import FlagStop, MemoryRows, context, resources

if TYPE_CHECKING:
    from bec_orch.core.ports.job_worker import JobWorker


class BrightnessConfig(PageJobConfig):
    reduce: Literal[1, 2, 4, 8] = 1


class BrightnessWorker(PageJobWorker[BrightnessConfig, Image, float, None]):
    job_type = "brightness"
    config_type: ClassVar[type[JobConfig]] = BrightnessConfig
    code_version = "1"
    schema = pa.schema([("brightness", pa.float32())])

    def decode(self, page: PageInput) -> Round[Image, None]:
        image = page.image(reduce=self.config.reduce)
        return Round([image], None, image.nbytes)

    def infer(self, items: Sequence[Image]) -> list[float]:
        return [float(image.mean()) for image in items]

    def finish(self, page: PageInput, state: None, outputs: Sequence[float]) -> Row:
        return {"brightness": outputs[0]}


class NamesWorker(BrightnessWorker):
    """Looks at no image at all."""

    def wants_image(self, page: PageInput) -> bool:
        return False

    def decode(self, page: PageInput) -> Round[Image, None]:
        return Round([], None, 0)

    def finish(self, page: PageInput, state: None, outputs: Sequence[float]) -> Row:
        return {"brightness": float(page.page.index)}


def plain(light: int) -> bytes:
    return made.png(Pictures.new("L", (64, 48), light))


@pytest.mark.parametrize("config", [{}, {"reduce": 4, "batch_size": 3}])
def test_a_job_is_three_functions(config: dict[str, int]) -> None:
    rows = MemoryRows()
    worker: JobWorker = BrightnessWorker.create(config, resources())
    worker.run(context({f"{light}.png": plain(light) for light in range(0, 250, 10)}, rows))
    assert {index: outcome.row["brightness"] for index, outcome in rows.flushed.items()} == {
        index: index * 10 for index in range(25)
    }
    assert worker.models == ()
    assert dict(worker.counted) == {}
    worker.close()
    worker.close()


def test_images_above_the_limit_are_page_errors() -> None:
    rows = MemoryRows()
    worker = BrightnessWorker.create({}, resources(max_image_pixels=64 * 48 - 1))
    worker.run(context({"a.png": plain(0), "b.png": made.png(Pictures.new("L", (8, 8), 9))}, rows))
    assert rows.flushed[0].error_type == "E_IMAGE_TOO_LARGE"
    assert rows.flushed[1].row == {"brightness": 9}


def test_configs_are_checked_and_hashed_by_what_matters() -> None:
    with pytest.raises(ConfigError, match="speed"):
        BrightnessWorker.create({"speed": 3}, resources())
    plain_hash = BrightnessConfig().output_hash()
    assert BrightnessConfig(batch_size=8, page_timeout=5).output_hash() == plain_hash
    assert BrightnessConfig(reduce=2).output_hash() != plain_hash


def test_a_stop_before_the_first_page_does_nothing() -> None:
    rows = MemoryRows()
    with pytest.raises(Interrupted):
        BrightnessWorker.create({}, resources()).run(context({"a.png": plain(0)}, rows, stop=FlagStop("shutdown")))
    assert rows.flushed == {}


def test_a_job_that_wants_no_image_is_asked_for_no_estimate_of_its_memory() -> None:
    rows = MemoryRows()
    NamesWorker.create({}, resources()).run(context({"a.png": plain(1), "b.png": plain(2)}, rows))
    assert [rows.flushed[index].row["brightness"] for index in (0, 1)] == [0.0, 1.0]
