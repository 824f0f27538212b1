"""The config of an `evalv1` job: whose text is evaluated, and against what."""

from collections.abc import Sequence
from typing import Self

import regex
from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from bec_orch.core.job_config import ReferenceFolder
from bec_orch.core.store_urls import StoreUrl
from bec_orch.core.transcripts import MAIN, Kind, each_once
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import counted
from bec_orch.errors import ConfigError
from bec_orch.jobs.pipeline.config import PageJobConfig
from bec_orch.jobs.shared.volume_folders import VolumeFolder

TIBETAN = "Tibetan"


class Evalv1Config(PageJobConfig):
    """What decides which figures a page gets."""

    ocr_job: str = Field(
        default="",
        description="The dependency whose text is evaluated. Empty: the only one; needed where the job has more.",
    )
    second_ocr_job: str = Field(
        default="",
        description="Another dependency, an OCR job too, whose text the first one's is compared with. Empty: none.",
    )
    truth_url: StoreUrl = Field(
        default="",
        description="URL of the store that has the ground truth (file:///folder, s3://bucket/prefix). Empty: there is "
        "none.",
    )
    truth_folder: VolumeFolder = Field(
        default="{w_id}/{i_id}",
        description="Folder of a volume's truth in that store, with {w_id} and {i_id} filled in. Files are matched by "
        "the page image's name without its suffix.",
    )
    truth_skip_lines: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Lines at the beginning of each plain-text file of truth that are not text of the page.",
    )
    kinds: tuple[Kind, ...] = Field(
        default=(MAIN,),
        min_length=1,
        description="Kinds of lines whose text is evaluated: `main`, `running`, `margin`, `note`, `other`. Where a "
        "file of truth tells the kinds of its lines, those that it has are evaluated instead.",
        json_schema_extra={"affects_output": "when set"},
    )
    script: str = Field(
        default=TIBETAN,
        description="The script that the text should be in, by its Unicode name. Syllables, stacks and Wylie are "
        "evaluated for Tibetan only.",
    )
    low_confidence: float = Field(
        default=0.5, ge=0.0, le=1.0, description="A line whose confidence is below this counts as a doubtful one."
    )
    empty_page_ink: float = Field(
        default=0.005,
        ge=0.0,
        le=1.0,
        description="A page without text whose image has more than this share of ink is suspected to have been missed.",
    )

    @override
    def reference_folders(self, volume: VolumeRef) -> Sequence[ReferenceFolder]:
        """Return the folder of a volume's truth, if there is to be one."""
        if not self.truth_url:
            return ()
        return (ReferenceFolder(self.truth_url, self.truth_folder.format(w_id=volume.w_id, i_id=volume.i_id)),)

    @override
    def reference_template(self) -> ReferenceFolder | None:
        """Return the folder of a volume's truth with its names left open, if each volume has one of its own."""
        own = self.truth_url and "{" in self.truth_folder
        return ReferenceFolder(self.truth_url, self.truth_folder) if own else None

    @override
    def check_dependencies(self, depends_on: Sequence[str]) -> None:
        """Check that the job depends on the jobs that the config means; see `ocr_jobs`."""
        super().check_dependencies(depends_on)
        self.ocr_jobs(depends_on)

    def ocr_jobs(self, depends_on: Sequence[str]) -> tuple[str, ...]:
        """Return the job whose text is evaluated, and after it the one that it is compared with, if any.

        Raises:
            ConfigError: the job does not depend on one of them, or it is open which is meant (E_EVAL_DEPENDENCY).
        """
        if not self.ocr_job and len(depends_on) != 1:
            raise wrong_dependency(
                f"The job depends on {counted(len(depends_on), 'job')}, and its config names none to evaluate."
            )
        names = tuple(name for name in (self.ocr_job or depends_on[0], self.second_ocr_job) if name)
        for name in names:
            if name not in depends_on:
                raise wrong_dependency(f"The config names the OCR job '{name}', which the job does not depend on.")
        return names

    _each_kind_once = field_validator("kinds")(each_once)

    @field_validator("script")
    @classmethod
    def _known_script(cls, script: str) -> str:
        if not script.replace("_", "").isalpha():
            raise ValueError(f"'{script}' is not the name of a script")
        try:
            regex.compile(rf"\p{{Script={script}}}")
        except regex.error as error:
            raise ValueError(f"'{script}' is not a script that Unicode knows") from error
        return script

    @model_validator(mode="after")
    def _two_jobs(self) -> Self:
        if self.second_ocr_job and not self.ocr_job:
            raise ValueError("second_ocr_job needs ocr_job to be named too")
        if self.second_ocr_job and self.second_ocr_job == self.ocr_job:
            raise ValueError("ocr_job and second_ocr_job are the same job")
        return self


def wrong_dependency(message: str) -> ConfigError:
    """Make the error of a job whose dependencies are not what an evaluation reads."""
    return ConfigError(
        message,
        code="E_EVAL_DEPENDENCY",
        hint="An evalv1 job needs --depends-on an OCR job; ocr_job and second_ocr_job of its config choose among many.",
    )
