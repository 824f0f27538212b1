"""A job's launch template and Auto Scaling group: what AWS is asked for, one call each, in our words."""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bec_orch.io.aws.clients import AwsOptions, aws_client
from bec_orch.io.aws.ec2_errors import ec2_errors

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import (
        AutoScalingGroupTypeDef,
        InstanceTypeDef,
        MixedInstancesPolicyTypeDef,
        TargetTrackingConfigurationTypeDef,
    )
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import RequestLaunchTemplateDataTypeDef

MANAGED_TAG = "bec:managed"
JOB_TAG = "bec:job"
BY_US = "bec-scale"
BY_STACK = "bec-stack"
_STACK_TAG = "aws:cloudformation:stack-name"

DRAIN_HOOK = "bec-drain"
_POLICY = "bec-backlog"
_METRIC = "GroupInServiceInstances"
_BOOT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What each machine of a job is: image, network, role, disk in GiB, and the script that it runs at its first start.

    `image` is an AMI, or `resolve:ssm:` and the name of a parameter that names one.
    """

    image: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    instance_profile: str
    user_data: str
    disk_gib: int = 100


@dataclass(frozen=True, slots=True)
class Mix:
    """Which machines a group may take: their types, the preferred first, and whether they are spot machines."""

    types: tuple[str, ...]
    spot: bool


@dataclass(frozen=True, slots=True)
class GroupMachine:
    """One machine of a group. `state` is its lifecycle state in the group, such as `InService`."""

    instance_id: str
    instance_type: str
    spot: bool
    zone: str
    state: str
    launched_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Group:
    """An Auto Scaling group as it stands.

    `managed_by` is the value of the tag `bec:managed`, empty without one; `stack` the CloudFormation stack that the
    group belongs to; `policy` how it chooses machines, as AWS describes it; `drain_seconds` how long its hook keeps a
    machine that has to go, None without a hook; `target` the backlog per machine that it scales itself by.
    """

    name: str
    managed_by: str
    stack: str | None
    minimum: int
    maximum: int
    desired: int
    mix: Mix
    policy: Mapping[str, Any]
    drain_seconds: int | None
    target: float | None
    machines: tuple[GroupMachine, ...]


class Ec2Fleet:
    """Makes, changes, reads and removes what the machines of one job need. Each call raises a `BecError` if refused."""

    def __init__(self, job: str, options: AwsOptions) -> None:
        self.job = job
        self.name = f"bec-{job}"
        self._ec2: EC2Client = aws_client("ec2", options)
        self._groups: AutoScalingClient = aws_client("autoscaling", options)

    def group(self) -> Group | None:
        """Read the job's group; None when there is none."""
        with ec2_errors("autoscaling", f"describe the group {self.name}"):
            found = self._groups.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"]
        return self._group(found[0]) if found else None

    def template_digest(self) -> str | None:
        """Return the digest that the newest version of the launch template carries; None when there is no template."""
        names = [{"Name": "launch-template-name", "Values": [self.name]}]
        with ec2_errors("ec2", f"describe the launch template {self.name}"):
            if not self._ec2.describe_launch_templates(Filters=names)["LaunchTemplates"]:  # type: ignore[arg-type]
                return None
            versions = self._ec2.describe_launch_template_versions(LaunchTemplateName=self.name, Versions=["$Latest"])
        return versions["LaunchTemplateVersions"][0].get("VersionDescription", "")

    def create_template(self, spec: MachineSpec) -> None:
        """Make the launch template."""
        tags = [{"ResourceType": "launch-template", "Tags": self._tags()}]
        with ec2_errors("ec2", f"make the launch template {self.name}"):
            self._ec2.create_launch_template(
                LaunchTemplateName=self.name,
                VersionDescription=digest(spec),
                LaunchTemplateData=self._template_data(spec),
                TagSpecifications=tags,  # type: ignore[arg-type]
            )

    def renew_template(self, spec: MachineSpec) -> None:
        """Make a new version of the launch template: what is started from now on is of it."""
        with ec2_errors("ec2", f"make a new version of the launch template {self.name}"):
            self._ec2.create_launch_template_version(
                LaunchTemplateName=self.name,
                VersionDescription=digest(spec),
                LaunchTemplateData=self._template_data(spec),
            )

    def delete_template(self) -> None:
        """Remove the launch template with all its versions."""
        with ec2_errors("ec2", f"remove the launch template {self.name}"):
            self._ec2.delete_launch_template(LaunchTemplateName=self.name)

    def create_group(self, subnets: tuple[str, ...], mix: Mix) -> None:
        """Make the group, of no machines yet."""
        tags: Any = [{**tag, "PropagateAtLaunch": True} for tag in self._tags()]
        with ec2_errors("autoscaling", f"make the group {self.name}"):
            self._groups.create_auto_scaling_group(
                AutoScalingGroupName=self.name,
                MixedInstancesPolicy=self._policy(mix),
                MinSize=0,
                MaxSize=0,
                DesiredCapacity=0,
                VPCZoneIdentifier=",".join(subnets),
                CapacityRebalance=mix.spot,
                Tags=tags,
            )

    def keep_going_machines(self, seconds: int) -> None:
        """Let the group keep a machine that has to go for this long, so that it can give its task back."""
        with ec2_errors("autoscaling", f"set the hook {DRAIN_HOOK} of the group {self.name}"):
            self._groups.put_lifecycle_hook(
                AutoScalingGroupName=self.name,
                LifecycleHookName=DRAIN_HOOK,
                LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
                HeartbeatTimeout=seconds,
                DefaultResult="CONTINUE",
            )

    def change_mix(self, mix: Mix) -> None:
        """Let the group take other machines from now on; those that run are kept."""
        with ec2_errors("autoscaling", f"change the machine types of the group {self.name}"):
            self._groups.update_auto_scaling_group(
                AutoScalingGroupName=self.name, MixedInstancesPolicy=self._policy(mix), CapacityRebalance=mix.spot
            )

    def resize(self, minimum: int, maximum: int, desired: int) -> None:
        """Set the group's size and its bounds. Machines that are too many are drained and removed."""
        group = self.group()
        with ec2_errors("autoscaling", f"change the size of the group {self.name}"):
            self._groups.update_auto_scaling_group(
                AutoScalingGroupName=self.name,
                MinSize=minimum,
                MaxSize=maximum,
                DesiredCapacity=desired,
                # Said again as it is: without it, it is unchanged on AWS, but gone on servers that only play AWS.
                MixedInstancesPolicy=_as_policy(group.policy if group else {}),
            )

    def remove_machine(self, instance_id: str) -> None:
        """Drain and remove one machine, and make its group smaller by one."""
        with ec2_errors("autoscaling", f"remove the machine {instance_id}"):
            self._groups.terminate_instance_in_auto_scaling_group(
                InstanceId=instance_id, ShouldDecrementDesiredCapacity=True
            )

    def follow_backlog(self, queue: str, backlog_per_worker: float) -> None:
        """Let the group's size follow its queue: this many waiting messages for each machine."""
        with ec2_errors("autoscaling", f"let the group {self.name} follow its queue"):
            self._groups.enable_metrics_collection(
                AutoScalingGroupName=self.name, Granularity="1Minute", Metrics=[_METRIC]
            )
            self._groups.put_scaling_policy(
                AutoScalingGroupName=self.name,
                PolicyName=_POLICY,
                PolicyType="TargetTrackingScaling",
                EstimatedInstanceWarmup=_BOOT_SECONDS,
                TargetTrackingConfiguration=self._tracking(queue, backlog_per_worker),
            )

    def forget_backlog(self) -> None:
        """Let the group's size follow nothing any more."""
        with ec2_errors("autoscaling", f"remove the scaling policy of the group {self.name}"):
            self._groups.delete_policy(AutoScalingGroupName=self.name, PolicyName=_POLICY)

    def delete_group(self) -> None:
        """Remove the group, which has no machines any more."""
        with ec2_errors("autoscaling", f"remove the group {self.name}"):
            self._groups.delete_auto_scaling_group(AutoScalingGroupName=self.name)

    def failed_launches(self, limit: int = 5) -> tuple[str, ...]:
        """Return why AWS could not start machines lately, the newest first."""
        with ec2_errors("autoscaling", f"list what the group {self.name} did"):
            found = self._groups.describe_scaling_activities(AutoScalingGroupName=self.name, MaxRecords=20)
        failed = [one for one in found["Activities"] if one["StatusCode"] == "Failed"]
        return tuple(dict.fromkeys(one.get("StatusMessage", one["Cause"]) for one in failed))[:limit]

    def _group(self, found: "AutoScalingGroupTypeDef") -> Group:
        tags = {tag["Key"]: tag.get("Value", "") for tag in found.get("Tags", [])}
        managed_by = tags.get(MANAGED_TAG, "")
        policy = found.get("MixedInstancesPolicy", {})
        distribution = policy.get("InstancesDistribution", {})
        overrides = policy.get("LaunchTemplate", {}).get("Overrides", [])
        types = tuple(one["InstanceType"] for one in overrides if "InstanceType" in one)
        return Group(
            name=found["AutoScalingGroupName"],
            managed_by=managed_by,
            stack=tags.get(_STACK_TAG, self.name) if managed_by == BY_STACK else None,
            minimum=found["MinSize"],
            maximum=found["MaxSize"],
            desired=found["DesiredCapacity"],
            mix=Mix(types, spot=distribution.get("OnDemandPercentageAboveBaseCapacity", 100) == 0),
            policy=policy,
            drain_seconds=self._drain_seconds(),
            target=self._target(),
            machines=self._machines(found.get("Instances", [])),
        )

    def _drain_seconds(self) -> int | None:
        with ec2_errors("autoscaling", f"describe the hooks of the group {self.name}"):
            found = self._groups.describe_lifecycle_hooks(
                AutoScalingGroupName=self.name, LifecycleHookNames=[DRAIN_HOOK]
            )
        return found["LifecycleHooks"][0].get("HeartbeatTimeout") if found["LifecycleHooks"] else None

    def _target(self) -> float | None:
        with ec2_errors("autoscaling", f"describe the scaling policy of the group {self.name}"):
            found = self._groups.describe_policies(AutoScalingGroupName=self.name, PolicyNames=[_POLICY])
        policies = found["ScalingPolicies"]
        return policies[0]["TargetTrackingConfiguration"]["TargetValue"] if policies else None

    def _machines(self, members: "list[InstanceTypeDef]") -> tuple[GroupMachine, ...]:
        if not members:
            return ()
        with ec2_errors("ec2", f"describe the machines of the group {self.name}"):
            # By filter, not by id: a machine that is gone by now is left out, where an unknown id is an error.
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": f"tag:{JOB_TAG}", "Values": [self.job]}]
            )
            known = {one["InstanceId"]: one for page in pages for r in page["Reservations"] for one in r["Instances"]}
        return tuple(_machine(member, known.get(member["InstanceId"], {})) for member in members)

    def _tags(self) -> list[dict[str, str]]:
        tags = {MANAGED_TAG: BY_US, JOB_TAG: self.job, "Name": self.name}
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def _template_data(self, spec: MachineSpec) -> "RequestLaunchTemplateDataTypeDef":
        tags: Any = [{"ResourceType": kind, "Tags": self._tags()} for kind in ("instance", "volume")]
        disk = {"VolumeType": "gp3", "VolumeSize": spec.disk_gib, "Encrypted": True, "DeleteOnTermination": True}
        return {
            "ImageId": spec.image,
            "IamInstanceProfile": {"Name": spec.instance_profile},
            "SecurityGroupIds": list(spec.security_groups),
            "UserData": base64.b64encode(spec.user_data.encode()).decode(),
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": disk}],  # type: ignore[typeddict-item]
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1},
            # The host's name is its instance id: so the workers table says on which machine a worker is.
            "PrivateDnsNameOptions": {"HostnameType": "resource-name"},
            # A machine whose worker ended for good switches itself off, and is not paid for any longer.
            "InstanceInitiatedShutdownBehavior": "terminate",
            "TagSpecifications": tags,
        }

    def _policy(self, mix: Mix) -> "MixedInstancesPolicyTypeDef":
        return {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": self.name, "Version": "$Latest"},
                "Overrides": [{"InstanceType": name} for name in mix.types],
            },
            "InstancesDistribution": {
                "OnDemandBaseCapacity": 0,
                "OnDemandPercentageAboveBaseCapacity": 0 if mix.spot else 100,
                "OnDemandAllocationStrategy": "prioritized",
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
        }

    def _tracking(self, queue: str, backlog_per_worker: float) -> "TargetTrackingConfigurationTypeDef":
        visible = _stat("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue)
        machines = _stat("AWS/AutoScaling", _METRIC, "AutoScalingGroupName", self.name)
        return {
            "TargetValue": backlog_per_worker,
            "CustomizedMetricSpecification": {
                "Metrics": [
                    {"Id": "visible", "MetricStat": visible, "ReturnData": False},
                    {"Id": "machines", "MetricStat": machines, "ReturnData": False},
                    # While all machines are being replaced there is none in service: nothing is divided by 0.
                    {"Id": "backlog", "Expression": "visible / IF(machines > 0, machines, 1)", "ReturnData": True},
                ]
            },
        }


def digest(spec: MachineSpec) -> str:
    """Name a machine specification by its content, so that a launch template says what it was made from."""
    # The group, not the template, holds the subnets.
    parts = (spec.image, spec.security_groups, spec.instance_profile, spec.user_data, spec.disk_gib)
    return f"sha256:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def _stat(namespace: str, metric: str, dimension: str, value: str) -> Any:
    named = {"Namespace": namespace, "MetricName": metric, "Dimensions": [{"Name": dimension, "Value": value}]}
    return {"Metric": named, "Stat": "Average"}


def _as_policy(found: Mapping[str, Any]) -> "MixedInstancesPolicyTypeDef":
    """Return a policy as it may be sent: by the template's name alone, where AWS returns both id and name."""
    template = found.get("LaunchTemplate", {})
    named = {**template.get("LaunchTemplateSpecification", {})}
    named.pop("LaunchTemplateId", None)
    return cast(
        "MixedInstancesPolicyTypeDef",
        {**found, "LaunchTemplate": {**template, "LaunchTemplateSpecification": named}},
    )


def _machine(member: "InstanceTypeDef", known: Mapping[str, Any]) -> GroupMachine:
    return GroupMachine(
        instance_id=member["InstanceId"],
        instance_type=member.get("InstanceType") or known.get("InstanceType", ""),
        spot=known.get("InstanceLifecycle") == "spot",
        zone=member["AvailabilityZone"],
        state=member["LifecycleState"],
        launched_at=known.get("LaunchTime"),
    )
