"""Passwords of databases, read from where the settings or a command line say; logs hide them from then on."""

from pathlib import Path

from bec_orch.cli.composition.stores import aws_options
from bec_orch.io.aws.secrets import password_of_file, password_of_secret
from bec_orch.settings.config import Settings
from bec_orch.settings.logging_setup import hide


def own_password(settings: Settings) -> str | None:
    """Return the password of the database that the settings name; None where it takes none.

    Raises:
        ConfigError, RetryableError: it cannot be read.
    """
    if settings.sql_password:
        return settings.sql_password.get_secret_value()
    return read_password(settings, settings.sql_password_file, settings.sql_password_secret)


def read_password(settings: Settings, file: Path | None, secret: str | None) -> str | None:
    """Read a password from a file, or from a secret in AWS Secrets Manager; None where neither is named.

    Raises:
        ConfigError, RetryableError: it cannot be read.
    """
    if file:
        password = password_of_file(file)
    elif secret:
        password = password_of_secret(secret, aws_options(settings))
    else:
        return None
    hide(password)
    return password
