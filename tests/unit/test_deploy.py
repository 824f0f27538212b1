"""What stands in deploy/: the template of the stack, the policies, the scripts, and that they are as the program."""

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
from bec_orch.orch.machines.setup import user_data

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TEMPLATE = DEPLOY / "cloudformation.yaml"
POLICIES = ("iam-worker.json", "iam-operator.json")
# The words in capitals that an operator replaces (docs/operating.md).
FILLED_IN = {
    "SQL_PASSWORD_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:db",
    "WORKER_ROLE_ARN": "arn:aws:iam::123456789012:role/worker",
    "SOURCE_BUCKET": "archive",
    "DEST_BUCKET": "results",
    "KIT_BUCKET": "kit",
    "REGION": "us-east-1",
    "ACCOUNT": "123456789012",
}
LOOKS = re.compile(r"(autoscaling|ec2):Describe\w+|cloudwatch:GetMetricData")


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    # cfn-lint has no types, but reads all the short forms of CloudFormation's functions.
    read, faults = importlib.import_module("cfnlint.decode").decode(str(TEMPLATE))
    assert faults == []
    return dict(read)


def statements(name: str) -> list[dict[str, Any]]:
    policy = json.loads((DEPLOY / name).read_text("utf-8"))
    assert policy["Version"] == "2012-10-17"
    return list(policy["Statement"])


def linted(template: Path) -> tuple[str, int]:
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--non-zero-exit-code", "warning", str(template)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    return checked.stdout, checked.returncode


def test_cfn_lint_has_nothing_to_say() -> None:
    assert linted(TEMPLATE) == ("", 0)


def as_template(name: str) -> str:
    """Give a policy as a resource of a template: so it is checked that each action is one that AWS has."""
    policy = {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"PolicyDocument": {"Version": "2012-10-17", "Statement": statements(name)}},
    }
    text = json.dumps({"Resources": {"Policy": policy}})
    for word, value in FILLED_IN.items():
        text = text.replace(word, value)
    return text


@pytest.mark.parametrize("name", POLICIES)
def test_cfn_lint_has_nothing_to_say_of_the_policies_either(name: str, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(as_template(name))

    assert linted(tmp_path / "policy.json") == ("", 0)


def test_cfn_lint_finds_an_action_that_aws_has_not(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(as_template(POLICIES[0]).replace("sqs:SendMessage", "sqs:SendMassage"))

    assert "'sendmassage' is not one of" in linted(tmp_path / "policy.json")[0]


@pytest.mark.parametrize("name", POLICIES)
def test_policies_name_what_they_allow(name: str) -> None:
    found = statements(name)
    actions = [action for one in found for action in one["Action"]]

    assert all(one["Effect"] == "Allow" for one in found)
    assert all(re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action) for action in actions)
    assert len({one["Sid"] for one in found}) == len(found)
    # Only looking is allowed everywhere: AWS offers no narrower resource for it.
    everywhere = [action for one in found if one["Resource"] == "*" for action in one["Action"]]
    assert all(LOOKS.fullmatch(action) for action in everywhere)


def test_the_stacks_role_is_the_workers_policy(template: dict[str, Any]) -> None:
    [policy] = template["Resources"]["WorkerRole"]["Properties"]["Policies"]
    of_stack = {one["Sid"]: sorted(one["Action"]) for one in policy["PolicyDocument"]["Statement"]}

    assert of_stack == {one["Sid"]: sorted(one["Action"]) for one in statements("iam-worker.json")}


def test_the_stacks_machines_run_the_script_that_the_program_writes(template: dict[str, Any]) -> None:
    values = {
        "Job": "ldv1",
        "KitUrl": "s3://kit/bec/1",
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
    of_stack = re.sub(r"\$\{([A-Za-z:]+)\}", lambda found: values[found[1]], text)
    settings = dict(line.split("=", 1) for line in of_stack.splitlines() if line.startswith("BEC_"))

    assert of_stack == user_data("ldv1", "s3://kit/bec/1", settings)
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


def test_every_alarm_is_told_in_the_manual(template: dict[str, Any]) -> None:
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
    checked = subprocess.run(["bash", "-n", DEPLOY / script], capture_output=True, text=True, check=False)  # noqa: S607

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
    assert taken == {"cloudwatch-agent.json", "requirements.txt", "bec-worker@.service"}
    assert taken | {"user-data.sh", "bec_orch-0-py3-none-any.whl"} <= {path.name for path in bucket.iterdir()}


MACHINE = {
    "aws": 'if [[ $4 == --recursive ]]; then mkdir -p "$6"; cp "$KIT"/* "$6"; fi',
    "dnf": "",
    "useradd": "",
    "systemd-tmpfiles": "",
    "systemctl": "",
    "curl": "",
    "amazon-cloudwatch-agent-ctl": "",
    "nvidia-smi": "exit 1",
    "python3.12": 'if [[ $2 == venv ]]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi',
}


def test_a_fresh_machine_becomes_a_worker(tmp_path: Path) -> None:
    """The script runs in a folder that stands for the machine; its programs only note that they were called."""
    machine, kit = tmp_path / "machine", tmp_path / "kit"
    for folder in ("tools", "etc/bec", "etc/tmpfiles.d", "etc/logrotate.d", "etc/systemd/system", "opt"):
        (machine / folder).mkdir(parents=True)
    kit.mkdir()
    for name, body in MACHINE.items():
        _program(machine / "tools" / name, f'echo "{name} $*" >>"$CALLS"\n{body}')
    for file in (DEPLOY / "cloudwatch-agent.json", ROOT / "requirements.txt", ROOT / "bec-worker@.service"):
        shutil.copy(file, kit)
    (kit / "bec_orch-1-py3-none-any.whl").touch()
    (machine / "etc/bec/ldv1.env").write_text("BEC_GRACE_SECONDS=45.0\nBEC_SQL_SSLROOTCERT=/etc/bec/rds-ca.pem\n")
    script = (DEPLOY / "user-data.sh").read_text("utf-8")
    agent = "/opt/aws/amazon-cloudwatch-agent/bin/"
    script = re.sub(r"(?<=[ \"'=>])(?=/(opt|etc/(?!bec/rds)))", str(machine), script.replace(agent, ""))
    calls = tmp_path / "calls"
    environment = {"PATH": f"{machine / 'tools'}:/usr/bin:/bin", "CALLS": str(calls), "KIT": str(kit)}

    ran = subprocess.run(
        ["/bin/bash", "-s", "ldv1", "s3://kit/bec/1/"],
        input=script,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    called = calls.read_text()
    assert f"aws s3 cp --only-show-errors --recursive s3://kit/bec/1/ {machine}/opt/bec/kit/" in called
    assert "--output /etc/bec/rds-ca.pem" in called
    assert "--require-hashes --no-deps --requirement" in called
    assert called.endswith("systemctl daemon-reload\nsystemctl enable --now bec-worker@ldv1.service\n")
    drop_ins = machine / "etc/systemd/system/bec-worker@.service.d"
    assert (drop_ins / "grace.conf").read_text() == "[Service]\nTimeoutStopSec=65\n"
    assert "SuccessAction=poweroff" in (drop_ins / "fleet.conf").read_text()
    assert "/bec/ldv1" in (machine / "opt/bec/cloudwatch-agent.ldv1.json").read_text()
    assert (machine / "etc/systemd/system/bec-worker@.service").read_text() == (kit / "bec-worker@.service").read_text()


def test_a_kit_without_a_folder_is_refused() -> None:
    answered = subprocess.run([DEPLOY / "upload-kit", "bucket"], capture_output=True, text=True, check=False)

    assert answered.returncode == 2
    assert "usage" in answered.stderr


def test_settings_reach_the_machine_as_they_are(tmp_path: Path) -> None:
    """The settings' part of the script is run by a shell, and read back as systemd reads it."""
    awkward = {"BEC_A": "plain/value:1", "BEC_B": 'with "quotes" and $HOME `x` \\ ', "BEC_C": ""}
    script = user_data("ldv1", "s3://kit/1", awkward)
    here = script.split("aws s3 cp")[0].replace("/etc/bec", str(tmp_path))

    subprocess.run(["bash", "-eu"], input=here, text=True, check=True)  # noqa: S607

    written = (tmp_path / "ldv1.env").read_text("utf-8").splitlines()
    assert written == ["BEC_A=plain/value:1", r'BEC_B="with \"quotes\" and \$HOME \`x\` \\ "', "BEC_C="]


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
        user_data("ldv1", "s3://kit/1", settings)

    assert raised.value.code == code
    assert "rm -rf" not in raised.value.message


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!{shutil.which('bash')}\nset -e\n{body}\n")
    path.chmod(0o755)
