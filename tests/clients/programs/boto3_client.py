import os

import boto3

client = boto3.client("bedrock-runtime", endpoint_url=os.environ["BASE_URL"])
answer = client.converse(modelId="m1", messages=[{"role": "user", "content": [{"text": "hi"}]}])
print(answer["output"]["message"]["content"][0]["text"])
