"""Credentials for S3, from where the AWS SDK finds them: environment, profiles and logins, the role of the machine.

obstore's own search knows no profiles, and takes a machine without any for one whose metadata service is away.
"""

import datetime as dt
from typing import TYPE_CHECKING

from bec_orch.errors import StorageError
from bec_orch.io.aws.clients import AwsFault, aws_faults, aws_session

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3CredentialProvider

# The SDK renews what it holds ten minutes before its end: what it gave is good for so long without asking again.
_GOOD_FOR = dt.timedelta(minutes=5)


def sdk_credentials() -> "S3CredentialProvider":
    """Return what obstore is to ask for credentials.

    Raises:
        ConfigError: the SDK is not installed (E_EXTRA_MISSING), or AWS_PROFILE names no profile (E_AWS_CREDENTIALS).
        StorageError: there are no credentials (E_STORAGE_CREDENTIALS).
    """
    session = aws_session(None)
    try:
        with aws_faults("s3"):
            found = session.get_credentials()
    except AwsFault as fault:
        raise _none(fault.message) from fault.__cause__
    if found is None:
        raise _none("the AWS SDK finds none")

    def give() -> "S3Credential":
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": dt.datetime.now(dt.UTC) + _GOOD_FOR,
        }

    return give


def _none(why: str) -> StorageError:
    return StorageError(
        f"There are no credentials for S3: {why}.",
        code="E_STORAGE_CREDENTIALS",
        hint="Log in (`aws sso login`), give this machine an instance role, or set AWS_ACCESS_KEY_ID and its like.",
    )
