"""How a fresh machine becomes a worker: its user data and deploy/user-data.sh run in a folder that stands for it."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bec_orch.orch.machines.setup import Kit, user_data

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
WHEEL = "bec_orch-1-py3-none-any.whl"
PROGRAMS = {
    "aws": 'if [[ "$1 $2" == "s3 cp" ]]; then cp "$KIT/${4##*/}" "$5"; fi',
    "dnf": "",
    "useradd": "",
    "systemd-tmpfiles": "",
    "systemctl": "",
    "curl": "",
    "shutdown": "",
    "amazon-cloudwatch-agent-ctl": "",
    "nvidia-smi": '[[ "$GPU" == yes ]]',
    "python3.12": 'if [[ $2 == venv ]]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi',
}
FOLDERS = ("tools", "etc/tmpfiles.d", "etc/logrotate.d", "etc/systemd/system", "var/lib/cloud/data")


class Machine:
    """A fresh machine; its programs only note that they were called.

    `kit` is what lies on S3, `sha256` the digest that the launch template was made with.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self.kit, self._calls = folder / "machine", folder / "kit", folder / "calls"
        for made in FOLDERS:
            (self.root / made).mkdir(parents=True)
        (self.root / "var/lib/cloud/data/instance-id").write_text("i-0123\n")
        for name, body in PROGRAMS.items():
            path = self.root / "tools" / name
            path.write_text(f'#!{shutil.which("bash")}\nset -e\necho "{name} $*" >>"$CALLS"\n{body}\n')
            path.chmod(0o755)
        self.kit.mkdir()
        for file in ("deploy/cloudwatch-agent.json", "deploy/requirements-gpu.txt", "requirements.txt"):
            shutil.copy(ROOT / file, self.kit)
        shutil.copy(ROOT / "bec-worker@.service", self.kit)
        (self.kit / "user-data.sh").write_text(self._here((DEPLOY / "user-data.sh").read_text("utf-8")))
        (self.kit / WHEEL).touch()
        self.sha256 = self.list_digests()

    def list_digests(self) -> str:
        """Write the kit's list of digests as deploy/upload-kit does; returns the digest of the list."""
        files = sorted(path for path in self.kit.iterdir() if path.name != "SHA256SUMS")
        sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
        (self.kit / "SHA256SUMS").write_text(sums)
        return hashlib.sha256(sums.encode()).hexdigest()

    def start(self, settings: dict[str, str], *, gpu: bool = False) -> "subprocess.CompletedProcess[str]":
        """Run the user data of a machine of the job `ldv1`."""
        script = self._here(user_data("ldv1", Kit("s3://kit/bec/1", self.sha256), settings))
        environment = {
            "PATH": f"{self.root / 'tools'}:/usr/bin:/bin",
            "CALLS": str(self._calls),
            "KIT": str(self.kit),
            "GPU": "yes" if gpu else "no",
        }
        command = ["/bin/bash", "-s"]
        return subprocess.run(command, input=script, capture_output=True, text=True, check=False, env=environment)

    def called(self) -> list[str]:
        """Every program that was called, with its arguments."""
        return self._calls.read_text().splitlines()

    def _here(self, script: str) -> str:
        script = script.replace("/opt/aws/amazon-cloudwatch-agent/bin/", "")
        return re.sub(r"(?<=[ \"'=>(])(?=/(opt|etc/(?!bec/rds)|var/lib/cloud))", str(self.root), script)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def installed(machine: Machine) -> list[str]:
    return [line for line in machine.called() if " pip install " in line]


def test_it_becomes_a_worker(machine: Machine) -> None:
    ran = machine.start({"BEC_GRACE_SECONDS": "45.0", "BEC_SQL_SSLROOTCERT": "/etc/bec/rds-ca.pem"})

    assert (ran.returncode, ran.stderr) == (0, "")
    called = machine.called()
    assert called[0] == "aws s3 cp --only-show-errors s3://kit/bec/1/SHA256SUMS SHA256SUMS"
    assert "aws s3 cp --only-show-errors s3://kit/bec/1/user-data.sh user-data.sh" in called
    assert any("--output /etc/bec/rds-ca.pem" in line for line in called)
    assert called[-2:] == ["systemctl daemon-reload", "systemctl enable --now bec-worker@ldv1.service"]
    drop_ins = machine.root / "etc/systemd/system/bec-worker@.service.d"
    assert (drop_ins / "grace.conf").read_text() == "[Service]\nTimeoutStopSec=65\n"
    assert "SuccessAction=poweroff" in (drop_ins / "fleet.conf").read_text()
    assert "/bec/ldv1" in (machine.root / "opt/bec/cloudwatch-agent.ldv1.json").read_text()
    unit = (machine.root / "etc/systemd/system/bec-worker@.service").read_text()
    assert unit == (ROOT / "bec-worker@.service").read_text()


def test_nothing_is_installed_that_no_digest_is_known_of(machine: Machine) -> None:
    assert machine.start({}).returncode == 0

    packages, program = installed(machine)
    assert all("--no-deps --only-binary :all:" in line for line in (packages, program))
    assert "--require-hashes --requirement" in packages
    # Its digest is in the kit's list.
    assert program.endswith(f"/opt/bec/kit/{WHEEL}")


def test_with_a_gpu_neither(machine: Machine) -> None:
    assert machine.start({}, gpu=True).returncode == 0

    of_gpu = installed(machine)[-1]
    assert "--only-binary :all: --require-hashes --requirement" in of_gpu
    assert of_gpu.endswith("/opt/bec/kit/requirements-gpu.txt")
    lock = (DEPLOY / "requirements-gpu.txt").read_text()
    assert re.search(r"^onnxruntime-gpu==[\d.]+ .*\\\n    --hash=sha256:", lock, re.MULTILINE)


def test_no_worker_can_make_its_log_a_link_to_a_file_of_roots(machine: Machine) -> None:
    assert machine.start({}).returncode == 0

    assert (machine.root / "etc/tmpfiles.d/bec.conf").read_text() == "d /var/log/bec 0750 root root\n"
    assert "su bec" not in (machine.root / "etc/logrotate.d/bec").read_text()


@pytest.mark.parametrize("file", ["SHA256SUMS", "user-data.sh", WHEEL, "bec-worker@.service", "requirements.txt"])
@pytest.mark.parametrize("listed", [False, True])
def test_a_kit_that_was_changed_is_refused_before_anything_of_it_runs(
    machine: Machine,
    file: str,
    listed: bool,  # noqa: FBT001  (whether the list of digests was changed with it)
) -> None:
    with (machine.kit / file).open("a") as changed:
        changed.write("\n# changed\n")
    if listed and file != "SHA256SUMS":
        machine.list_digests()

    ran = machine.start({})

    assert ran.returncode == 1
    said = ran.stdout.splitlines()[-1]
    assert re.match(r"bec: refused: (s3://kit/bec/1 is not the kit|files of s3://kit/bec/1 were changed)", said), said
    called = machine.called()
    assert {line.split()[0] for line in called} == {"aws", "shutdown"}
    # It is told where the fleet's log is read, too.
    [told] = [line for line in called if "put-log-events" in line]
    assert "--log-group-name /bec/ldv1 --log-stream-name i-0123/setup" in told
    assert json.loads(told.split("--log-events ")[1])[0]["message"] == said


def test_what_somebody_lays_beside_the_kit_is_not_fetched(machine: Machine) -> None:
    (machine.kit / "bec_orch-2-py3-none-any.whl").touch()

    assert machine.start({}).returncode == 0
    assert not any("bec_orch-2" in line for line in machine.called())


def test_a_kit_that_is_not_whole_is_reported(machine: Machine) -> None:
    (machine.kit / "user-data.sh").unlink()

    ran = machine.start({})

    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1] == "bec: user-data.sh could not be fetched from s3://kit/bec/1"
    assert {line.split()[0] for line in machine.called()} == {"aws", "shutdown"}
