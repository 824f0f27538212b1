"""The messages of a queue. Anybody may have sent one by hand, so nothing that is read from them is trusted."""

import json
from dataclasses import dataclass
from typing import Any

from bec_orch.core.names import is_plain, printable
from bec_orch.core.volumes import VolumeRef, source_of
from bec_orch.errors import TerminalError

# SQS takes 256 KiB; ours are about 150 bytes.
_LONGEST_BODY = 16_384


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """Announces that the task of this job for this volume may be ready. Never the truth."""

    w_id: str
    i_id: str
    job: str | None = None
    source: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return the stored form; what is unknown is left out."""
        every = {"job": self.job, "w_id": self.w_id, "i_id": self.i_id, "source": self.source}
        return {key: value for key, value in every.items() if value is not None}


def parse_message(body: str, job: str, default_source: str) -> VolumeRef:
    """Return the volume that a message of the job's queue names.

    Raises:
        TerminalError: it is not a JSON object of ours, is for another job, or its names are unsafe.
    """
    message = _task_message(_json_object(body))
    if message.job is not None and message.job != job:
        raise TerminalError(
            f"The message is for the job {printable(message.job)}, not for '{job}'.", code="E_MESSAGE_JOB"
        )
    if message.source and not is_plain(message.source):
        raise TerminalError("The message's source holds a control character.", code="E_MESSAGE_FIELDS")
    return VolumeRef(message.w_id, message.i_id, source_of(message.source, default_source))


def _json_object(body: str) -> dict[str, Any]:
    if len(body) > _LONGEST_BODY:
        raise TerminalError(f"The message has {len(body)} characters.", code="E_MESSAGE_TOO_LARGE")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise TerminalError("The message is not JSON.", code="E_MESSAGE_NOT_JSON") from error
    if not isinstance(content, dict):
        raise TerminalError("The message is JSON, but not an object.", code="E_MESSAGE_FIELDS")
    return content


def _task_message(content: dict[str, Any]) -> TaskMessage:
    fields = {name: content.get(name) for name in ("w_id", "i_id", "job", "source")}
    wrong = [name for name, value in fields.items() if not isinstance(value, str | None)]
    missing = [name for name in ("w_id", "i_id") if fields[name] is None]
    if wrong or missing:
        raise TerminalError(
            f"The message lacks text in: {', '.join([*missing, *wrong])}.",
            code="E_MESSAGE_FIELDS",
            hint='A message is {"w_id": "W22084", "i_id": "I0886"}, with "job" and "source" if wanted.',
        )
    return TaskMessage(str(fields["w_id"]), str(fields["i_id"]), fields["job"], fields["source"])
