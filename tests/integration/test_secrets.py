"""Passwords from files and from AWS Secrets Manager, as moto plays it."""

import json
from pathlib import Path

import pytest

from bec_orch.errors import ConfigError, RetryableError
from bec_orch.io.aws import AwsOptions
from bec_orch.io.secrets import password_of_file, password_of_secret
from tests.aws import REGION, Aws
from tests.http_faults import Fault, faulty

CANARY = "canary-4711"


class TestFile:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_of_one_line(self, tmp_path: Path, end: str) -> None:
        file = tmp_path / "password"
        file.write_bytes(f" {CANARY} ཀ{end}".encode())
        assert password_of_file(file) == f" {CANARY} ཀ"

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
    def test_without_a_password_is_told(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "password"
        file.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            password_of_file(file)
        assert caught.value.code == "E_SECRET"
        assert str(file) in caught.value.message

    def test_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="No such file"):
            password_of_file(tmp_path / "no")


def stored(aws: Aws, content: str) -> str:
    name = aws.fresh_name("secret")
    aws.client("secretsmanager").create_secret(Name=name, SecretString=content)
    return password_of_secret(name, AwsOptions(aws.region, aws.endpoint_url))


class TestSecret:
    @pytest.mark.parametrize("content", [CANARY, json.dumps({"username": "bec", "password": CANARY})])
    def test_gives_what_it_holds(self, aws: Aws, content: str) -> None:
        assert stored(aws, content) == CANARY

    def test_digits_are_a_password(self, aws: Aws) -> None:
        assert stored(aws, "4711") == "4711"

    @pytest.mark.parametrize("content", ["{}", '{"password": null}', '{"pass": "canary-4711"}'])
    def test_without_a_password_is_told_and_not_shown(self, aws: Aws, content: str) -> None:
        with pytest.raises(ConfigError) as caught:
            stored(aws, content)
        assert caught.value.code == "E_SECRET"
        assert CANARY not in caught.value.message + caught.value.hint

    def test_that_is_not_there_is_told_by_name(self, aws: Aws) -> None:
        with pytest.raises(ConfigError, match="bec/no") as caught:
            password_of_secret("bec/no", AwsOptions(aws.region, aws.endpoint_url))
        assert "BEC_REGION" in caught.value.hint

    @pytest.mark.parametrize(
        ("code", "hint"),
        [
            ("AccessDeniedException", "secretsmanager:GetSecretValue"),
            ("ExpiredTokenException", "Log in"),
            ("InvalidRequestException", "BEC_SQL_PASSWORD_SECRET"),
        ],
    )
    def test_refusals_are_told_apart_by_code(self, aws: Aws, code: str, hint: str) -> None:
        with faulty(aws.endpoint_url) as proxy:
            body = json.dumps({"__type": code, "message": "no"}).encode()
            proxy.faults.append(Fault("status", "POST", "/", 400, body))
            with pytest.raises(ConfigError) as caught:
                password_of_secret("bec/x", AwsOptions(aws.region, proxy.url))
        assert hint in caught.value.hint

    @pytest.mark.usefixtures("aws_credentials")
    def test_nobody_there_may_be_tried_again(self) -> None:
        with pytest.raises(RetryableError) as caught:
            password_of_secret("bec/x", AwsOptions(REGION, "http://127.0.0.1:1"))
        assert caught.value.code == "E_SECRET_AWAY"
