"""The store suite over S3, as moto plays it."""

import pytest

from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import S3Options, Stores
from tests.conformance.store_suite import StoreSuite
from tests.support.servers.aws import Aws


class TestS3Store(StoreSuite):
    @pytest.fixture
    def objects(self, aws: Aws) -> Objects:
        bucket = aws.fresh_name("artefacts")
        aws.client("s3").create_bucket(Bucket=bucket)
        return Stores(S3Options(aws.endpoint_url, aws.region)).open(f"s3://{bucket}/some%20where")
