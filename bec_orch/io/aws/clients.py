"""Clients of AWS's own SDK, made in one place, and what its errors mean, by class and by error code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bec_orch.core.extras import optional_packages
from bec_orch.core.wording import clause, said
from bec_orch.errors import ConfigError, extra_hint

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})
_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_BUSY = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_SERVER_FAULT = 500


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """The region, and where the service is when it is not AWS. Credentials come from where the SDKs look for them."""

    region: str | None = None
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits for a connection and for an answer, in seconds, and how often it tries."""

    connect: float = 5.0
    answer: float = 20.0
    attempts: int = 4
    connections: int = 10


def aws_client(service: str, options: AwsOptions, patience: Patience | None = None) -> Any:
    """Make a client of a service. It may be used by all threads.

    Raises:
        ConfigError: the SDK is not installed (E_EXTRA_MISSING), no region is known (E_AWS_REGION), or AWS_PROFILE names
            no profile (E_AWS_CREDENTIALS).
    """
    session, config_type = aws_session(options.region), _sdk()[1]
    waits = patience or Patience()
    config = config_type(
        connect_timeout=waits.connect,
        read_timeout=waits.answer,
        retries={"mode": "standard", "total_max_attempts": waits.attempts},
        max_pool_connections=waits.connections,
    )
    if session.region_name is None:
        raise ConfigError(f"No AWS region is set for {service}.", code="E_AWS_REGION", hint="Set BEC_REGION.")
    return session.client(service, endpoint_url=options.endpoint_url, config=config)


def aws_session(region: str | None) -> Any:
    """Make a session of the SDK. Its default one must not be shared by threads that make clients; one of our own is.

    Raises:
        ConfigError: the SDK is not installed (E_EXTRA_MISSING), or AWS_PROFILE names no profile (E_AWS_CREDENTIALS).
    """
    boto3, _ = _sdk()
    try:
        with aws_faults("sts"):
            return boto3.session.Session(region_name=region)
    except AwsFault as fault:
        hint = "Check AWS_PROFILE and the files of the AWS tools."
        raise ConfigError(
            f"The AWS SDK cannot begin: {clause(fault.message)}.", code="E_AWS_CREDENTIALS", hint=hint
        ) from fault.__cause__


def _sdk() -> tuple[Any, Any]:
    with optional_packages("Working with AWS", extra_hint("aws")):
        import boto3  # noqa: PLC0415  (an extra: only who uses AWS's services needs it)
        from botocore.config import Config  # noqa: PLC0415
    return boto3, Config


class AwsFaultKind(StrEnum):
    """What a failed call comes down to."""

    DENIED = "denied"
    CREDENTIALS = "credentials"
    BUSY = "busy"
    AWAY = "away"
    REFUSED = "refused"


class AwsFault(Exception):
    """A failed call: its kind, the service's error code, its sentence, and the IAM action that was used.

    Code and action are empty when no answer came.
    """

    def __init__(self, kind: AwsFaultKind, code: str, message: str, action: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.action = action


@contextmanager
def aws_faults(service: str) -> Iterator[None]:
    """Raise the SDK's errors of the block as `AwsFault`, with the cause kept.

    Args:
        service: the prefix of the service's IAM actions, such as `sqs`.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (who has a client has the SDK)
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        raise _answered(error, service) from error
    except ResponseParserError as error:
        # The page of a server on the way, not an answer of AWS.
        raise AwsFault(AwsFaultKind.BUSY, "", "the answer makes no sense") from error
    except BotoCoreError as error:
        raise _unanswered(error) from error


def fault_of(service: str, call: Callable[[], Any]) -> AwsFault | None:
    """Make a call, and return its fault instead of raising it; None when it went well."""
    try:
        with aws_faults(service):
            call()
    except AwsFault as fault:
        return fault
    return None


def _answered(error: Any, service: str) -> AwsFault:
    # Some services prefix the code of their older protocol: `AWS.SimpleQueueService.NonExistentQueue`.
    code = str(error.response.get("Error", {}).get("Code", "")).rpartition(".")[2]
    message = clause(str(error.response.get("Error", {}).get("Message", "")))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    action = f"{service}:{error.operation_name.removesuffix('Batch')}"
    return AwsFault(_kind_of(code, status), code, message or code, action)


def _kind_of(code: str, status: int) -> AwsFaultKind:
    if code in _DENIED:
        return AwsFaultKind.DENIED
    if code in _CREDENTIALS:
        return AwsFaultKind.CREDENTIALS
    if code in _BUSY or status >= _SERVER_FAULT:
        return AwsFaultKind.BUSY
    return AwsFaultKind.REFUSED


def _unanswered(error: Exception) -> AwsFault:
    from botocore import exceptions  # noqa: PLC0415

    no_credentials = (
        exceptions.CredentialRetrievalError,
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.ProfileNotFound,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
    )
    kind = AwsFaultKind.REFUSED
    if isinstance(error, no_credentials):
        kind = AwsFaultKind.CREDENTIALS
    elif isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        kind = AwsFaultKind.AWAY
    return AwsFault(kind, "", said(error))
