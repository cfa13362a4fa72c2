import io
import os

import boto3
from botocore.config import Config
from botocore.parsers import ResponseParserError

once = {"total_max_attempts": 1}
s3 = boto3.client("s3", endpoint_url=os.environ["BASE_URL"], config=Config(s3={"addressing_style": "path"}, retries=once))
said = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
said.append(s3.get_object(Bucket="bucket", Key="a b")["Body"].read().decode())
s3.put_object(Bucket="bucket", Key="bytes", Body=b"some bytes")
s3.put_object(Bucket="bucket", Key="stream", Body=io.BytesIO(b"a stream"))
s3.upload_fileobj(io.BytesIO(b"x" * 9000000), "bucket", "parts")
bedrock = boto3.client("bedrock-runtime", endpoint_url=os.environ["BASE_URL"], config=Config(retries=once))
said.append(bedrock.invoke_model(modelId="anthropic.claude-v2:1", body=b"{}")["body"].read().decode())
sts = boto3.client("sts", endpoint_url=os.environ["BASE_URL"], config=Config(retries=once))
said.append(sts.get_caller_identity()["Account"])
try:
    sts.get_session_token()
except ResponseParserError as error:  # the refusal is JSON, where STS writes XML
    said.append("credential_issuing_call" if "credential_issuing_call" in str(error) else str(error))
print(*said)
