"""The password that others keep for us, and who we are to AWS."""

import json
from pathlib import Path

import pytest

from bec_orch.errors import ConfigError, RetryableError
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.aws.identity import identity
from bec_orch.io.aws.secrets import password_of_file, password_of_secret
from tests.support.servers.aws import Aws


def options(aws: Aws) -> AwsOptions:
    return AwsOptions(aws.region, aws.endpoint_url)


@pytest.mark.parametrize("text", ["canary", json.dumps({"username": "bec", "password": "canary"})])
def test_a_secret_is_the_password_or_holds_it(aws: Aws, text: str) -> None:
    name = aws.fresh_name("secret")
    aws.client("secretsmanager").create_secret(Name=name, SecretString=text)
    assert password_of_secret(name, options(aws)) == "canary"


def test_a_password_of_digits_is_no_json(aws: Aws) -> None:
    name = aws.fresh_name("secret")
    aws.client("secretsmanager").create_secret(Name=name, SecretString="12345678")
    assert password_of_secret(name, options(aws)) == "12345678"


def test_a_secret_without_a_password_and_one_that_is_not_there_are_reported(aws: Aws) -> None:
    name = aws.fresh_name("secret")
    aws.client("secretsmanager").create_secret(Name=name, SecretString='{"username": "bec"}')
    with pytest.raises(ConfigError, match="holds no password") as empty:
        password_of_secret(name, options(aws))
    with pytest.raises(ConfigError, match="did not give the secret nowhere") as missing:
        password_of_secret("nowhere", options(aws))
    assert (empty.value.code, missing.value.code) == ("E_SECRET", "E_SECRET")
    assert "BEC_SQL_PASSWORD_SECRET" in missing.value.hint


def test_we_are_somebody(aws: Aws) -> None:
    assert identity(options(aws)).startswith("arn:aws:")


@pytest.mark.usefixtures("aws_credentials")
def test_what_is_away_is_to_be_tried_again() -> None:
    # Nobody listens at port 1.
    away = AwsOptions("us-east-1", "http://127.0.0.1:1")
    with pytest.raises(RetryableError) as secret:
        password_of_secret("name", away)
    with pytest.raises(RetryableError) as who:
        identity(away)
    assert (secret.value.code, who.value.code) == ("E_SECRET_AWAY", "E_AWS_AWAY")


def test_without_credentials_it_says_what_to_do(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError) as secret:
        password_of_secret("name", options(aws))
    with pytest.raises(ConfigError) as who:
        identity(options(aws))
    assert (secret.value.code, who.value.code) == ("E_SECRET_CREDENTIALS", "E_AWS_CREDENTIALS")


def test_a_file_holds_the_password_in_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("canary\n\n")
    assert password_of_file(file) == "canary"
    file.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        password_of_file(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        password_of_file(tmp_path / "missing")
