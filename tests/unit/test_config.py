"""Settings: the order of their sources, their origins, their faults, and that secrets stay secret."""

from pathlib import Path

import pytest

from bec_orch.cli.scale.machines import machine_environment
from bec_orch.errors import ConfigError
from bec_orch.settings.config import Origin, Settings, closest, known_secrets, load_settings, variable


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_flag_beats_environment_beats_dotenv_beats_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BEC_THREADS=3\nBEC_REGION=eu-west-1\n")
    monkeypatch.setenv("BEC_THREADS", "5")
    monkeypatch.setenv("BEC_HOME", "/from/environment")
    loaded = load_settings({"home": Path("/from/flag"), "log_level": None})
    assert (loaded.settings.home, loaded.origins["home"]) == (Path("/from/flag"), Origin.FLAG)
    assert (loaded.settings.threads, loaded.origins["threads"]) == (5, Origin.ENVIRONMENT)
    assert (loaded.settings.region, loaded.origins["region"]) == ("eu-west-1", Origin.DOTENV)
    assert (loaded.settings.log_level, loaded.origins["log_level"]) == (None, Origin.DEFAULT)


def test_nothing_set_is_local_mode() -> None:
    settings = load_settings({}).settings
    assert settings.sql_host is None
    assert settings.home == Path("~/.bec").expanduser()
    assert settings.dest_url == f"{settings.home.as_uri()}/artefacts"
    assert settings.default_source is None
    assert settings.sql_sslmode == "prefer"
    assert settings.threads >= 1
    assert 256 <= settings.memory_budget_mib <= 4096


def test_the_three_variables_of_the_fleet_choose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", "db.example.org")
    monkeypatch.setenv("BEC_REGION", "us-east-1")
    monkeypatch.setenv("BEC_DEST_S3_BUCKET", "our-bucket")
    settings = load_settings({}).settings
    assert settings.dest_url == "s3://our-bucket"
    assert settings.default_source == "bdrc+s3://archive.tbrc.org"
    assert settings.uses_sqs


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "/var/run/postgresql"])
def test_tls_need_not_be_verified_on_this_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", host)
    assert load_settings({}).settings.sql_sslmode == "prefer"


def test_a_workspace_is_local_whatever_the_fleet_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", "db.example.org")
    monkeypatch.setenv("BEC_DEST_S3_BUCKET", "our-bucket")
    settings = load_settings({}).settings.in_workspace(tmp_path / "mine")
    assert settings.sql_host is None
    assert settings.home == tmp_path / "mine"
    assert settings.dest_url == (tmp_path / "mine" / "artefacts").as_uri()


def test_empty_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_REGION", "")
    loaded = load_settings({})
    assert (loaded.settings.region, loaded.origins["region"]) == (None, Origin.DEFAULT)


@pytest.mark.parametrize(
    ("name", "value"),
    [("BEC_THREADS", "many"), ("BEC_THREADS", "0"), ("BEC_LOG_FORMAT", "xml"), ("BEC_LEASE_SECONDS", "-1")],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"The setting {name} is wrong: ") as caught:
        load_settings({})
    assert "docs/configuration.md" in caught.value.hint


def test_sql_settings_without_a_host_are_refused_without_telling_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", "canary-7f3a")
    with pytest.raises(ConfigError, match="BEC_SQL_HOST is not set") as caught:
        load_settings({})
    assert "canary-7f3a" not in f"{caught.value} {caught.value.__cause__}"


def test_unknown_names_are_reported_with_the_closest_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEC_TREADS", "2")
    monkeypatch.setenv("BEC_THREADS", "2")
    (tmp_path / ".env").write_text("BEC_LEESE_SECONDS=1\nOTHER=1\nBEC_REGION=x\n")
    assert load_settings({}).unknown == ("BEC_LEESE_SECONDS", "BEC_TREADS")
    assert closest("BEC_TREADS") == "BEC_THREADS"
    assert closest("BEC_QQQQ_XXXX_ZZZZ") is None


def test_shown_settings_mask_secrets_and_name_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", "localhost")
    monkeypatch.setenv("BEC_SQL_PASSWORD", "canary-7f3a")
    rows = {row["name"]: row for row in load_settings({}).shown()}
    assert rows["BEC_SQL_PASSWORD"] == {"name": "BEC_SQL_PASSWORD", "value": "**********", "origin": "environment"}
    assert rows["BEC_REGION"] == {"name": "BEC_REGION", "value": None, "origin": "default"}
    assert "canary-7f3a" not in str(rows)


def test_known_secrets_are_ours_and_those_of_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", "localhost")
    monkeypatch.setenv("BEC_SQL_PASSWORD", "canary-one")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-two")
    assert known_secrets(load_settings({}).settings) == ["canary-one", "canary-two"]


def test_the_server_is_verified_where_there_is_something_to_verify_it_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BEC_SQL_HOST", "db.example.org")
    loaded = load_settings({})
    assert (loaded.settings.sql_sslmode, loaded.why_sslmode()) == (
        "require",
        "there is no CA to verify the server with",
    )
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_text("")
    assert load_settings({}).settings.sql_sslmode == "verify-full"
    monkeypatch.setenv("BEC_SQL_SSLROOTCERT", "/etc/bec/rds-ca.pem")
    loaded = load_settings({})
    assert (loaded.settings.sql_sslmode, loaded.why_sslmode()) == ("verify-full", "verified with /etc/bec/rds-ca.pem")
    monkeypatch.setenv("BEC_SQL_SSLMODE", "require")
    assert load_settings({}).why_sslmode() == "BEC_SQL_SSLMODE says so"
    monkeypatch.delenv("BEC_SQL_SSLMODE")
    monkeypatch.setenv("BEC_SQL_HOST", "localhost")
    assert load_settings({}).why_sslmode() == "the host is this machine"


def test_one_password_is_set_in_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", "db")
    monkeypatch.setenv("BEC_SQL_PASSWORD_FILE", "/run/password")
    assert load_settings({}).settings.has_password
    monkeypatch.setenv("BEC_SQL_PASSWORD_SECRET", "db")
    with pytest.raises(ConfigError, match="more than one of BEC_SQL_PASSWORD"):
        load_settings({})


@pytest.mark.parametrize(
    ("variables", "on_sqs"),
    [
        ({}, False),
        ({"BEC_REGION": "us-east-1"}, True),
        ({"BEC_QUEUE": "sqs"}, True),
        ({"BEC_REGION": "us-east-1", "BEC_QUEUE": "pg"}, False),
    ],
)
def test_where_queues_are(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    on_sqs: bool,  # noqa: FBT001  (what the case expects)
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = load_settings({}).settings
    assert settings.uses_sqs is on_sqs
    assert not settings.in_workspace(tmp_path).uses_sqs


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_S3_REQUESTER_PAYS", "one, two,")
    loaded = load_settings({})
    assert loaded.settings.s3_requester_pays == ("one", "two")
    rows = {row["name"]: row["value"] for row in loaded.shown()}
    assert (rows["BEC_S3_REQUESTER_PAYS"], rows["BEC_S3_ANONYMOUS"]) == ("one,two", None)


def test_the_endpoint_of_aws_has_the_name_that_its_tools_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    loaded = load_settings({})
    assert (loaded.settings.aws_endpoint_url, loaded.origins["aws_endpoint_url"]) == (
        "http://minio:9000",
        Origin.ENVIRONMENT,
    )


def test_machines_get_what_is_set_here_but_what_is_this_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "BEC_SQL_HOST": "db",
        "BEC_REGION": "us-east-1",
        "BEC_DEST_S3_BUCKET": "results",
        "BEC_S3_REQUESTER_PAYS": "one,two",
        "BEC_LEASE_SECONDS": "60",
    }
    own = {
        "BEC_SQL_USER": "bec",
        "BEC_SQL_PASSWORD_SECRET": "password-of-bec",
        "BEC_EC2_SQL_PASSWORD_SECRET": "password-of-bec_worker",
        "AWS_ENDPOINT_URL": "http://minio:9000",
        "BEC_EC2_DISK_GIB": "50",
        "BEC_HOME": "/home/me",
        "BEC_IMDS_URL": "http://imds",
        "BEC_LOG_FORMAT": "text",
        "BEC_MEMORY_BUDGET_MIB": "512",
        "BEC_PRICES_FILE": "/prices.toml",
        "BEC_THREADS": "2",
    }
    for name, value in {**given, **own}.items():
        monkeypatch.setenv(name, value)
    theirs = {"BEC_SQL_USER": "bec_worker", "BEC_SQL_PASSWORD_SECRET": "password-of-bec_worker"}
    assert machine_environment(load_settings({})) == {**given, "BEC_LEASE_SECONDS": "60.0", **theirs}


def test_machines_do_not_connect_as_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BEC_SQL_USER", "BEC_EC2_SQL_USER"):
        monkeypatch.setenv(name, "owner")
    monkeypatch.setenv("BEC_SQL_HOST", "db")
    monkeypatch.setenv("BEC_DEST_S3_BUCKET", "results")
    with pytest.raises(ConfigError, match="as owner, as you do") as caught:
        machine_environment(load_settings({}))
    assert "deploy/worker-grants.sql" in caught.value.hint


def test_machines_do_not_run_what_they_can_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", "db")
    monkeypatch.setenv("BEC_DEST_URL", "s3://results/of/ours")
    monkeypatch.setenv("BEC_EC2_KIT_URL", "s3://results/kit/1")
    with pytest.raises(ConfigError, match="lies in the bucket that they write artefacts to"):
        machine_environment(load_settings({}))
    monkeypatch.setenv("BEC_EC2_KIT_URL", "s3://kits/1")
    assert machine_environment(load_settings({}))


def test_queues_can_be_named_by_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_SQS_QUEUE_URLS", "ldv1=https://sqs/1/lines?a=b, ocr=https://sqs/1/text")
    assert load_settings({}).settings.queue_urls == {"ldv1": "https://sqs/1/lines?a=b", "ocr": "https://sqs/1/text"}
    monkeypatch.setenv("BEC_SQS_QUEUE_URLS", "https://sqs/1/lines")
    with pytest.raises(ConfigError, match=r"BEC_SQS_QUEUE_URLS is wrong: .* is not JOB=URL"):
        load_settings({})
