"""Job type `ldv1`: finds the text lines of every page of a volume."""

from collections import Counter
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.frames import UNREAD
from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.transcripts import KINDS, MAIN
from bec_orch.jobs.ldv1.config import DEFAULT_MODEL, Ldv1Config
from bec_orch.jobs.ldv1.loading import NAMED, find_model, load_detector
from bec_orch.jobs.ldv1.page.detector import Underway
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.pipeline.page_input import PageInput
from bec_orch.jobs.pipeline.page_job import Round, Row
from bec_orch.jobs.pipeline.page_worker import PageJobWorker
from bec_orch.jobs.shared.columns import OUTLINES, POINT
from bec_orch.jobs.shared.trial import try_model

Map = NDArray[np.float32]

TRIAL = "bec_orch.jobs.ldv1.trial"
_COLUMNS: dict[str, pa.DataType] = {
    **OUTLINES,
    "scores": pa.list_(pa.float32()),
    "line_kinds": pa.list_(pa.string()),
    "line_baselines": pa.list_(pa.list_(POINT)),
    "line_model": pa.string(),
    "line_engine": pa.string(),
    "nb_lines": pa.int32(),
    **{f"nb_{kind}_lines": pa.int32() for kind in KINDS},
    "orientation": pa.int32(),
    "nb_unread_frames": pa.int32(),
    "colour_assumed": pa.string(),
    "nb_assumed": pa.int32(),
}
SCHEMA = pa.schema(_COLUMNS)


class Ldv1Worker(PageJobWorker[Ldv1Config, Any, Map, Underway, None]):
    """Finds text lines with the line model of the job's config, else of the worker, else the default one.

    Raises:
        ConfigError: there is no such model, or it is not a line model.
    """

    job_type = "ldv1"
    config_type: ClassVar[type[JobConfig]] = Ldv1Config
    code_version = "5"
    schema = SCHEMA
    counted = MappingProxyType(
        {
            "lines": "nb_lines",
            **{f"{kind}_lines": f"nb_{kind}_lines" for kind in KINDS},
            "contours": "nb_contours",
            UNREAD: "nb_unread_frames",
            "assumed": "nb_assumed",
        }
    )

    def __init__(self, config: Ldv1Config, resources: WorkerResources) -> None:
        super().__init__(config, resources)
        wanted = config.model or resources.model_path or DEFAULT_MODEL
        folder = None if wanted in NAMED else find_model(wanted, resources.models)
        if folder:
            request = {"config": config.model_dump(mode="json"), "folder": str(folder.absolute())}
            try_model(TRIAL, f"The line model '{folder}'", folder, request)
        self._detector = load_detector(config, wanted, folder)
        self.models = self._detector.models

    @override
    def measure(self, page: PageInput) -> int:
        header = page.header
        reduce = self._detector.reduce_factor(header.width, header.height)
        # The page as decoded, and a rotated copy of it.
        return header.decoding_bytes(reduce) + 2 * 3 * header.pixels // reduce**2

    @override
    def decode(self, page: PageInput) -> Round[Any, Underway]:
        header = page.header
        image = page.image(reduce=self._detector.reduce_factor(header.width, header.height))
        return _round(self._detector.prepare(image, header.width, header.height, header.orientation))

    @override
    def infer(self, items: Sequence[Any]) -> Sequence[Map]:
        return self._detector.infer(items)

    @override
    def finish(self, page: PageInput, state: Underway, outputs: Sequence[Map]) -> Row | Round[Any, Underway]:
        found = self._detector.finish(state, outputs)
        return {**row_of(found), **_file_columns(page)} if isinstance(found, PageLines) else _round(found)


def row_of(lines: PageLines) -> Row:
    """Return a page's lines as the columns of `SCHEMA`; lists of points and boxes as arrays."""
    counts = Counter(lines.kinds_by_line.values())
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
        "line_kinds": lines.kinds or (MAIN,) * len(lines.contours),
        "line_baselines": lines.baselines or None,
        "line_model": lines.model,
        "line_engine": lines.engine,
        "nb_lines": lines.line_count,
        **{f"nb_{kind}_lines": counts[kind] for kind in KINDS},
    }


def _file_columns(page: PageInput) -> Row:
    """Return what the image's file says besides its pixels, and what had to be assumed about it."""
    return {
        "orientation": page.header.orientation,
        "nb_unread_frames": page.unread_frames,
        "colour_assumed": page.assumed or None,
        "nb_assumed": int(bool(page.assumed)),
    }


def _round(state: Underway) -> Round[Any, Underway]:
    return Round(state.items, state, state.nbytes)
