"""The base of every job type's config: frozen, strict about unknown keys, and hashed by what changes the output."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import ErrorDetails

from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import clause, meant
from bec_orch.errors import ConfigError

# The values of a `Literal`, as pydantic lists them.
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class ReferenceFolder:
    """A folder outside of the archive that a result depends on, such as ground truth; what lies directly in it counts.

    Attributes:
        store: URL of the store.
        path: the folder in it, without a slash at its ends.
    """

    store: str
    path: str

    @property
    def url(self) -> str:
        """Name the folder, in `success.json` too."""
        return f"{self.store.rstrip('/')}/{self.path}"


class JobConfig(BaseModel):
    """Base of a job type's config.

    A field that cannot change the output (batch size, time-outs) is declared with
    `Field(..., json_schema_extra={"affects_output": False})`, and stays out of the config hash. A field that a later
    version added, whose default means what was before, is declared with `"when set"`: then it counts only where it has
    another value, and no finished work becomes stale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, hide_input_in_errors=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _no_password_in_a_url(cls, value: Any) -> Any:
        # Configs are stored, printed, and written beside every artefact.
        if isinstance(value, str) and "://" in value and "@" in urlsplit(value).netloc:
            raise ValueError("its URL holds a user or password, which belong where the AWS tools look for them")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check values from outside against the schema.

        Raises:
            ConfigError: a key is unknown, or a value is not allowed; the message names each.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigError(
                f"The job's config is wrong: {_in_words(error, cls.model_fields)}.",
                code="E_JOB_CONFIG",
                hint="`bec jobs types --schema TYPE` prints what is allowed.",
            ) from error

    def output_hash(self) -> str:
        """Hash the fields that can change the output: 16 hex digits of the SHA-256 of their canonical JSON."""
        canonical = json.dumps(self.hashed(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def hashed(self) -> dict[str, Any]:
        """Return the fields that can change the output, as JSON has them."""
        return {name: value for name, value in self.model_dump(mode="json").items() if self._affects_output(name)}

    def reference_folders(self, volume: VolumeRef) -> Sequence[ReferenceFolder]:  # noqa: ARG002  (most have none)
        """Return the folders that a volume's result depends on. When one is changed, the result is stale."""
        return ()

    def reference_template(self) -> ReferenceFolder | None:
        """Return the folder that `reference_folders` has for each volume, with `{w_id}` and `{i_id}` in its path.

        None where there is none, or not one for each volume.
        """
        return None

    def check_dependencies(self, depends_on: Sequence[str]) -> None:
        """Check the config against the names of the jobs that its job depends on.

        Raises:
            ConfigError: they do not fit together.
        """

    @classmethod
    def of_the_chain(cls) -> tuple[str, ...]:
        """Return the keys that `bec run` sets for the jobs that one needs, too: their pages are the same."""
        return tuple(name for name in cls.model_fields if cls._marked(name, "of_the_chain", default=False))

    @classmethod
    def _marked(cls, name: str, mark: str, *, default: Any) -> Any:
        extra = cls.model_fields[name].json_schema_extra
        return extra.get(mark, default) if isinstance(extra, dict) else default

    def _affects_output(self, name: str) -> bool:
        field = type(self).model_fields[name]
        affects = self._marked(name, "affects_output", default=True)
        return getattr(self, name) != field.default if affects == "when set" else bool(affects)


def _in_words(error: ValidationError, keys: Iterable[str]) -> str:
    return "; ".join(_fault(each, list(keys)) for each in error.errors())


def _fault(fault: ErrorDetails, keys: Sequence[str]) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"there is no key '{name}'{meant(name, keys)}"
    told = clause(fault["msg"].removeprefix("Value error, "))
    if fault["type"] == "literal_error":
        told += meant(str(fault["input"]), _QUOTED.findall(fault["ctx"]["expected"]))
    return f"{name}: {told}" if name else told
