"""Who we are to AWS: the first thing to know when something is not allowed."""

from bec_orch.core.wording import clause
from bec_orch.errors import BecError, ConfigError, RetryableError
from bec_orch.io.aws.clients import AwsFault, AwsFaultKind, AwsOptions, aws_client, aws_faults


def identity(options: AwsOptions) -> str:
    """Return the ARN of the role or user that the credentials belong to. Everybody may ask this.

    Raises:
        ConfigError: there are no valid credentials (E_AWS_CREDENTIALS).
        RetryableError: AWS is away (E_AWS_AWAY).
    """
    client = aws_client("sts", options)
    try:
        with aws_faults("sts"):
            return str(client.get_caller_identity()["Arn"])
    except AwsFault as fault:
        raise _translated(fault) from fault.__cause__


def _translated(fault: AwsFault) -> BecError:
    sentence = f"AWS did not say who we are: {clause(fault.message)}."
    if fault.kind in {AwsFaultKind.AWAY, AwsFaultKind.BUSY}:
        return RetryableError(sentence, code="E_AWS_AWAY", hint="Check BEC_REGION and the network.")
    hint = "Log in (`aws sso login`), give this machine an instance role, or check the machine's clock."
    return ConfigError(sentence, code="E_AWS_CREDENTIALS", hint=hint)
