"""Every hostile manifest and name of the list, in a volume of the real worker."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from bec_orch.io.sources.bdrc import volume_prefix
from tests.fuzz.targets import is_sentence
from tests.hostile.images import CASES as IMAGE_CASES
from tests.hostile.images import GOOD_PAGES, good_page
from tests.hostile.manifests import CASES, GOOD_NAMES, ManifestCase, entries, packed
from tests.hostile.program import MOST_MEMORY, MOST_SECONDS, Ended, bec
from tests.hostile.writing import write_manifests
from tests.support.servers.aws import Aws
from tests.support.servers.http_faults import _Handler, faulty

TASKS = """
    SELECT i_id, state, pages_ok, pages_skipped, pages_error, failure_code, failure_message, tasks.manifest_etag,
        extract(epoch FROM finished_at - started_at) AS seconds
    FROM tasks JOIN volumes ON volumes.id = volume_id
"""
ODD_ETAGS = 2

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def settings(conninfo: str, tmp_path: Path) -> dict[str, str]:
    server = conninfo_to_dict(conninfo)
    return {
        "BEC_SQL_HOST": str(server["host"]),
        "BEC_SQL_USER": str(server["user"]),
        "BEC_SQL_DATABASE": str(server["dbname"]),
        "BEC_HOME": str(tmp_path / "home"),
        "BEC_DEST_URL": (tmp_path / "artefacts").as_uri(),
        "BEC_SOURCE_LAYOUT": "bdrc",
        "BEC_MEMORY_BUDGET_MIB": "256",
        "BEC_LOG_LEVEL": "error",
    }


def tasks(conninfo: str) -> dict[str, dict[str, Any]]:
    with psycopg.connect(conninfo, row_factory=dict_row) as connection:
        return {row["i_id"]: row for row in connection.execute(TASKS.encode()).fetchall()}


def ok(ended: Ended) -> Ended:
    assert ended.code == 0, ended.err
    return ended


def test_the_list_has_61_cases() -> None:
    assert len(CASES) + ODD_ETAGS + len(IMAGE_CASES) == 61


def test_bad_manifests_and_names_end_their_volume_with_their_code_and_good_ones_are_done(
    settings: dict[str, str], conninfo: str, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    write_manifests(archive, CASES)
    settings["BEC_SOURCE_URL"] = archive.as_uri()
    ok(bec("jobs", "create", "ldv1", settings=settings))
    for skipped in {case.skipped for case in CASES}:
        volumes = [f"--volume={case.family}/{case.name}" for case in CASES if case.skipped == skipped]
        ok(bec("queue", "enqueue", "ldv1", *volumes, f"--intro-pages={skipped}", settings=settings))
    worked = bec("worker", "--job", "ldv1", "--until-empty", "--json", settings=settings)
    done = sum(case.code is None for case in CASES)
    looked_for_again = sum(case.code == "E_MANIFEST_MISSING" for case in CASES)
    assert worked.json["outcomes"] == {
        "done": done,
        "terminal_failed": len(CASES) - done,
        "retryable_failed": looked_for_again,
    }
    assert worked.peak < MOST_MEMORY

    found = tasks(conninfo)
    assert [problem for case in CASES for problem in problems(case, found[case.name], archive)] == []
    told = ok(bec("jobs", "tasks", "ldv1", "--limit", "100", "--json", settings=settings)).json
    codes = {task["volume"]["i_id"]: task["failure_code"] for task in told}
    assert codes == {case.name: case.code for case in CASES}
    groups = ok(bec("errors", "--job", "ldv1", "--limit", "100", "--json", settings=settings)).json
    assert {group["code"] for group in groups} == {case.code for case in CASES if case.code}


def problems(case: ManifestCase, task: Mapping[str, Any], archive: Path) -> list[str]:
    """Return what is not as it should be."""
    if case.code:
        # Where the archive is may be told; of the program's own temporary files nothing may.
        message = (task["failure_message"] or "").replace(archive.as_uri(), "the archive")
        expected = {
            "state": (task["state"], "terminal_failed"),
            "code": (task["failure_code"], case.code),
            "sentence": (case.name in message and is_sentence(message), True),
        }
    else:
        pages = (task["pages_ok"], task["pages_skipped"], task["pages_error"])
        expected = {
            "state": (task["state"], "done"),
            "pages": (pages, (GOOD_PAGES + len(case.files), case.skipped, 0)),
        }
    expected["in time"] = (task["seconds"] < MOST_SECONDS, True)
    return [f"{case.name}: {what}: {is_so}" for what, (is_so, should) in expected.items() if is_so != should]


KMS_ETAG = '"0d599f0ec05c3bda8c3b8a68c32a1b47"'
"""Of an object that S3 encrypts by KMS: it looks like an MD5, and is not that of the content."""


class Encrypted(_Handler):
    """Passes on what moto says, but gives every manifest the ETag of an encrypted one, which moto does not."""

    def send_header(self, keyword: str, value: str) -> None:
        is_etag = keyword.lower() == "etag" and self.path.partition("?")[0].endswith("/dimensions.json")
        super().send_header(keyword, KMS_ETAG if is_etag else value)


def put_volume(aws: Aws, bucket: str, i_id: str, *, parts: bool) -> None:
    """Put three good pages, and their manifest as a whole or by parts."""
    s3, prefix = aws.client("s3"), volume_prefix("W1", i_id)
    for name in GOOD_NAMES:
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=good_page())
    key, content = f"{prefix}/dimensions.json", packed(entries(GOOD_NAMES))
    if not parts:
        s3.put_object(Bucket=bucket, Key=key, Body=content)
        return
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    # All but the last part have 5 MB at least: the list with white space before it, not gzipped.
    bodies = (b" " * 5 * 2**20, json.dumps(entries(GOOD_NAMES)).encode())
    put = [
        s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate(bodies, 1)
    ]
    numbered = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(put, 1)]
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": numbered})


def test_etags_that_are_no_md5_are_versions_like_others(settings: dict[str, str], conninfo: str, aws: Aws) -> None:
    bucket = aws.fresh_name("archive")
    aws.client("s3").create_bucket(Bucket=bucket)
    put_volume(aws, bucket, "parts", parts=True)
    put_volume(aws, bucket, "whole", parts=False)
    credentials = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    settings |= {**credentials, "BEC_SOURCE_URL": f"s3://{bucket}", "BEC_REGION": aws.region, "BEC_QUEUE": "pg"}
    ok(bec("jobs", "create", "ldv1", settings=settings))
    with faulty(aws.endpoint_url) as encrypted:
        encrypted.RequestHandlerClass = Encrypted
        for volume, endpoint in (("parts", aws.endpoint_url), ("whole", encrypted.url)):
            there = {**settings, "AWS_ENDPOINT_URL": endpoint}
            ok(bec("queue", "enqueue", "ldv1", f"--volume=W1/{volume}", settings=there))
            ok(bec("worker", "--job", "ldv1", "--until-empty", settings=there))
    found = tasks(conninfo)
    assert {name: (task["state"], task["pages_ok"]) for name, task in found.items()} == {
        "parts": ("done", GOOD_PAGES),
        "whole": ("done", GOOD_PAGES),
    }
    assert found["parts"]["manifest_etag"].strip('"').endswith("-2")
    assert found["whole"]["manifest_etag"].strip('"') == KMS_ETAG.strip('"')
