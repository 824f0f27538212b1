"""The config of an `importv1` job: where the documents are, and in which format."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from typing_extensions import override

from bec_orch.core.job_config import ReferenceFolder
from bec_orch.core.store_urls import StoreUrl
from bec_orch.core.volumes import VolumeRef
from bec_orch.jobs.pipeline.config import PageJobConfig
from bec_orch.jobs.shared.volume_folders import VolumeFolder

JOB_TYPE = "importv1"


class Importv1Config(PageJobConfig):
    """What decides which lines a page gets."""

    format: Literal["alto", "page"] = Field(description="The format of the documents: ALTO 4 or PAGE.")
    documents_url: StoreUrl = Field(
        min_length=1, description="URL of the store that has the documents (file:///folder, s3://bucket/prefix)."
    )
    documents_folder: VolumeFolder = Field(
        default="{w_id}/{i_id}",
        description="Folder of a volume's documents in that store, with {w_id} and {i_id} filled in. Files are matched "
        "by the page image's name without its suffix, and end in `.xml`.",
    )

    @override
    def reference_folders(self, volume: VolumeRef) -> Sequence[ReferenceFolder]:
        """Return the folder of a volume's documents."""
        folder = self.documents_folder.format(w_id=volume.w_id, i_id=volume.i_id)
        return (ReferenceFolder(self.documents_url, folder),)
