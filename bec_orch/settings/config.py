"""Settings, and where each came from: flag > environment > `.env` > default. Only this module reads the environment.

`bec_orch/settings/env_file.py` says what `.env` may set at all.
"""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict

from bec_orch.core.wording import clause
from bec_orch.errors import ConfigError
from bec_orch.settings.env_file import ENV_FILE, check_origins, read_env_file

PREFIX = "BEC_"
QueueName = Literal["sqs", "pg"]
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
LIBRARY_ARCHIVE = "s3://archive.tbrc.org"
AMAZON_LINUX = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"

# Pages in flight get a quarter of the machine: the model, the Parquet writer and the database live in the rest.
_MEMORY_SHARE = 4
_MEMORY_RANGE_MIB = (256, 4096)

_URL_WITH_USER = re.compile(r"://[^/\s]*@")

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
# Where libpq looks for authorities when none are named.
_OWN_AUTHORITIES = Path("~/.postgresql/root.crt")

# Read by the libraries below us, not by us: known here only to be kept out of every log.
_FOREIGN_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD")


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _cores() -> int:
    """Count the cores that this process may use, not those of the machine."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1


def _memory_share() -> int:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    least, most = _MEMORY_RANGE_MIB
    return max(least, min(most, physical // _MEMORY_SHARE))


def _listed(value: Any) -> Any:
    """Split a list that is separated by commas."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


def _are_pairs(pairs: tuple[str, ...]) -> tuple[str, ...]:
    without = [pair for pair in pairs if not all(pair.partition("="))]
    if without:
        raise ValueError(f"'{without[0]}' is not JOB=URL")
    return pairs


Pairs = Annotated[Names, AfterValidator(_are_pairs)]


def _is_this_machine(host: str | None) -> bool:
    return host is None or host in _LOCAL_HOSTS or host.startswith("/")


def _authorities(sslrootcert: str | None) -> str | None:
    own = _OWN_AUTHORITIES.expanduser()
    return sslrootcert or (str(own) if own.is_file() else None)


def sslmode_for(host: str | None, sslrootcert: str | None) -> SslMode:
    """Return how a connection to a PostgreSQL server is protected where nobody says so."""
    if _is_this_machine(host):
        return "prefer"
    return "verify-full" if _authorities(sslrootcert) else "require"


def _default_sslmode(values: Mapping[str, Any]) -> SslMode:
    return sslmode_for(values["sql_host"], values["sql_sslrootcert"])


def _default_destination(values: Mapping[str, Any]) -> str:
    bucket = values["dest_s3_bucket"]
    return f"s3://{bucket}" if bucket else (values["home"] / "artefacts").as_uri()


def _default_prices(values: Mapping[str, Any]) -> Path:
    home: Path = values["home"]
    return home / "prices.toml"


def _default_source(values: Mapping[str, Any]) -> str | None:
    fleet = values["sql_host"] and values["region"] and values["dest_s3_bucket"]
    return LIBRARY_ARCHIVE if fleet else None


def _texts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (str(value),) if isinstance(value, str | Path) else ()


# SQS hides a message for so long at most.
_LONGEST_LEASE = 12 * 3600.0
_WEEK = 7 * 24 * 3600.0

Seconds = Annotated[float, Field(gt=0, le=_WEEK)]
"""A time that something is waited for. `inf` is none: clocks, databases and queues count in numbers of some bits."""
Count = Annotated[int, Field(ge=1, le=10**10)]


class Settings(BaseSettings):
    """Every setting of the program: the field `x` is the variable `BEC_X`. docs/configuration.md explains each."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    home: Annotated[Path, AfterValidator(_absolute)] = Field(
        Path("~/.bec"), description="folder of local mode: database, artefacts, cached models"
    )

    sql_host: str | None = Field(None, description="PostgreSQL host; not set: the embedded one under BEC_HOME")
    sql_port: Annotated[int, Field(ge=1, le=65_535)] = Field(5432, description="PostgreSQL port")
    sql_user: str | None = Field(None, description="PostgreSQL user")
    sql_password: SecretStr | None = Field(None, description="PostgreSQL password")
    sql_password_file: Path | None = Field(None, description="file that holds the PostgreSQL password")
    sql_password_secret: str | None = Field(None, description="secret of AWS Secrets Manager that holds the password")
    sql_database: str | None = Field(None, description="PostgreSQL database; not set: the one named like the user")
    sql_sslrootcert: str | None = Field(None, description="file of the CA of the PostgreSQL server, or `system`")
    sql_sslmode: SslMode = Field(
        default_factory=_default_sslmode, description="TLS to PostgreSQL; verified where there is a CA to verify with"
    )

    region: str | None = Field(None, description="AWS region; set, queues are on SQS")
    queue: Literal["auto"] | QueueName = Field("auto", description="auto: sqs if a region is set, else pg")
    sqs_endpoint_url: str | None = Field(None, description="URL of a server that is asked instead of SQS")
    sqs_queue_urls: Pairs = Field((), description="queues that are not named as ours: JOB=URL")
    aws_endpoint_url: str | None = Field(
        None, validation_alias="AWS_ENDPOINT_URL", description="URL of a server that is asked instead of AWS"
    )
    s3_requester_pays: Names = Field((), description="S3 buckets whose requests we pay for")
    s3_anonymous: Names = Field((), description="S3 buckets that are read without credentials")
    dest_s3_bucket: str | None = Field(None, description="S3 bucket that artefacts go to")
    dest_url: str = Field(default_factory=_default_destination, description="store that artefacts go to")
    source_url: str | None = Field(default_factory=_default_source, description="store that volumes are read from")
    source_layout: Literal["bdrc", "folder", "pdf", "mets", "iiif"] = Field(
        "bdrc", description="how volumes lie in the source"
    )

    ld_model_path: str | None = Field(None, description="folder or URL of another line-detection model")
    threads: Annotated[int, Field(ge=1, le=1024)] = Field(default_factory=_cores, description="CPU threads of a worker")
    memory_budget_mib: Count = Field(default_factory=_memory_share, description="MiB for pages in flight")
    follow_links: bool = Field(
        default=False, description="follow symbolic links that lead out of a source's own folder"
    )
    max_image_pixels: Count = Field(200_000_000, description="pixels above which an image is a page error")

    lease_seconds: Annotated[float, Field(gt=0, le=_LONGEST_LEASE)] = Field(
        120, description="how long a claimed task stays a silent worker's"
    )
    poll_seconds: Seconds = Field(20, description="how long one receive waits for a message")
    grace_seconds: Seconds = Field(90, description="how long a worker that should stop may go on with a task")
    stall_seconds: Seconds = Field(
        1800, description="time without a finished page after which a volume counts as stalled"
    )
    maintenance_seconds: Seconds = Field(60, description="how often a worker looks after forgotten tasks")
    redispatch_after_seconds: Seconds = Field(
        900, description="age of a queued task's message after which it is sent again"
    )
    black_hole_guard: Count = Field(5, description="failed tasks in a row after which a worker stops itself")
    backoff_base_seconds: Seconds = Field(10, description="wait after a task's first failure; doubles each time")
    backoff_cap_seconds: Seconds = Field(600, description="longest wait after a failure")

    ec2_kit_url: str | None = Field(None, description="S3 folder with what a new machine installs")
    ec2_kit_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="SHA-256 of the kit's list of digests, as deploy/upload-kit prints it"
    )
    ec2_sql_user: str = Field("bec_worker", description="PostgreSQL user of new machines")
    ec2_sql_password_secret: str | None = Field(None, description="secret that holds the password of that user")
    ec2_image: str = Field(AMAZON_LINUX, description="image of new machines")
    ec2_subnets: Names = Field((), description="subnets of new machines")
    ec2_security_groups: Names = Field((), description="security groups of new machines")
    ec2_instance_profile: str | None = Field(None, description="instance profile of new machines")
    ec2_disk_gib: Annotated[int, Field(ge=1, le=65_536)] = Field(100, description="GiB of disk of new machines")
    prices_file: Annotated[Path, AfterValidator(_absolute)] = Field(
        default_factory=_default_prices, description="table of what machines cost"
    )
    imds_url: str | None = Field(None, description="URL of a server that is asked instead of the instance metadata")

    web_token: SecretStr | None = Field(
        None, description="token that `bec serve` asks for; not set: made up where other machines can ask"
    )

    metrics: Literal["auto", "emf", "none"] = Field(
        "auto", description="metrics for CloudWatch in the log of `bec worker`; auto: emf on an EC2 machine, else none"
    )
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, else JSON lines")
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(
        None, description="lowest level that is logged; not set: info for `bec worker`, error for other commands"
    )
    failpoint: str | None = Field(
        None, description="faults to inject, point:action[:nth]; for tests of this program alone"
    )

    @field_validator("*")
    @classmethod
    def _printable(cls, value: Any) -> Any:
        # Values are printed, and written into scripts and files of settings.
        if not all(text.isprintable() for text in _texts(value)):
            raise ValueError("it holds a line break or a control character")
        return value

    @field_validator("*")
    @classmethod
    def _no_password_in_a_url(cls, value: Any) -> Any:
        # URLs are printed, stored and handed to machines.
        if any(_URL_WITH_USER.search(text) for text in _texts(value)):
            raise ValueError("its URL holds a user or password, which belong where the AWS tools look for them")
        return value

    @model_validator(mode="after")
    def _sql_needs_a_host(self) -> Self:
        if self.sql_host is None and (self.sql_user or self.has_password or self.sql_database):
            raise ValueError("BEC_SQL_HOST is not set, but another BEC_SQL_* variable is")
        return self

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if sum(map(bool, (self.sql_password, self.sql_password_file, self.sql_password_secret))) > 1:
            raise ValueError("more than one of BEC_SQL_PASSWORD, _FILE and _SECRET is set")
        return self

    @property
    def has_password(self) -> bool:
        """Whether the database's password is given, in whatever way."""
        return bool(self.sql_password or self.sql_password_file or self.sql_password_secret)

    @property
    def memory_budget(self) -> int:
        """Bytes of memory for pages in flight."""
        return self.memory_budget_mib * 2**20

    @property
    def sql_is_local(self) -> bool:
        """Whether the database is on this machine."""
        return _is_this_machine(self.sql_host)

    @property
    def queue_backend(self) -> QueueName:
        """The back-end of the queues: on SQS if a region is set, unless the setting names another."""
        if self.queue == "auto":
            return "pg" if self.region is None else "sqs"
        return self.queue

    @property
    def uses_sqs(self) -> bool:
        """Whether the queues are on SQS, not in the database."""
        return self.queue_backend == "sqs"

    @property
    def queue_urls(self) -> dict[str, str]:
        """The URLs of queues that are not named as ours, by job."""
        return {job: url for job, _, url in (pair.partition("=") for pair in self.sqs_queue_urls)}

    @property
    def default_source(self) -> str | None:
        """The source of volumes that name none, `<layout>+<url>`; None when no source is set."""
        return f"{self.source_layout}+{self.source_url}" if self.source_url else None

    def in_workspace(self, folder: Path) -> "Settings":
        """Return these settings with the embedded database and the artefacts in a folder, whatever the fleet's are."""
        home = _absolute(folder)
        own = {"home": home, "dest_url": (home / "artefacts").as_uri(), "sql_host": None, "queue": "pg"}
        return self.model_copy(update=own)


class Origin(StrEnum):
    """Where the value of a setting came from."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    DOTENV = ".env"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, the origin of each by field name, and the `BEC_*` names that are not settings."""

    settings: Settings
    origins: Mapping[str, Origin]
    unknown: tuple[str, ...]

    def shown(self) -> list[dict[str, str | None]]:
        """Return name, value and origin of each setting, secrets masked."""
        values = self.settings.model_dump(mode="json")
        return [
            {"name": variable(name), "value": _as_text(values[name]), "origin": self.origins[name].value}
            for name in Settings.model_fields
        ]

    def why_sslmode(self) -> str:
        """Say why the connection to the database is protected as it is."""
        settings = self.settings
        if self.origins["sql_sslmode"] is not Origin.DEFAULT:
            return "BEC_SQL_SSLMODE says so"
        if settings.sql_is_local:
            return "the host is this machine"
        authorities = _authorities(settings.sql_sslrootcert)
        return f"verified with {authorities}" if authorities else "there is no CA to verify the server with"


class _EnvFileSource(EnvSettingsSource):
    """Reads a file as the environment is read."""

    def __init__(self, settings: type[BaseSettings], path: Path) -> None:
        self._path = path
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in read_env_file(self._path).items() if value}


def load_settings(flags: Mapping[str, Any]) -> LoadedSettings:
    """Read all settings; flags that are None were not given.

    Raises:
        ConfigError: a value is not allowed; the message names the variable.
    """
    path = Path(ENV_FILE)
    given = {name: value for name, value in flags.items() if value is not None}
    environment, dotenv = EnvSettingsSource(Settings), _EnvFileSource(Settings, path)
    sources = ((Origin.FLAG, given), (Origin.ENVIRONMENT, environment()), (Origin.DOTENV, dotenv()))
    origins = _origins(sources)
    from_file = [variable(field) for field, origin in origins.items() if origin is Origin.DOTENV]
    check_origins(path, from_file, {name.upper() for name, value in os.environ.items() if value})
    try:
        settings = Settings(**{**dotenv(), **environment(), **given})
    except ValidationError as error:
        raise _config_error(error) from error
    return LoadedSettings(settings, origins, _unknown({**dotenv.env_vars, **environment.env_vars}))


def variable(field: str) -> str:
    """Return the environment variable of a setting."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def closest(name: str) -> str | None:
    """Return the setting that an unknown `BEC_*` name was most likely meant to be."""
    found = difflib.get_close_matches(name, [variable(field) for field in Settings.model_fields], n=1)
    return found[0] if found else None


def known_secrets(settings: Settings) -> list[str]:
    """Return every secret value of this process, so that logs can leave them out."""
    ours = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    theirs = [os.environ[name] for name in _FOREIGN_SECRETS if name in os.environ]
    return [secret for secret in ours + theirs if secret]


def _origins(sources: tuple[tuple[Origin, Mapping[str, Any]], ...]) -> dict[str, Origin]:
    return {
        field: next((origin for origin, values in sources if {field, variable(field)} & values.keys()), Origin.DEFAULT)
        for field in Settings.model_fields
    }


def _unknown(names: Mapping[str, Any]) -> tuple[str, ...]:
    ours = {name.upper() for name in names if name.upper().startswith(PREFIX)}
    return tuple(sorted(ours - {variable(field) for field in Settings.model_fields}))


def _config_error(error: ValidationError) -> ConfigError:
    fault = error.errors(include_url=False, include_input=False)[0]
    if not fault["loc"]:
        return ConfigError(f"The settings contradict each other: {_words(fault)}.", hint="See docs/configuration.md.")
    field = str(fault["loc"][0])
    name = variable(field) if field in Settings.model_fields else field
    return ConfigError(
        f"The setting {name} is wrong: {_words(fault)}.",
        hint="It is read from a flag, the environment or .env; docs/configuration.md says what is allowed.",
    )


def _words(fault: Mapping[str, Any]) -> str:
    return clause(str(fault["msg"]).removeprefix("Value error, "))


def _as_text(value: Any) -> str | None:
    if isinstance(value, list):
        return ",".join(value) or None
    return None if value is None else str(value)
