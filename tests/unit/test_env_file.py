"""The file `.env` of a folder that somebody else filled: it takes nothing away, and sends nothing anywhere."""

import os
from pathlib import Path

import pytest

from bec_orch.cli.program import run
from bec_orch.errors import ConfigError
from bec_orch.settings.config import Origin, Settings, load_settings, variable
from bec_orch.settings.env_file import NEVER, read_env_file


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text("BEC_THREADS=3\n")
    path.chmod(0o644)
    return path


def refused(code: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings({})
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"BEC_SQL_HOST": "db", "BEC_SQL_PASSWORD": "canary-7f3a"}, "BEC_SQL_SSLMODE=disable"),
        ({"BEC_SQL_HOST": "db", "BEC_SQL_SSLMODE": "verify-full"}, "BEC_SQL_SSLROOTCERT=/tmp/theirs.pem"),
        ({"BEC_SQL_PASSWORD": "canary-7f3a"}, "BEC_SQL_HOST=theirs.example.org"),
        ({"bec_sql_password": "canary-7f3a"}, "bec_sql_host=theirs.example.org"),
        ({"BEC_SOURCE_URL": "s3://archive"}, "BEC_DEST_URL=s3://theirs"),
        ({"BEC_DEST_S3_BUCKET": "results"}, "BEC_DEST_URL=s3://theirs"),
        ({"BEC_DEST_S3_BUCKET": "results"}, "BEC_LD_MODEL_PATH=/tmp/theirs"),
        ({"BEC_REGION": "us-east-1"}, "BEC_SQS_QUEUE_URLS=ldv1=https://theirs.example.org"),
        ({"BEC_REGION": "us-east-1"}, "BEC_QUEUE=pg"),
        ({"BEC_EC2_SUBNETS": "subnet-1"}, "BEC_EC2_IMAGE=ami-theirs"),
    ],
)
def test_what_belongs_together_comes_from_one_place(
    monkeypatch: pytest.MonkeyPatch, env_file: Path, environment: dict[str, str], line: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    env_file.write_text(f"{line}\n")

    error = refused("E_ENV_FILE_MIXED")

    name, beside = line.partition("=")[0].upper(), min(environment).upper()
    assert error.message == f"{name} is set in {env_file}, but {beside} in the environment."
    assert "docs/configuration.md" in error.hint
    assert "canary" not in f"{error} {error.hint}"


def test_a_whole_group_may_come_from_the_file(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    monkeypatch.setenv("BEC_DEST_S3_BUCKET", "results")
    env_file.write_text("BEC_SQL_HOST=db\nBEC_SQL_USER=bec\nBEC_SQL_PASSWORD=pass$word${HOME}\n")

    loaded = load_settings({})

    assert loaded.origins["sql_host"] is Origin.DOTENV
    # Nothing of the environment is put into a value.
    assert loaded.settings.sql_password
    assert loaded.settings.sql_password.get_secret_value() == "pass$word${HOME}"


def test_what_the_environment_sets_itself_the_file_may_repeat(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", "db")
    monkeypatch.setenv("BEC_HOME", "/home/me/bec")
    env_file.write_text("BEC_SQL_HOST=theirs.example.org\nBEC_HOME=/tmp/theirs\n")

    loaded = load_settings({})

    assert (loaded.settings.sql_host, loaded.settings.home) == ("db", Path("/home/me/bec"))


def test_an_empty_variable_of_the_environment_sets_nothing(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", "")
    env_file.write_text("BEC_SQL_HOST=db\n")

    assert load_settings({}).settings.sql_host == "db"


@pytest.mark.parametrize("name", sorted(NEVER))
def test_what_reaches_beyond_the_file_is_never_taken_from_it(env_file: Path, name: str) -> None:
    env_file.write_text(f"{name}=x\n")

    error = refused("E_ENV_FILE_NAME")

    assert error.message == f"{name} is set in {env_file}, and is never taken from such a file."
    assert f"set {name} in the environment" in error.hint


def test_every_name_that_is_never_taken_is_a_setting() -> None:
    assert {variable(field) for field in Settings.model_fields} >= NEVER


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o602, 0o620])
def test_a_file_that_others_may_write_is_refused(env_file: Path, mode: int) -> None:
    env_file.chmod(mode)

    error = refused("E_ENV_FILE")

    assert error.message == f"The settings in {env_file} are refused: users other than you may write it."
    assert "chmod go-w" in error.hint


def test_a_file_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    owner = env_file.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    if owner == 0:
        assert load_settings({}).settings.threads == 3  # root's is believed
    monkeypatch.setattr("bec_orch.settings.env_file._ROOT", owner + 2)

    assert f"it belongs to the user {owner}, not to you" in refused("E_ENV_FILE").message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_link_of_somebody_else_to_a_file_of_ours_is_refused(tmp_path: Path, env_file: Path) -> None:
    ours = env_file.rename(tmp_path / "ours")
    env_file.symlink_to(ours)
    assert load_settings({}).settings.threads == 3
    os.lchown(env_file, 12345, -1)

    assert "it belongs to the user 12345, not to you" in refused("E_ENV_FILE").message


def test_a_file_of_another_program_is_nothing_to_us(env_file: Path) -> None:
    env_file.write_text("DJANGO_SECRET=x\n")
    env_file.chmod(0o666)

    assert load_settings({}).unknown == ()


def test_a_folder_or_a_pipe_of_that_name_is_no_file_of_settings(env_file: Path) -> None:
    env_file.unlink()
    os.mkfifo(env_file)
    assert load_settings({}).settings.region is None
    env_file.unlink()
    env_file.mkdir()
    assert load_settings({}).settings.region is None


def test_a_file_that_cannot_be_read_is_reported(env_file: Path) -> None:
    env_file.write_bytes(b"BEC_REGION=\xff\n")

    assert "it cannot be read" in refused("E_ENV_FILE").message


def test_no_value_steers_the_terminal(env_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env_file.write_text('BEC_REGION="eu\x1b]0;x\x07"\n')
    assert run(["config", "show"]) == 2
    told = capsys.readouterr()
    assert "The setting BEC_REGION is wrong: it holds a line break or a control character" in told.err
    env_file.write_text("BEC_\x1b[2J=1\n")
    assert run(["config", "show"]) == 0
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err


@pytest.mark.parametrize("line", ['"BEC_HOME"=/x', "'BEC_REGION' x", "BEC_HOME", "export BEC_THREADS: 3", "BEC_X='a"])
def test_a_line_about_us_that_cannot_be_read_is_reported(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"OTHER=1\n{line}\n")
    if line == "BEC_HOME":
        assert read_env_file(file) == {"OTHER": "1", "BEC_HOME": None}
        return
    with pytest.raises(ConfigError) as caught:
        read_env_file(file)
    assert caught.value.code == "E_ENV_FILE"
    assert "line 2" in caught.value.message
    assert (capfd.readouterr().err, caplog.text) == ("", "")


def test_lines_of_others_are_passed_over_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / ".env"
    file.write_text('if [ x ]; then\n# BEC_HOME of mine: \'x\n"QUOTED"=1\nBEC_THREADS=2\n')
    assert read_env_file(file)["BEC_THREADS"] == "2"
    assert (capfd.readouterr().err, caplog.text) == ("", "")
