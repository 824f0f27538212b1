"""Job type `ldv1`: finds the text lines of every page of a volume."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.jobs.base import PageJobWorker
from bec_orch.jobs.ldv1.config import DEFAULT_MODEL, Ldv1Config
from bec_orch.jobs.ldv1.detector import LineDetector, Prepared
from bec_orch.jobs.ldv1.line_model import Item
from bec_orch.jobs.ldv1.loading import load_line_model
from bec_orch.jobs.ldv1.page_lines import PageLines
from bec_orch.jobs.pipeline.page_input import PageInput
from bec_orch.jobs.pipeline.page_job import Round, Row
from bec_orch.jobs.shared.trial import try_model

Map = NDArray[np.float32]

TRIAL = "bec_orch.jobs.ldv1.trial"
_POINT = pa.struct([("x", pa.int32()), ("y", pa.int32())])
_BOX = pa.struct([("x", pa.int32()), ("y", pa.int32()), ("w", pa.int32()), ("h", pa.int32())])
_COLUMNS: dict[str, pa.DataType] = {
    "width": pa.int32(),
    "height": pa.int32(),
    "rotation_angle": pa.float32(),
    "tps_points": pa.list_(pa.list_(pa.float32())),
    "tps_alpha": pa.float32(),
    "contours": pa.list_(pa.list_(_POINT)),
    "nb_contours": pa.int32(),
    "contours_bboxes": pa.list_(_BOX),
    "line_ids": pa.list_(pa.int32()),
    "scores": pa.list_(pa.float32()),
    "nb_lines": pa.int32(),
    "orientation": pa.int32(),
    "nb_unread_frames": pa.int32(),
    "colour_assumed": pa.string(),
    "nb_assumed": pa.int32(),
}
SCHEMA = pa.schema(_COLUMNS)


class Ldv1Worker(PageJobWorker[Ldv1Config, Item, Map, Prepared]):
    """Finds text lines with the line model of the job's config, else of the worker, else the default one.

    Raises:
        ConfigError: there is no such model, or it is not a line model.
    """

    job_type = "ldv1"
    config_type: ClassVar[type[JobConfig]] = Ldv1Config
    code_version = "2"
    schema = SCHEMA
    counted = MappingProxyType(
        {
            "lines": "nb_lines",
            "contours": "nb_contours",
            "unread_frames": "nb_unread_frames",
            "assumed": "nb_assumed",
        }
    )

    def __init__(self, config: Ldv1Config, resources: WorkerResources) -> None:
        super().__init__(config, resources)
        folder = _model_folder(config, resources)
        if folder:
            request = {"config": config.model_dump(mode="json"), "folder": str(folder.absolute())}
            try_model(TRIAL, f"The line model '{folder}'", folder, request)
        model = load_line_model(config, folder)
        self.models = (ModelInfo(model.name, model.digest),)
        self._detector = LineDetector(model, config)

    @override
    def measure(self, page: PageInput) -> int:
        header = page.header
        reduce = self._detector.reduce_factor(header.width, header.height)
        # The page as decoded, and a rotated copy of it.
        return header.decoding_bytes(reduce) + 2 * 3 * header.pixels // reduce**2

    @override
    def decode(self, page: PageInput) -> Round[Item, Prepared]:
        header = page.header
        image = page.image(reduce=self._detector.reduce_factor(header.width, header.height))
        return _round(self._detector.prepare(image, header.width, header.height, header.orientation))

    @override
    def infer(self, items: Sequence[Item]) -> Sequence[Map]:
        return self._detector.model.infer(items)

    @override
    def finish(self, page: PageInput, state: Prepared, outputs: Sequence[Map]) -> Row | Round[Item, Prepared]:
        found = self._detector.finish(state, outputs)
        return _round(found) if isinstance(found, Prepared) else {**row_of(found), **_told(page)}


def row_of(lines: PageLines) -> Row:
    """Return a page's lines as the columns of `SCHEMA`; lists of points and boxes as arrays."""
    return {
        "width": lines.width,
        "height": lines.height,
        "rotation_angle": lines.rotation_angle,
        "tps_points": lines.tps_points,
        "tps_alpha": lines.tps_alpha,
        "contours": lines.contours,
        "nb_contours": len(lines.contours),
        "contours_bboxes": np.array(lines.bboxes, np.int32).reshape(-1, 4),
        "line_ids": lines.line_ids,
        "scores": lines.scores,
        "nb_lines": lines.line_count,
    }


def _told(page: PageInput) -> Row:
    """Return what the image's file says besides its pixels, and what had to be assumed about it."""
    return {
        "orientation": page.header.orientation,
        "nb_unread_frames": page.header.frames - 1,
        "colour_assumed": page.assumed or None,
        "nb_assumed": int(bool(page.assumed)),
    }


def _round(prepared: Prepared) -> Round[Item, Prepared]:
    return Round(prepared.items, prepared, prepared.nbytes)


def _model_folder(config: Ldv1Config, resources: WorkerResources) -> Path | None:
    """Return the folder of the wanted model, or None for the default one."""
    wanted = config.model or resources.model_path or DEFAULT_MODEL
    return None if wanted == DEFAULT_MODEL else resources.models.local_path(wanted)
