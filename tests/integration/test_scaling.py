"""The machines of a job, against moto's EC2 and Auto Scaling: what is made, tagged, drained and removed."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bec_orch.core.records.overview import WorkerCondition, WorkerTask, WorkerView
from bec_orch.errors import BecError, ConfigError, RetryableError, UsageError
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.aws.ec2 import Ec2Fleet, MachineSpec, Mix
from bec_orch.orch.machines.plans import Plan, apply
from bec_orch.orch.machines.prices import Price, PriceTable
from bec_orch.orch.machines.scaling import FleetScaling
from bec_orch.orch.machines.setup import Kit, user_data
from tests.support.servers.aws import Aws

SPOT = Mix(("g6.xlarge", "g5.xlarge"), spot=True)
ON_DEMAND = Mix(("c7i.2xlarge",), spot=False)
PRICES = PriceTable("USD", {"g6.xlarge": Price(0.8, 0.3), "g5.xlarge": Price(1.0, 0.4)})
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
# One of the images that moto has from its beginning.
IMAGE = "ami-03cf127a"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@cache
def client_of(aws: Aws, service: str) -> Any:
    return aws.client(service)


@dataclass
class Account:
    """An AWS account with one job, as the scaling and as the test itself see it."""

    aws: Aws
    job: str
    spec: MachineSpec
    scaling: FleetScaling
    waited: list[float]

    def client(self, service: str) -> Any:
        return client_of(self.aws, service)

    @property
    def name(self) -> str:
        return f"bec-{self.job}"

    def do(self, plan: Plan) -> list[str]:
        return list(apply(plan))

    def up(self, count: int, mix: Mix | None = SPOT) -> list[str]:
        return self.do(self.scaling.plan_up(count, mix, lambda: self.spec))

    def group(self) -> dict[str, Any] | None:
        client = self.client("autoscaling")
        found = client.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"]
        return found[0] if found else None

    def hooks(self) -> list[dict[str, Any]]:
        client = self.client("autoscaling")
        return list(client.describe_lifecycle_hooks(AutoScalingGroupName=self.name)["LifecycleHooks"])

    def policies(self) -> list[dict[str, Any]]:
        client = self.client("autoscaling")
        return list(client.describe_policies(AutoScalingGroupName=self.name)["ScalingPolicies"])

    def templates(self) -> list[dict[str, Any]]:
        client = self.client("ec2")
        found = client.describe_launch_templates()["LaunchTemplates"]
        return [one for one in found if one["LaunchTemplateName"] == self.name]

    def template_data(self) -> dict[str, Any]:
        client = self.client("ec2")
        found = client.describe_launch_template_versions(LaunchTemplateName=self.name, Versions=["$Latest"])
        data: dict[str, Any] = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        return data

    def running(self) -> list[dict[str, Any]]:
        wanted = [
            {"Name": "tag:bec:job", "Values": [self.job]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        found = self.client("ec2").describe_instances(Filters=wanted)["Reservations"]
        return [one for reservation in found for one in reservation["Instances"]]


@pytest.fixture
def account(aws: Aws) -> Account:
    job, waited = aws.fresh_name("ldv"), list[float]()
    ec2 = client_of(aws, "ec2")
    spec = MachineSpec(
        image=IMAGE,
        subnets=tuple(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]),
        security_groups=(ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],),
        instance_profile="bec-worker",
        user_data=user_data(job, Kit("s3://kit/bec/1", "0" * 64), {"BEC_REGION": aws.region}),
    )
    fleet = Ec2Fleet(job, AwsOptions(aws.region, aws.endpoint_url))
    return Account(aws, job, spec, FleetScaling(fleet, PRICES, grace=90, wait=waited.append), waited)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The IAM action of each call that is made."""
    made: set[str] = set()
    make = boto3.session.Session.client

    def watched(self: Any, service: str, **arguments: Any) -> Any:
        client = make(self, service, **arguments)  # type: ignore[call-overload]

        def note(model: Any, **_: Any) -> None:
            made.add(f"{service}:{model.name}")

        client.meta.events.register(f"before-call.{service}", note)
        return client

    monkeypatch.setattr(boto3.session.Session, "client", watched)
    return made


def tags_of(tagged: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tagged["Tags"]}


def worker(host: str, *, doing: int | None = None, condition: WorkerCondition | None = None) -> WorkerView:
    tasks = () if doing is None else (WorkerTask(1, "W1", "I1", doing, 400, NOW),)
    state = condition or (WorkerCondition.WORKING if tasks else WorkerCondition.IDLE)
    name = f"{host.partition('.')[0]}-worker"
    return WorkerView(name, "ldv1", host, 7, "0", state, 1.0, tasks, NOW, NOW, None, None)


def test_nothing_is_made_before_the_plan_is_applied(account: Account) -> None:
    subnets = ", ".join(account.spec.subnets)

    plan = account.scaling.plan_up(6, SPOT, lambda: account.spec)

    assert plan.words == (
        f"make the launch template {account.name} (image {account.spec.image}, role bec-worker, 100 GiB of disk)",
        f"make the group {account.name} for spot machines of g6.xlarge or g5.xlarge in {subnets}",
        f"let the group {account.name} keep a machine that has to go for 150 s",
        f"set the group {account.name} to 6 machines (now 0)",
    )
    assert plan.remarks == ("6 machines cost at most 2.40 USD an hour.",)
    assert account.group() is None
    assert account.templates() == []


def test_up_makes_a_tagged_template_and_group_of_spot_machines(account: Account) -> None:
    done = account.up(3)

    group, data = account.group(), account.template_data()
    assert group
    assert len(done) == 4
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (0, 3, 3)
    assert group["MixedInstancesPolicy"]["InstancesDistribution"] == {
        "OnDemandBaseCapacity": 0,
        "OnDemandPercentageAboveBaseCapacity": 0,
        "OnDemandAllocationStrategy": "prioritized",
        "SpotAllocationStrategy": "price-capacity-optimized",
    }
    template = group["MixedInstancesPolicy"]["LaunchTemplate"]
    assert [one["InstanceType"] for one in template["Overrides"]] == list(SPOT.types)
    assert template["LaunchTemplateSpecification"]["LaunchTemplateName"] == account.name
    assert template["LaunchTemplateSpecification"]["Version"] == "$Latest"
    assert group["CapacityRebalance"] is True
    assert group["VPCZoneIdentifier"].split(",") == list(account.spec.subnets)
    ours = {"bec:job": account.job, "bec:managed": "bec-scale", "Name": account.name}
    assert tags_of(group) == ours
    assert tags_of(account.templates()[0]) == ours
    passed_on = {one["ResourceType"]: tags_of(one) for one in data["TagSpecifications"]}
    assert passed_on.items() >= {"instance": ours, "volume": ours}.items()
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["IamInstanceProfile"] == {"Name": "bec-worker"}
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert base64.b64decode(data["UserData"]).decode() == account.spec.user_data
    [hook] = account.hooks()
    assert (hook["LifecycleHookName"], hook["HeartbeatTimeout"], hook["DefaultResult"]) == (
        "bec-drain",
        150,
        "CONTINUE",
    )
    assert hook["LifecycleTransition"] == "autoscaling:EC2_INSTANCE_TERMINATING"
    machines = account.running()
    assert len(machines) == 3
    assert all(tags_of(one).items() >= ours.items() for one in machines)


def test_up_again_does_nothing_and_up_to_more_only_changes_the_size(account: Account) -> None:
    account.up(2)

    assert account.up(2) == []
    assert account.up(4, None) == [f"set the group {account.name} to 4 machines (now 2)"]
    assert len(account.running()) == 4


def test_up_for_on_demand_machines(account: Account) -> None:
    plan = account.scaling.plan_up(1, ON_DEMAND, lambda: account.spec)
    account.do(plan)

    group = account.group()
    assert group
    distribution = group["MixedInstancesPolicy"]["InstancesDistribution"]
    assert distribution["OnDemandPercentageAboveBaseCapacity"] == 100
    assert group["CapacityRebalance"] is False
    assert plan.remarks == ("What this costs is unknown: the table of prices has no on-demand price of c7i.2xlarge.",)


def test_another_mix_another_script_and_another_grace_are_taken_over(account: Account) -> None:
    account.up(2)
    spec = replace(account.spec, user_data=account.spec.user_data + "# more\n")
    fleet = Ec2Fleet(account.job, AwsOptions(account.aws.region, account.aws.endpoint_url))
    instead = "not spot machines of g6.xlarge or g5.xlarge"

    words = account.do(FleetScaling(fleet, PRICES, grace=30).plan_up(2, ON_DEMAND, lambda: spec))

    assert [said.split(" (")[0] for said in words] == [
        f"make a new version of the launch template {account.name}",
        f"let the group {account.name} take on-demand machines of c7i.2xlarge from now on, {instead}",
        f"let the group {account.name} keep a machine that has to go for 90 s",
    ]
    assert account.templates()[0]["LatestVersionNumber"] == 2
    assert base64.b64decode(account.template_data()["UserData"]).decode() == spec.user_data
    assert account.hooks()[0]["HeartbeatTimeout"] == 90
    group = account.group()
    assert group
    assert group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"] == [{"InstanceType": "c7i.2xlarge"}]
    assert len(account.running()) == 2


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda a: a.scaling.plan_up(1, SPOT, lambda: a.spec), "E_SCALE_SMALLER"),
        (lambda a: a.scaling.plan_up(0, SPOT, lambda: a.spec), "E_SCALE_BOUNDS"),
        (lambda a: a.scaling.plan_auto(0, 5, 10, "q"), "E_SCALE_BOUNDS"),
        (lambda a: a.scaling.plan_auto(6, 5, 10, "q"), "E_SCALE_BOUNDS"),
        (lambda a: a.scaling.plan_auto(1, 5, 0, "q"), "E_SCALE_BOUNDS"),
    ],
)
def test_what_makes_no_sense_is_refused(account: Account, ask: Callable[[Account], Plan], code: str) -> None:
    account.up(2)

    with pytest.raises(UsageError) as raised:
        ask(account)

    assert raised.value.code == code
    assert len(account.running()) == 2


def test_without_a_group(account: Account) -> None:
    with pytest.raises(UsageError) as no_mix:
        account.scaling.plan_up(2, None, lambda: account.spec)
    with pytest.raises(UsageError) as no_group:
        account.scaling.plan_auto(1, 2, 10, "q")
    status = account.scaling.status([worker("laptop")])

    assert (no_mix.value.code, no_group.value.code) == ("E_SCALE_MIX", "E_SCALE_NO_GROUP")
    assert account.scaling.plan_down().words == ()
    assert account.scaling.plan_destroy().words == ()
    assert status.group is None
    assert [one.host for one in status.elsewhere] == ["laptop"]


def test_down_drains_idle_machines_first(account: Account) -> None:
    account.up(3)
    first, second, third = sorted(one["InstanceId"] for one in account.running())
    workers = [worker(f"{first}.ec2.internal", doing=120), worker(f"{third}.ec2.internal", doing=3)]

    plan = account.scaling.plan_down(2, workers)
    account.do(plan)

    assert plan.words[0] == f"drain and remove {second} (idle)"
    assert "gives its task back" in plan.remarks[0]
    assert "150 s" in plan.remarks[0]
    assert sorted(one["InstanceId"] for one in account.running()) == [first, third]
    group = account.group()
    assert group
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (0, 2, 2)
    assert account.scaling.plan_down(2).words == ()

    busy = account.scaling.plan_down(1, [*workers, worker(f"{third}.ec2.internal")])
    assert busy.words[0].endswith("(W1/I1 at page 120)") or busy.words[0].endswith("(W1/I1 at page 3)")


def test_down_to_none_keeps_group_and_template(account: Account) -> None:
    account.up(2)

    account.do(account.scaling.plan_down())

    group = account.group()
    assert group
    assert (group["MaxSize"], group["DesiredCapacity"]) == (0, 0)
    assert account.running() == []
    assert account.up(1, None) == [f"set the group {account.name} to 1 machine (now 0)"]


def test_auto_tracks_the_backlog_per_machine_until_it_is_scaled_by_hand(account: Account) -> None:
    account.up(2)

    plan = account.scaling.plan_auto(1, 8, 25, "bec_ldv1_tasks")
    account.do(plan)

    [policy] = account.policies()
    tracking = policy["TargetTrackingConfiguration"]
    metrics = {one["Id"]: one for one in tracking["CustomizedMetricSpecification"]["Metrics"]}
    assert (policy["PolicyType"], tracking["TargetValue"]) == ("TargetTrackingScaling", 25)
    assert metrics["backlog"]["Expression"] == "visible / IF(machines > 0, machines, 1)"
    visible, machines = metrics["visible"]["MetricStat"]["Metric"], metrics["machines"]["MetricStat"]["Metric"]
    assert (visible["Namespace"], visible["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert visible["Dimensions"] == [{"Name": "QueueName", "Value": "bec_ldv1_tasks"}]
    assert (machines["Namespace"], machines["MetricName"]) == ("AWS/AutoScaling", "GroupInServiceInstances")
    assert machines["Dimensions"] == [{"Name": "AutoScalingGroupName", "Value": account.name}]
    group = account.group()
    assert group
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (1, 8, 2)
    assert [one["Metric"] for one in group["EnabledMetrics"]] == ["GroupInServiceInstances"]
    assert account.scaling.status([]).group.target == 25  # type: ignore[union-attr]

    words = account.up(3, None)

    assert words[0] == f"let the size of the group {account.name} follow its queue no more"
    assert account.policies() == []


def test_destroy_drains_then_removes_everything(account: Account) -> None:
    account.up(2)
    account.do(account.scaling.plan_auto(1, 4, 10, "q"))

    plan = account.scaling.plan_destroy()
    account.do(plan)

    assert [said.split(" ")[0] for said in plan.words] == ["let", "set", "wait", "remove", "remove"]
    assert account.group() is None
    assert account.templates() == []
    assert account.running() == []
    assert account.scaling.plan_destroy().words == ()


def test_a_group_whose_machines_stay_is_not_removed(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.up(1)
    monkeypatch.setattr(account.scaling._fleet, "resize", lambda *_: None)
    plan = account.scaling.plan_destroy()

    with pytest.raises(RetryableError) as raised:
        account.do(plan)

    assert raised.value.code == "E_SCALE_DRAINING"
    assert sum(account.waited) >= 150
    assert account.group()


def test_status_joins_machines_workers_and_prices(account: Account) -> None:
    account.up(2)
    first, second = sorted(one["InstanceId"] for one in account.running())
    ended = worker(f"{second}.ec2.internal", condition=WorkerCondition.STOPPED)

    status = account.scaling.status([worker(f"{first}.ec2.internal", doing=9), worker("laptop"), ended])

    machines = {one.machine.instance_id: one for one in status.machines}
    assert [one.doing[0].pages_done for one in machines[first].workers] == [9]
    assert not machines[first].is_idle
    assert machines[second].workers == ()
    assert machines[second].is_idle
    assert [one.host for one in status.elsewhere] == ["laptop"]
    assert status.group
    assert status.group.mix == SPOT
    assert status.failed_launches == ()
    assert machines[first].machine.state == "InService"
    assert machines[first].machine.launched_at


def test_a_group_of_somebody_else_is_left_alone(account: Account) -> None:
    account.client("ec2").create_launch_template(
        LaunchTemplateName=account.name, LaunchTemplateData={"ImageId": account.spec.image}
    )
    with pytest.raises(ConfigError) as template:
        account.scaling.plan_up(1, SPOT, lambda: account.spec)
    account.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=account.name,
        MinSize=0,
        MaxSize=1,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateName": account.name},
    )
    with pytest.raises(ConfigError) as group:
        account.scaling.plan_destroy()

    assert template.value.code == group.value.code == "E_SCALE_FOREIGN"
    assert account.group()


def test_a_group_of_a_stack_is_only_resized(account: Account) -> None:
    account.up(1)
    account.client("autoscaling").create_or_update_tags(
        Tags=[
            {
                "ResourceId": account.name,
                "ResourceType": "auto-scaling-group",
                "Key": "bec:managed",
                "Value": "bec-stack",
                "PropagateAtLaunch": True,
            }
        ]
    )
    other = replace(account.spec, user_data="#!/bin/sh\n")

    words = account.do(account.scaling.plan_up(2, None, lambda: other))

    assert words == [f"set the group {account.name} to 2 machines (now 1)"]
    with pytest.raises(UsageError) as other_mix:
        account.scaling.plan_up(3, ON_DEMAND, lambda: other)
    with pytest.raises(UsageError) as destroy:
        account.scaling.plan_destroy()
    assert (other_mix.value.code, destroy.value.code) == ("E_SCALE_STACK", "E_SCALE_STACK")


def test_every_call_is_allowed_by_the_operators_policy(calls: set[str], account: Account) -> None:
    calls.clear()
    fleet = Ec2Fleet(account.job, AwsOptions(account.aws.region, account.aws.endpoint_url))
    scaling = FleetScaling(fleet, PRICES, grace=90, wait=lambda _: None)
    made = calls.copy()
    account.do(scaling.plan_up(2, SPOT, lambda: account.spec))
    account.do(scaling.plan_up(2, ON_DEMAND, lambda: replace(account.spec, disk_gib=50)))
    account.do(scaling.plan_down(1))
    account.do(scaling.plan_auto(1, 2, 10, "q"))
    account.do(scaling.plan_destroy())
    scaling.status([])

    policy = json.loads((DEPLOY / "iam-operator.json").read_text("utf-8"))
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    made = calls - made
    assert "autoscaling:CreateAutoScalingGroup" in made
    assert "autoscaling:TerminateInstanceInAutoScalingGroup" in made
    assert made - allowed == set()


REFUSALS = (
    ("UnauthorizedOperation", "E_AWS_DENIED"),
    ("ExpiredToken", "E_AWS_CREDENTIALS"),
    ("Throttling", "E_AWS_BUSY"),
    ("VcpuLimitExceeded", "E_AWS_QUOTA"),
    ("ScalingActivityInProgress", "E_AWS_BUSY"),
    ("InvalidAMIID.NotFound", "E_AWS_REFUSED"),
)


def test_refusals_in_words(account: Account) -> None:
    client = account.scaling._fleet._ec2
    answers = [service_code for service_code, _ in REFUSALS]

    def refuse(**_: Any) -> None:
        fault = {"Error": {"Code": answers.pop(0), "Message": "No."}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        raise ClientError(fault, "CreateLaunchTemplate")  # type: ignore[arg-type]

    client.meta.events.register("before-call.ec2.CreateLaunchTemplate", refuse)
    raised = []
    for _ in REFUSALS:
        with pytest.raises(BecError) as one:
            account.up(1)
        raised.append(one.value)

    assert [error.code for error in raised] == [code for _, code in REFUSALS]
    assert all(account.name in error.message and error.hint for error in raised)
    assert "ec2:CreateLaunchTemplate" in raised[0].hint


def test_an_endpoint_that_is_down(aws: Aws) -> None:
    fleet = Ec2Fleet("ldv1", AwsOptions(aws.region, "http://127.0.0.1:9"))

    with pytest.raises(RetryableError) as raised:
        fleet.group()

    assert raised.value.code == "E_AWS_AWAY"
    assert raised.value.hint
