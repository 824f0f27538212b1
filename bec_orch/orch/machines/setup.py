"""The script of a new machine's first start: it writes the job's settings, and fetches the rest from the kit."""

import re
from collections.abc import Mapping

from bec_orch.errors import ConfigError

# EC2 takes no more.
_LONGEST = 16_384
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_SECRET = re.compile(r"(PASSWORD|ACCESS_KEY|TOKEN)$")


def user_data(job: str, kit_url: str, environment: Mapping[str, str]) -> str:
    """Give the script that makes a worker of a job out of a fresh machine.

    Args:
        job: the job.
        kit_url: `s3://` URL of the folder that `deploy/upload-kit` filled.
        environment: the worker's settings, `BEC_...`. They are readable by whoever may look at the launch template, so
            secrets are refused.

    Raises:
        ConfigError: a secret is among the settings (E_SETUP_SECRET), or they are too long or of two lines (E_SETUP).
    """
    for name, value in environment.items():
        _check(name, value)
    settings = "".join(f"{name}={_quoted(value)}\n" for name, value in environment.items())
    script = (
        "#!/bin/bash\n"
        "install -d -m 755 /etc/bec\n"
        f"cat > '/etc/bec/{job}.env' <<'END_OF_SETTINGS'\n"
        f"{settings}"
        "END_OF_SETTINGS\n"
        f"aws s3 cp --only-show-errors '{kit_url}/user-data.sh' /run/bec-user-data.sh &&\n"
        f"bash /run/bec-user-data.sh '{job}' '{kit_url}' || shutdown -h +10 'the worker could not be installed'\n"
    )
    if len(script.encode()) > _LONGEST:
        raise ConfigError(f"The settings of the job {job} are too long for a machine's user data.", code="E_SETUP")
    return script


def _check(name: str, value: str) -> None:
    if _SECRET.search(name):
        raise ConfigError(
            f"{name} is a secret, and would be readable in the launch template.",
            code="E_SETUP_SECRET",
            hint="Put it into AWS Secrets Manager, and name it with BEC_SQL_PASSWORD_SECRET.",
        )
    if not value.isprintable():
        raise ConfigError(f"{name} has a line break or a control character in it.", code="E_SETUP")


def _quoted(value: str) -> str:
    """Quote a value as systemd's EnvironmentFile takes it."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = re.sub(r'([\\"`$])', r"\\\1", value)
    return f'"{escaped}"'
