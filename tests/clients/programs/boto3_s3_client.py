import io
import os
import time

import boto3
from botocore import UNSIGNED
from botocore.config import Config

client = boto3.client("s3", endpoint_url=os.environ["BASE_URL"], config=Config(signature_version=UNSIGNED, request_checksum_calculation="when_required", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
client.meta.events.register("before-send.s3", lambda request, **_: request.headers.__setitem__("Authorization", "Bearer " + os.environ["API_KEY"]))
began = time.monotonic()
client.put_object(Bucket="bucket", Key="empty", Body=io.BytesIO(b""))
took = time.monotonic() - began
client.put_object(Bucket="bucket", Key="full", Body=io.BytesIO(b"full"))
print(took)
