"""Which rights an operator lacks for machines and metrics, found without doing anything.

EC2 has dry runs. Auto Scaling has none: it is asked to change a group whose name no job can have, and finds none. What
would have to name a real machine or template to be asked for (removing them) is not asked for.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from bec_orch.io.aws.clients import AwsFault, AwsFaultKind, AwsOptions, aws_client, fault_of
from bec_orch.io.aws.cloudwatch import OLDEST_MESSAGE, newest_value
from bec_orch.io.aws.ec2 import BY_US, MANAGED_TAG, MachineSpec
from bec_orch.io.aws.ec2_errors import translated

# The names of jobs hold neither capitals nor dots.
_NOBODY = "bec-NO.GROUP"
_TYPE = "t3.micro"
_DRY_RUN = "DryRunOperation"
_LASTING = frozenset({AwsFaultKind.AWAY, AwsFaultKind.CREDENTIALS})

Call = Callable[[], Any]


def missing_operator_rights(options: AwsOptions) -> tuple[str, ...]:
    """Return the IAM actions that `bec scale` and `bec queue stats` need and that we may not take.

    Raises:
        BecError: AWS is away, or there are no valid credentials.
    """
    calls: dict[str, tuple[Call, ...]] = {
        "autoscaling": _group_calls(aws_client("autoscaling", options)),
        "ec2": _template_calls(aws_client("ec2", options)),
        "cloudwatch": (partial(newest_value, aws_client("cloudwatch", options), "AWS/SQS", OLDEST_MESSAGE, {}),),
    }
    faults = (_fault_of(service, call) for service, asked in calls.items() for call in asked)
    return tuple(fault.action for fault in faults if fault and fault.kind is AwsFaultKind.DENIED)


def why_no_machine(options: AwsOptions, spec: MachineSpec) -> str:
    """Return why AWS would not start a machine like this; empty when it would.

    Raises:
        BecError: AWS is away, or there are no valid credentials.
    """
    start = partial(
        aws_client("ec2", options).run_instances,
        DryRun=True,
        MinCount=1,
        MaxCount=1,
        InstanceType=_TYPE,
        ImageId=spec.image,
        SubnetId=spec.subnets[0],
        SecurityGroupIds=list(spec.security_groups),
        IamInstanceProfile={"Name": spec.instance_profile},
    )
    fault = _fault_of("ec2", start)
    if fault is None or fault.code == _DRY_RUN:
        return ""
    return f"not allowed: {fault.action}" if fault.kind is AwsFaultKind.DENIED else fault.message


def _group_calls(client: Any) -> tuple[Call, ...]:
    named = {"AutoScalingGroupName": _NOBODY}
    hook = {"LifecycleHookName": _NOBODY, "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
    tracking = {
        "TargetValue": 1.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
    }
    policy = {"PolicyName": _NOBODY, "PolicyType": "TargetTrackingScaling", "TargetTrackingConfiguration": tracking}
    # From 1 to 0 machines of a template that is not there: refused even where the right is given.
    group = {"LaunchTemplate": {"LaunchTemplateName": _NOBODY}, "MinSize": 1, "MaxSize": 0}
    return (
        client.describe_auto_scaling_groups,
        partial(client.describe_policies, **named),
        partial(client.describe_lifecycle_hooks, **named),
        partial(client.describe_scaling_activities, **named),
        partial(client.create_auto_scaling_group, **named, **group),
        partial(client.update_auto_scaling_group, **named, MaxSize=0),
        partial(client.put_lifecycle_hook, **named, **hook),
        partial(client.enable_metrics_collection, **named, Granularity="1Minute"),
        partial(client.put_scaling_policy, **named, **policy),
    )


def _template_calls(client: Any) -> tuple[Call, ...]:
    tags = [{"ResourceType": "launch-template", "Tags": [{"Key": MANAGED_TAG, "Value": BY_US}]}]
    return (
        partial(client.describe_instances, DryRun=True),
        partial(client.describe_launch_templates, DryRun=True),
        partial(client.describe_launch_template_versions, DryRun=True, LaunchTemplateName=_NOBODY),
        partial(
            client.create_launch_template,
            DryRun=True,
            LaunchTemplateName=_NOBODY,
            LaunchTemplateData={"InstanceType": _TYPE},
            TagSpecifications=tags,
        ),
    )


def _fault_of(service: str, call: Call) -> AwsFault | None:
    fault = fault_of(service, call)
    if fault and fault.kind in _LASTING:
        raise translated(fault, "show which rights we have") from fault
    return fault
