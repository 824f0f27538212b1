"""The stack of deploy/, made by moto: the program finds its queues and its group to be what it would have made."""

from pathlib import Path

import pytest

from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.aws.ec2 import Ec2Fleet, MachineSpec, Mix
from bec_orch.io.sqs.queues import SqsOptions, SqsQueues
from bec_orch.orch.machines.plans import apply
from bec_orch.orch.machines.prices import PriceTable
from bec_orch.orch.machines.scaling import FleetScaling
from tests.support.servers.aws import Aws

TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "cloudformation.yaml"


@pytest.fixture
def job(aws: Aws) -> str:
    ec2, job = aws.client("ec2"), aws.fresh_name("stacked")
    subnets = ec2.describe_subnets()["Subnets"]
    parameters = {
        "Job": job,
        "KitBucket": "kit",
        "KitFolder": "bec/1",
        "KitSha256": "0" * 64,
        "VpcId": subnets[0]["VpcId"],
        "SubnetIds": ",".join(subnet["SubnetId"] for subnet in subnets[:2]),
        "DestBucket": "results",
        "SqlHost": "db.example.org",
        "SqlPasswordSecretArn": "arn:aws:secretsmanager:us-east-1:1:secret:db",
        "SecondInstanceType": "g5.xlarge",
    }
    aws.client("cloudformation").create_stack(
        StackName=f"bec-{job}",
        TemplateBody=TEMPLATE.read_text("utf-8"),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    return job


def test_the_program_takes_the_stacks_queues_and_group_as_they_are(aws: Aws, job: str) -> None:
    options = AwsOptions(aws.region, aws.endpoint_url)
    queues = SqsQueues(SqsOptions(options))
    setup = queues.admin(job).create()
    queues.close()
    scaling = FleetScaling(Ec2Fleet(job, options), PriceTable(), grace=90)
    unused = MachineSpec("", (), (), "", "")

    assert (setup.made, setup.differences) == ((), ())
    assert scaling.plan_up(2, Mix(("g6.xlarge", "g5.xlarge"), spot=True), lambda: unused).words == (
        f"set the group bec-{job} to 2 machines (now 0)",
    )
    assert list(apply(scaling.plan_up(2, None, lambda: unused)))
    status = scaling.status([])
    assert status.group
    assert status.group.stack == f"bec-{job}"
    assert len(status.machines) == 2
    assert status.hourly is None
