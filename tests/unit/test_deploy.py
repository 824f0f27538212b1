"""What stands in deploy/: the template of the stack, the policies, the scripts, and that they are as the program."""

import hashlib
import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bec_orch.errors import ConfigError
from bec_orch.io.aws.ec2 import BY_STACK, DRAIN_HOOK, JOB_TAG, MANAGED_TAG
from bec_orch.orch.machines.scaling import drain_seconds
from bec_orch.orch.machines.setup import Kit, user_data
from tests.support.policies import Policy, filled_in, statements

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TEMPLATE = DEPLOY / "cloudformation.yaml"
KIT = Kit("s3://kit/bec/1", "0" * 64)
POLICIES = ("iam-worker.json", "iam-operator.json")
STACK_WORDS = {
    "AWS::Partition": "aws",
    "AWS::Region": "REGION",
    "AWS::AccountId": "ACCOUNT",
    "Job": "JOB",
    "SourceBucket": "SOURCE_BUCKET",
    "DestBucket": "DEST_BUCKET",
    "KitBucket": "KIT_BUCKET",
}
LOOKS = re.compile(r"(autoscaling|ec2):Describe\w+|cloudwatch:GetMetricData")


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    # cfn-lint has no types, but reads all the short forms of CloudFormation's functions.
    read, faults = importlib.import_module("cfnlint.decode").decode(str(TEMPLATE))
    assert faults == []
    return dict(read)


def linted(template: Path) -> tuple[str, int]:
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--non-zero-exit-code", "warning", str(template)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    return checked.stdout, checked.returncode


def test_cfn_lint_has_nothing_to_say() -> None:
    assert linted(TEMPLATE) == ("", 0)


def as_template(name: str) -> str:
    """Return a policy as a resource of a template: so it is checked that each action is one that AWS has."""
    policy = {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"PolicyDocument": {"Version": "2012-10-17", "Statement": statements(name)}},
    }
    return filled_in(json.dumps({"Resources": {"Policy": policy}}))


@pytest.mark.parametrize("name", POLICIES)
def test_cfn_lint_has_nothing_to_say_of_the_policies_either(name: str, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(as_template(name))

    assert linted(tmp_path / "policy.json") == ("", 0)


def test_cfn_lint_finds_an_action_that_aws_has_not(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(as_template(POLICIES[0]).replace("sqs:SendMessage", "sqs:SendMassage"))

    assert "'sendmassage' is not one of" in linted(tmp_path / "policy.json")[0]


@pytest.mark.parametrize("name", POLICIES)
def test_policies_name_what_they_allow(name: str) -> None:
    found = [one for one in statements(name) if one["Effect"] == "Allow"]
    actions = [action for one in found for action in one["Action"]]

    assert all(re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action) for action in actions)
    assert len({one["Sid"] for one in found}) == len(found)
    # Only looking is allowed everywhere: AWS offers no narrower resource for it.
    everywhere = [action for one in found if one["Resource"] == "*" for action in one["Action"]]
    assert all(LOOKS.fullmatch(action) for action in everywhere)


def test_the_stacks_role_is_the_workers_policy(template: dict[str, Any]) -> None:
    [policy] = template["Resources"]["WorkerRole"]["Properties"]["Policies"]
    text = json.dumps(policy["PolicyDocument"]["Statement"])
    for parameter, word in STACK_WORDS.items():
        text = text.replace(f"${{{parameter}}}", word)
    text = text.replace('{"Ref": "SqlPasswordSecretArn"}', '"WORKER_SECRET_ARN"')
    text = re.sub(r'\{"Fn::Sub": ("[^"]*")\}', r"\1", text)

    assert json.loads(text) == statements("iam-worker.json")


def test_no_worker_may_write_what_machines_run_or_what_another_job_made() -> None:
    policy = Policy("iam-worker.json")
    kit, results, ours = "arn:aws:s3:::kit", "arn:aws:s3:::results", "arn:aws:s3:::results/ldv1"

    assert policy.allows("s3:GetObject", f"{kit}/1/user-data.sh")
    for action in ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectAcl"):
        assert not policy.allows(action, f"{kit}/1/user-data.sh")
        # Whatever else may be allowed to the role: a deny is stronger.
        assert policy.denies(action, f"{kit}/1/user-data.sh")
    assert policy.denies("s3:PutBucketPolicy", kit)
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert policy.allows(action, f"{ours}/W1/I1/abcdef/success.json")
        assert not policy.allows(action, f"{results}/ldv1b/W1/I1/abcdef/success.json")
        assert not policy.allows(action, f"{results}/ocrv1/W1/I1/abcdef/success.json")
    assert policy.allows("s3:GetObject", f"{results}/ocrv1/W1/I1/abcdef/success.json")


def test_a_worker_takes_no_messages_of_other_jobs_and_touches_no_machine() -> None:
    policy = Policy("iam-worker.json")
    queues = "arn:aws:sqs:us-east-1:123456789012"

    assert policy.allows("sqs:ReceiveMessage", f"{queues}:bec_ldv1_tasks")
    assert policy.allows("sqs:SendMessage", f"{queues}:bec_ocrv1_tasks")
    assert not policy.allows("sqs:ReceiveMessage", f"{queues}:bec_ocrv1_tasks")
    assert not policy.allows("sqs:DeleteMessage", f"{queues}:bec_ocrv1_dlq")
    assert not policy.allows("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/bec/ocrv1:x")
    actions = {action for one in statements("iam-worker.json") for action in one.get("Action", [])}
    assert {action.split(":")[0] for action in actions} == {"s3", "sqs", "secretsmanager", "logs"}


def test_the_kit_and_the_artefacts_cannot_share_a_bucket(template: dict[str, Any]) -> None:
    [rule] = template["Rules"].values()
    [assertion] = rule["Assertions"]

    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "KitBucket"}, {"Ref": "DestBucket"}]}]}


def test_only_requests_with_a_token_of_the_machine_itself_get_its_credentials(template: dict[str, Any]) -> None:
    options = template["Resources"]["Template"]["Properties"]["LaunchTemplateData"]["MetadataOptions"]

    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_the_stacks_machines_run_the_script_that_the_program_writes(template: dict[str, Any]) -> None:
    values = {
        "Job": "ldv1",
        "KitBucket": "kit",
        "KitFolder": "bec/1",
        "KitSha256": "ab" * 32,
        "AWS::Region": "us-east-1",
        "SourceBucket": "archive",
        "DestBucket": "results",
        "SqlHost": "db.example.org",
        "SqlPort": "5432",
        "SqlUser": "bec",
        "SqlDatabase": "bec",
        "SqlPasswordSecretArn": "arn:aws:secretsmanager:us-east-1:1:secret:db",
        "GraceSeconds": "90",
    }
    text = template["Resources"]["Template"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
    of_stack = re.sub(r"\$\{([A-Za-z0-9:]+)\}", lambda found: values[found[1]], text)
    settings = dict(line.split("=", 1) for line in of_stack.splitlines() if line.startswith("BEC_"))

    assert of_stack == user_data("ldv1", Kit("s3://kit/bec/1", "ab" * 32), settings)
    assert settings["BEC_SQL_SSLROOTCERT"] in (DEPLOY / "user-data.sh").read_text("utf-8")


def test_the_stacks_group_is_one_that_the_program_knows(template: dict[str, Any]) -> None:
    group = template["Resources"]["Machines"]["Properties"]
    tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
    [hook] = group["LifecycleHookSpecificationList"]

    assert group["AutoScalingGroupName"] == {"Fn::Sub": "bec-${Job}"}
    assert tags == {"Name": {"Fn::Sub": "bec-${Job}"}, JOB_TAG: {"Ref": "Job"}, MANAGED_TAG: BY_STACK}
    assert hook["LifecycleHookName"] == DRAIN_HOOK
    assert hook["HeartbeatTimeout"] == drain_seconds(template["Parameters"]["GraceSeconds"]["MaxValue"])


def test_every_resource_that_can_is_tagged(template: dict[str, Any]) -> None:
    untaggable = {"AWS::IAM::InstanceProfile", "AWS::SNS::Subscription"}
    for name, resource in template["Resources"].items():
        if resource["Type"] not in untaggable:
            properties = resource["Properties"]
            tags = properties.get("Tags") or properties["TagSpecifications"][0]["Tags"]
            assert {JOB_TAG, MANAGED_TAG} <= {tag["Key"] for tag in tags}, name


def test_every_alarm_is_documented_in_the_manual(template: dict[str, Any]) -> None:
    manual = (ROOT / "docs" / "operating.md").read_text("utf-8")
    alarms = [one for one in template["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]

    assert len(alarms) == 4
    for alarm in alarms:
        name = alarm["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("bec-${Job}-")
        assert f"### {name}" in manual
        assert f"docs/operating.md, {name}" in alarm["Properties"]["AlarmDescription"]
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "Alarms"}]


def test_the_agent_brings_the_log_that_the_unit_writes() -> None:
    config = json.loads((DEPLOY / "cloudwatch-agent.json").read_text("utf-8").replace("@JOB@", "ldv1"))
    files = config["logs"]["logs_collected"]["files"]["collect_list"]
    unit = (ROOT / "bec-worker@.service").read_text("utf-8")

    assert files[0]["file_path"] == "/var/log/bec/ldv1.log"
    assert "StandardError=append:/var/log/bec/%i.log" in unit
    assert {one["log_group_name"] for one in files} == {"/bec/ldv1"}


@pytest.mark.parametrize("script", ["user-data.sh", "upload-kit"])
def test_the_scripts_are_shell(script: str) -> None:
    checked = subprocess.run(["bash", "-n", DEPLOY / script], capture_output=True, text=True, check=False)

    assert (checked.stderr, checked.returncode) == ("", 0)


def test_the_kit_holds_what_the_script_takes_from_it(tmp_path: Path) -> None:
    """`aws` and the building of the wheel are stood in for: what is uploaded is what the script then finds."""
    tools, bucket = tmp_path / "tools", tmp_path / "bucket"
    tools.mkdir()
    bucket.mkdir()
    _program(tools / "aws", f'cp "$5"/* "{bucket}"')
    _program(tools / "python", 'shift 7; touch "$1"/bec_orch-0-py3-none-any.whl')
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "PYTHON": str(tools / "python")}

    command = [str(DEPLOY / "upload-kit"), "s3://bucket/bec/1"]
    uploaded = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)

    assert uploaded.returncode == 0, uploaded.stderr
    script = (DEPLOY / "user-data.sh").read_text("utf-8").replace("$unit", "bec-worker@.service")
    taken = set(re.findall(r"\$kit/([\w@.-]+)", script))
    assert taken == {"cloudwatch-agent.json", "requirements.txt", "requirements-gpu.txt", "bec-worker@.service"}
    there = {path.name for path in bucket.iterdir()}
    assert taken | {"user-data.sh", "bec_orch-0-py3-none-any.whl"} <= there
    sums = (bucket / "SHA256SUMS").read_text()
    assert {line.split("  ")[1] for line in sums.splitlines()} == there - {"SHA256SUMS"}
    checked = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=bucket, check=False)
    assert checked.returncode == 0
    digest = hashlib.sha256(sums.encode()).hexdigest()
    told = f"export BEC_EC2_KIT_URL=s3://bucket/bec/1\nexport BEC_EC2_KIT_SHA256={digest}\n"
    assert uploaded.stdout.endswith(told)


def test_a_kit_is_not_uploaded_to_where_workers_write(tmp_path: Path) -> None:
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "BEC_DEST_S3_BUCKET": "results"}
    _program(tmp_path / "aws", f'touch "{tmp_path}/uploaded"')
    command = [str(DEPLOY / "upload-kit"), "s3://results/kit/1"]

    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "the kit needs a bucket of its own" in refused.stderr
    assert not (tmp_path / "uploaded").exists()


def test_a_kit_without_a_folder_is_refused() -> None:
    answered = subprocess.run([DEPLOY / "upload-kit", "bucket"], capture_output=True, text=True, check=False)

    assert answered.returncode == 2
    assert "usage" in answered.stderr


def test_settings_reach_the_machine_as_they_are(tmp_path: Path) -> None:
    """The settings' part of the script is run by a shell, and read back as systemd reads it."""
    awkward = {"BEC_A": "plain/value:1", "BEC_B": 'with "quotes" and $HOME `x` \\ ', "BEC_C": ""}
    script = user_data("ldv1", KIT, awkward)
    here = script.split("kit='")[0].replace("/etc/bec", str(tmp_path)).replace("/opt/bec/kit", str(tmp_path / "kit"))

    subprocess.run(["bash", "-eu"], input=here, text=True, check=True)

    assert (tmp_path / "ldv1.env").stat().st_mode & 0o777 == 0o600
    written = (tmp_path / "ldv1.env").read_text("utf-8").splitlines()
    assert written == ["BEC_A=plain/value:1", r'BEC_B="with \"quotes\" and \$HOME \`x\` \\ "', "BEC_C="]


@pytest.mark.parametrize("url", ["kit", "s3://kit", "s3://kit/", "s3://kit/a'b", "s3://kit/$(reboot)", "s3://kit/a\nb"])
def test_a_kits_url_cannot_leave_its_quotes(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        user_data("ldv1", Kit(url, "0" * 64), {})

    assert raised.value.code == "E_SETUP"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"BEC_SQL_PASSWORD": "x"}, "E_SETUP_SECRET"),
        ({"AWS_SECRET_ACCESS_KEY": "x"}, "E_SETUP_SECRET"),
        ({"BEC_A": "x\nEND_OF_SETTINGS\nrm -rf /"}, "E_SETUP"),
        ({"BEC_A": "x" * 17_000}, "E_SETUP"),
    ],
)
def test_secrets_and_what_cannot_be_written_are_refused(settings: dict[str, str], code: str) -> None:
    with pytest.raises(ConfigError) as raised:
        user_data("ldv1", KIT, settings)

    assert raised.value.code == code
    assert "rm -rf" not in raised.value.message


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!{shutil.which('bash')}\nset -e\n{body}\n")
    path.chmod(0o755)
