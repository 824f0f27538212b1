"""Secrets that others keep for us: AWS Secrets Manager, and files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bec_orch.core.wording import clause, said
from bec_orch.errors import BecError, ConfigError, RetryableError
from bec_orch.io.aws.clients import AwsFault, AwsFaultKind, AwsOptions, aws_client, aws_faults

# The key under which Amazon RDS and the console keep a database's password.
_KEY = "password"


def password_of_secret(name: str, options: AwsOptions) -> str:
    """Return the password that a secret of AWS Secrets Manager holds: its text, or `password` of its JSON object.

    Args:
        name: its name or ARN.
        options: where the service is.

    Raises:
        ConfigError: there is no such secret or no password in it (E_SECRET), no right to it (E_SECRET_DENIED), or
            there are no valid credentials (E_SECRET_CREDENTIALS).
        RetryableError: the service is away (E_SECRET_AWAY).
    """
    client = aws_client("secretsmanager", options)
    with secret_errors(name):
        answer = client.get_secret_value(SecretId=name)
    password = _password(str(answer.get("SecretString", "")))
    if not password:
        raise ConfigError(
            f"The secret {name} holds no password.",
            code="E_SECRET",
            hint=f'Its text must be the password itself, or a JSON object with "{_KEY}".',
        )
    return password


@contextmanager
def secret_errors(name: str) -> Iterator[None]:
    """Raise what the SDK raises in the block, where a secret is asked for, in our words; its cause is kept."""
    try:
        with aws_faults("secretsmanager"):
            yield
    except AwsFault as fault:
        raise _translated(name, fault) from fault.__cause__


def password_of_file(path: Path) -> str:
    """Return the first line of a file.

    Raises:
        ConfigError: it cannot be read, or is empty (E_SECRET).
    """
    try:
        lines = path.expanduser().read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The password file {path} cannot be read: {said(error)}.", code="E_SECRET") from error
    if not lines or not lines[0]:
        raise ConfigError(f"The password file {path} is empty.", code="E_SECRET")
    return lines[0]


def _password(text: str) -> str:
    try:
        content: Any = json.loads(text)
    except ValueError:
        return text
    # A password of digits is JSON, too: only an object is taken apart.
    if not isinstance(content, dict):
        return text
    password = content.get(_KEY)
    return password if isinstance(password, str) else ""


def _translated(name: str, fault: AwsFault) -> BecError:
    sentence = f"AWS Secrets Manager did not give the secret {name}: {clause(fault.message)}."
    match fault.kind:
        case AwsFaultKind.BUSY | AwsFaultKind.AWAY:
            return RetryableError(sentence, code="E_SECRET_AWAY", hint="Check BEC_REGION and the network.")
        case AwsFaultKind.DENIED:
            hint = f"Allow {fault.action} on it to this role or user."
            return ConfigError(sentence, code="E_SECRET_DENIED", hint=hint)
        case AwsFaultKind.CREDENTIALS:
            hint = "Log in, or give this machine an instance role."
            return ConfigError(sentence, code="E_SECRET_CREDENTIALS", hint=hint)
        case AwsFaultKind.REFUSED:
            return ConfigError(sentence, code="E_SECRET", hint="Check BEC_SQL_PASSWORD_SECRET and BEC_REGION.")
