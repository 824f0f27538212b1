"""The command lines of the earlier system's scripts and units: each does what it did, or says what to write instead."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bec_orch.cli.arguments import earlier
from bec_orch.errors import UsageError
from bec_orch.settings.config import Settings, variable
from tests.acceptance.conftest import Bec, Ended, ok, write_scans
from tests.support.commands import COMMANDS

_VISIBILITY = "--visibility-timeout 60 --visibility-extend-every 20 --visibility-max-total 3600"
# In the order of a script: what a line needs, those before it have made. `LIST` is a file of volumes.
WORKING = [
    ("jobs create --name toy-scripts", "jobs create toy-scripts --type toy"),
    ("jobs create --name toy-text --config-text '{\"factor\": 2}'", "jobs create toy-text --type toy --config-text"),
    ("jobs create --name toy-file --config CONFIG", "jobs create toy-file --type toy --config CONFIG"),
    ("jobs create --name=toy --region eu-west-1", "jobs create toy"),
    ("jobs list", ""),
    ("jobs show toy", ""),
    ("jobs show 1", "jobs show toy-scripts"),
    ("jobs update toy --config CONFIG", ""),
    ("jobs stats toy", ""),
    ("jobs stats 1", "jobs stats toy-scripts"),
    ("queue enqueue --job-name toy --file LIST", "queue enqueue toy --file LIST"),
    ("queue enqueue --job-name toy --volume W1,I1 --volume W1,I2", "queue enqueue toy --volume W1/I1 --volume W1/I2"),
    ("queue enqueue --job-name toy --file LIST --limit 1", "queue enqueue toy --file LIST --limit 1"),
    ("queue enqueue --job-name toy --file LIST -n 1 -f", "queue enqueue toy --file LIST --limit 1 --force"),
    ("queue enqueue --job-name toy --file LIST --force", "queue enqueue toy --file LIST --force"),
    ("jobs tasks toy", ""),
    ("jobs tasks toy --limit 3 --status running", "jobs tasks toy --limit 3 --state running"),
    ("jobs tasks 1", "jobs tasks toy-scripts"),
    ("queue stats --job-name toy", "queue stats toy"),
    ("worker --job-name toy --shutdown-after-empty 1", "worker --job toy --until-empty"),
    (
        f"worker --job-name toy {_VISIBILITY} --poll-wait 1 --shutdown-after-empty 3 --model-path /models/lines",
        "BEC_LEASE_SECONDS=60 BEC_POLL_SECONDS=1 BEC_LD_MODEL_PATH=/models/lines bec worker --job toy --until-empty",
    ),
    ("run-volume --job-name toy --w W1 --i I1", "run-volume toy W1 I1"),
    (
        "run-volume --job-name toy --w W1 --i I1 --source bdrc -f -v",
        "BEC_LOG_LEVEL=debug bec run-volume toy W1 I1 --force",
    ),
    ("workers list", "workers --all"),
    ("workers list --active -n 5", "workers --limit 5"),
    ("errors list", "errors"),
    ("errors list --full", "errors"),
    ("errors show W1/I1", ""),
    ("errors show W1,I1 --full", "errors show W1/I1"),
    ("queue purge --job-name toy --yes", "queue purge toy --yes"),
    ("queue redrive toy --max-messages 5", "queue redrive toy --limit 5"),
    ("-v jobs list", "BEC_LOG_LEVEL=debug bec jobs list"),
    ("jobs delete toy-text --yes", ""),
]

REFUSED = [
    (
        "jobs create --name toy-q --queue-url U --dlq-url U",
        "BEC_SQS_QUEUE_URLS=toy-q=URL bec jobs create toy-q --type toy",
    ),
    (
        "jobs create --name new --queue-url U --max-attempts 3",
        "BEC_SQS_QUEUE_URLS=new=URL bec jobs create new --type TYPE --max-attempts 3",
    ),
    ("jobs create --name toy --queue-url U", "BEC_SQS_QUEUE_URLS=toy=URL bec jobs create toy"),
    ("jobs update 1 --config CONFIG", "bec jobs update toy-scripts --config CONFIG"),
    ("jobs delete 1 --yes", "bec jobs delete toy-scripts --yes"),
    ("jobs stats toy --worker 3", "bec workers --job toy"),
    ("jobs tasks toy --worker 3", "bec workers --job toy"),
    ("queue redrive --source-queue-url U --dest-queue-url U", "bec queue redrive JOB --limit N"),
    ("queue redrive --source-queue-url U --dest-queue-url U --max-messages 5", "bec queue redrive JOB --limit N"),
    (
        "run-volume --job-name toy --w W1 --i I1 --source ocr_benchmark",
        "bec run-volume toy W_ID I_ID --source folder+s3://BUCKET/PREFIX",
    ),
    ("run-volume --job-name toy --w W1 --i I1 --i-version v3", "bec run-volume toy W_ID I_ID"),
    ("workers show i-0123", "bec workers --all"),
    ("workers stats --active", "bec jobs stats JOB"),
    ("errors list --type ValueError", "bec jobs tasks JOB --code E_CODE"),
    ("errors recent --full", "bec jobs tasks JOB --state terminal_failed"),
]


@pytest.fixture
def home(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database, a source with volumes, a list and a config in the current folder."""
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2, "W1/I2": 1})
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_URL", scans.as_uri())
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    monkeypatch.setenv("BEC_QUEUE", "pg")
    Path("LIST").write_text("# volumes\nW1,I1\nW1 I2\nW1,I1,folder,c746ca\n")
    Path("CONFIG").write_text('{"factor": 3}')
    return tmp_path / "home"


def called(bec: Bec, line: str) -> Ended:
    return bec(*shlex.split(line))


def read_as(ended: Ended) -> str:
    """Return what a line was read as; empty where it is one of ours."""
    found = re.findall(r"^note: A command line of the earlier system, read as: (.*)$", ended.err, re.MULTILINE)
    return found[0].replace("\\'", "'") if found else ""


def test_the_lines_of_a_script_do_what_they_did(bec: Bec, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line, ours in WORKING:
        ended = called(bec, line)
        assert ended.code == 0, f"{line}: {ended.err}"
        assert ours in read_as(ended), line
        assert bool(ours) == bool(read_as(ended)), line
    assert {job["name"] for job in ok(bec("jobs", "list", "--json")).json} == {"toy", "toy-scripts", "toy-file"}
    states = [task["state"] for task in ok(bec("jobs", "tasks", "toy", "--json")).json]
    assert states.count("done") >= 2


def test_what_cannot_mean_the_same_says_what_to_write(bec: Bec, home: Path) -> None:
    ok(called(bec, "jobs create --name toy-scripts"))
    ok(called(bec, "jobs create --name toy"))
    for line, instead in REFUSED:
        ended = called(bec, line)
        assert ended.code == 2, line
        error, hint = ended.err.splitlines()
        assert error.startswith("error E_EARLIER_LINE: "), line
        assert hint == f"hint: Write `{instead}`.", line
    assert len(ok(bec("jobs", "list", "--json")).json) == 2


def test_every_line_of_its_table_is_walked(shared_data: Path) -> None:
    table = (
        (shared_data / "earlier_system" / "FACTS.md").read_text("utf-8").split("## Command lines")[1].split("```")[1]
    )
    walked = [line for line, _ in (*WORKING, *REFUSED)]
    for option in sorted(set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", table))):
        assert any(option in re.split(r"[ =]", line) for line in [*walked, *SETTINGS]), option
    for group, names in re.findall(r"bec (\w+) ((?:\w+\|)+\w+)", table):
        for name in names.split("|"):
            assert any(line.startswith(f"{group} {name}") for line in walked), f"{group} {name}"


SETTINGS = {
    "worker --job-name x --s3-source-bucket pages": {"source_url": "s3://pages"},
    "worker --job-name x --s3-dest-bucket texts": {"dest_s3_bucket": "texts", "dest_url": "s3://texts"},
    "worker --job-name x --region eu-west-1 --shutdown-after-empty 0": {"region": "eu-west-1"},
}


@pytest.mark.parametrize("line", SETTINGS)
def test_settings_of_a_line_are_those_of_its_command(line: str) -> None:
    reading = earlier.read(line.split())
    assert (reading.arguments, reading.settings) == (["worker", "--job", "x"], SETTINGS[line])


def test_a_worker_whose_region_is_given_asks_there(bec: Bec, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEC_QUEUE")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    ok(called(bec, "jobs create --name toy"))
    ended = called(bec, "jobs create --name toy-far --region eu-west-1")
    assert ended.code in {1, 5}
    assert ended.err.splitlines()[-2].startswith("error E_QUEUE_")


def options_of_the_layer() -> Iterator[tuple[str, str]]:
    for words, form in earlier._COMMANDS.items():
        for option in form.options:
            yield " ".join(form.words or words), option


@pytest.mark.parametrize(("command", "option"), sorted(options_of_the_layer()))
def test_no_option_of_ours_is_read_otherwise(command: str, option: str) -> None:
    ours = COMMANDS[command].options if command in COMMANDS else frozenset()
    # Only their values differ, and only those that ours would refuse are read otherwise.
    assert option not in ours or (command, option) in {("queue enqueue", "--volume"), ("run-volume", "--source")}


@pytest.mark.parametrize(
    "line",
    [
        "queue enqueue toy --volume W1/I1 --volume W,1/I1 --source folder+file:///x --limit 3",
        "run-volume toy W1 I1 --source folder+file:///x --force",
        "--home /x --debug worker --job toy --until-empty",
        "jobs tasks --limit 5 toy",
        "errors show W1/I1 --job toy",
        "workers --all",
        "export toy --volume W1,I1",
        "jobs create toy -- --name",
        "--version",
        "",
        "--home",
        "nonsense --job-name x",
    ],
)
def test_lines_of_ours_are_handed_on_as_they_are(line: str) -> None:
    assert earlier.read(line.split()) == earlier.Reading(line.split())


@pytest.mark.parametrize("volume", ["W1,I1,v3", "W1", "W1/I1,2"])
def test_what_is_no_volume_of_its_form_is_left_to_ours(volume: str) -> None:
    assert earlier.read(["queue", "enqueue", "x", "--volume", volume]).arguments[-1] == volume


def test_an_option_without_its_value_is_reported() -> None:
    with pytest.raises(UsageError, match="--job-name needs a value"):
        earlier.read(["worker", "--job-name"])


def test_a_job_that_has_a_number_for_its_name_keeps_it(bec: Bec, home: Path) -> None:
    ok(bec("jobs", "create", "toy"))
    ok(bec("jobs", "create", "1", "--type", "toy"))
    assert ok(bec("jobs", "show", "1", "--json")).json["name"] == "1"
    assert bec("jobs", "show", "99").err.startswith("error E_JOB_UNKNOWN: There is no job '99'.")
    ok(bec("jobs", "delete", "1"))


def test_of_its_environment_it_says_what_is_in_its_place(bec: Bec, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in earlier.VARIABLES:
        monkeypatch.setenv(name, "x")
    told = ok(bec("jobs", "list")).err.splitlines()
    assert told == [
        line
        for name, hint in sorted(earlier.VARIABLES.items())
        for line in (f"warning: {name} is set, but not a setting.", f"hint: {hint}")
    ]
    known = {variable(field) for field in Settings.model_fields}
    named = set(re.findall(r"\bBEC_\w+", " ".join(earlier.VARIABLES.values())))
    assert named
    assert named <= known
