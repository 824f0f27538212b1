"""What each new machine of a job is, and the settings that it works with."""

from dataclasses import replace
from urllib.parse import urlsplit

from bec_orch.cli.composition.machines import missing_settings, network_spec
from bec_orch.errors import ConfigError
from bec_orch.io.aws.ec2 import MachineSpec
from bec_orch.orch.machines.setup import Kit, user_data
from bec_orch.settings.config import PREFIX, LoadedSettings, Origin, Settings, variable

# What a machine learns in another way, or what differs there.
_OWN = frozenset(
    {
        "home",
        "prices_file",
        "imds_url",
        "threads",
        "memory_budget_mib",
        "sql_user",
        "sql_password",
        "sql_password_file",
        "sql_password_secret",
        "log_format",
        "failpoint",
    }
)


def machine_spec(loaded: LoadedSettings, job: str) -> MachineSpec:
    """Return what each new machine of a job is.

    Raises:
        ConfigError: a setting for it is missing, or machines could not work with the others (E_SCALE_SETTINGS).
    """
    settings = loaded.settings
    missing = missing_settings(settings)
    if missing:
        raise ConfigError(
            f"{missing[0]} is not set, and new machines need it.",
            code="E_SCALE_SETTINGS",
            hint="docs/operating.md says where it comes from.",
        )
    kit = Kit((settings.ec2_kit_url or "").rstrip("/"), settings.ec2_kit_sha256 or "")
    return replace(network_spec(settings), user_data=user_data(job, kit, machine_environment(loaded)))


def machine_environment(loaded: LoadedSettings) -> dict[str, str]:
    """Return the environment that new machines work with: what is set here, less what is this machine's own.

    They connect to the database as a user of their own, never as the one that we are.

    Raises:
        ConfigError: they could not reach the database, its password or the destination with it, or could write what
            they run (E_SCALE_SETTINGS).
    """
    settings = loaded.settings
    _check(settings)
    own = {variable(field) for field in Settings.model_fields if field in _OWN or field.startswith("ec2_")}
    shared = {
        str(row["name"]): row["value"] or ""
        for row in loaded.shown()
        if row["origin"] != Origin.DEFAULT and str(row["name"]).startswith(PREFIX) and row["name"] not in own
    }
    secret = settings.ec2_sql_password_secret
    return {
        **shared,
        "BEC_SQL_USER": settings.ec2_sql_user,
        **({"BEC_SQL_PASSWORD_SECRET": secret} if secret else {}),
    }


def _check(settings: Settings) -> None:
    if settings.sql_host is None:
        raise _refused("the database is the embedded one of this machine", "Set BEC_SQL_HOST and its companions.")
    if not settings.dest_url.startswith("s3://"):
        raise _refused(f"artefacts go to {settings.dest_url}", "Set BEC_DEST_S3_BUCKET.")
    if settings.has_password and not settings.ec2_sql_password_secret:
        raise _refused(
            f"the password of their database user {settings.ec2_sql_user} is not given",
            "Put it into AWS Secrets Manager, and name the secret with BEC_EC2_SQL_PASSWORD_SECRET.",
        )
    if settings.sql_user == settings.ec2_sql_user:
        raise _refused(
            f"they would connect to the database as {settings.sql_user}, as you do",
            "Make a user of their own with deploy/worker-grants.sql, and name it with BEC_EC2_SQL_USER.",
        )
    if urlsplit(settings.ec2_kit_url or "").netloc == urlsplit(settings.dest_url).netloc:
        raise _refused(
            "the kit, which they run as root, lies in the bucket that they write artefacts to",
            "Upload it into a bucket of its own: `deploy/upload-kit s3://BUCKET/FOLDER`.",
        )


def _refused(why: str, hint: str) -> ConfigError:
    return ConfigError(f"Machines cannot work with these settings: {why}.", code="E_SCALE_SETTINGS", hint=hint)
