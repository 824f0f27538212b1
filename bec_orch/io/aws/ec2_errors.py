"""What errors of EC2 and Auto Scaling mean for an operator, by error code."""

from collections.abc import Iterator
from contextlib import contextmanager

from bec_orch.core.wording import clause
from bec_orch.errors import BecError, ConfigError, RetryableError, UsageError
from bec_orch.io.aws.clients import AwsFault, AwsFaultKind, aws_faults

_QUOTA = frozenset({"InstanceLimitExceeded", "LimitExceeded", "MaxSpotInstanceCountExceeded", "VcpuLimitExceeded"})
_UNDERWAY = frozenset({"ResourceInUse", "ScalingActivityInProgress"})
_BUSY_HINT = "Nothing is lost: run the same command again."


@contextmanager
def ec2_errors(service: str, doing: str) -> Iterator[None]:
    """Raise what the SDK raises in the block in our words, its cause kept.

    Args:
        service: the prefix of the service's IAM actions: `ec2` or `autoscaling`.
        doing: what was tried, to follow "AWS did not".
    """
    try:
        with aws_faults(service):
            yield
    except AwsFault as fault:
        raise translated(fault, doing) from fault.__cause__


def translated(fault: AwsFault, doing: str) -> BecError:
    """Put a fault into our words; `doing` is what was tried, to follow "AWS did not"."""
    sentence = f"AWS did not {doing}: {clause(fault.message)}."
    match fault.kind:
        case AwsFaultKind.DENIED:
            hint = f"Allow {fault.action}: deploy/iam-operator.json is the policy that an operator needs."
            return ConfigError(sentence, code="E_AWS_DENIED", hint=hint)
        case AwsFaultKind.CREDENTIALS:
            hint = "Log in (`aws sso login`), or check AWS_PROFILE and the machine's clock."
            return ConfigError(sentence, code="E_AWS_CREDENTIALS", hint=hint)
        case AwsFaultKind.BUSY:
            return RetryableError(sentence, code="E_AWS_BUSY", hint=_BUSY_HINT)
        case AwsFaultKind.AWAY:
            return RetryableError(sentence, code="E_AWS_AWAY", hint="Check BEC_REGION and the network.")
        case AwsFaultKind.REFUSED:
            return _refused(fault, sentence)


def _refused(fault: AwsFault, sentence: str) -> BecError:
    if fault.code in _QUOTA:
        hint = "Ask for a higher quota (Service Quotas, Amazon EC2), or for fewer or other machines."
        return UsageError(sentence, code="E_AWS_QUOTA", hint=hint)
    if fault.code in _UNDERWAY:
        return RetryableError(sentence, code="E_AWS_BUSY", hint=_BUSY_HINT)
    hint = "Check the BEC_EC2_* settings: image, subnets, security groups and instance profile must be of BEC_REGION."
    return UsageError(sentence, code="E_AWS_REFUSED", hint=hint)
