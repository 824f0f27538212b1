"""The user data of a new machine: it writes the job's settings, fetches the kit, checks its digests, and runs it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bec_orch.errors import ConfigError

# EC2 takes no more.
_LONGEST = 16_384
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_SECRET = re.compile(r"(PASSWORD|ACCESS_KEY|TOKEN)$")
_KIT_URL = re.compile(r"s3://[a-z0-9.-]+(/[A-Za-z0-9_.-]+)+")

# deploy/cloudformation.yaml has the same script. What it says goes into the log group, too: nothing else runs yet that
# would bring it there. AWS's programs get no input, so that none takes the list that is being read.
_SETUP = """\
#!/bin/bash
install -d -m 755 /etc/bec /opt/bec/kit
install -m 600 /dev/stdin '/etc/bec/{job}.env' <<'END_OF_SETTINGS'
{settings}END_OF_SETTINGS
kit='{kit_url}'
refuse() {{
    echo "bec: $1"
    stream=$(cat /var/lib/cloud/data/instance-id)/setup
    aws logs create-log-stream --log-group-name '/bec/{job}' --log-stream-name "$stream" </dev/null
    aws logs put-log-events --log-group-name '/bec/{job}' --log-stream-name "$stream" \\
        --log-events "[{{\\"timestamp\\": $(date +%s000), \\"message\\": \\"bec: $1\\"}}]" </dev/null
    shutdown -h +10 'the worker could not be installed'
    exit 1
}}
fetch() {{
    aws s3 cp --only-show-errors "$kit/$1" "$1" </dev/null || refuse "$1 could not be fetched from $kit"
}}
cd /opt/bec/kit || refuse 'there is no room for the kit'
fetch SHA256SUMS
echo '{kit_sha256}  SHA256SUMS' | sha256sum --check --status ||
    refuse "refused: $kit is not the kit that was named, its SHA256SUMS has another digest"
while read -r _ file; do fetch "$file"; done <SHA256SUMS
sha256sum --check --strict --quiet SHA256SUMS ||
    refuse "refused: files of $kit were changed, their digests are not those of its SHA256SUMS"
bash user-data.sh '{job}' || refuse 'the worker could not be installed'
"""


@dataclass(frozen=True, slots=True)
class Kit:
    """What a new machine installs.

    Args:
        url: `s3://` URL of the folder that `deploy/upload-kit` filled.
        sha256: digest of the list of digests in there.
    """

    url: str
    sha256: str


def user_data(job: str, kit: Kit, environment: Mapping[str, str]) -> str:
    """Return the script that makes a worker of a job out of a fresh machine.

    Args:
        job: the job.
        kit: what the machine installs.
        environment: the worker's settings, `BEC_...`. They are readable by whoever may look at the launch template, so
            secrets are refused.

    Raises:
        ConfigError: a secret is among the settings (E_SETUP_SECRET), or they are too long or of two lines, or the kit's
            URL is not one (E_SETUP).
    """
    if not _KIT_URL.fullmatch(kit.url):
        raise ConfigError(f"The kit's URL {kit.url!a} is not s3://BUCKET/FOLDER.", code="E_SETUP")
    for name, value in environment.items():
        _check(name, value)
    settings = "".join(f"{name}={_quoted(value)}\n" for name, value in environment.items())
    script = _SETUP.format(job=job, settings=settings, kit_url=kit.url, kit_sha256=kit.sha256)
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
