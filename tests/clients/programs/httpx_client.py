import os
import ssl

import httpx

url, key = os.environ["BASE_URL"], os.environ["API_KEY"]
with httpx.Client(headers={"Authorization": "Bearer " + key}, verify=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]), timeout=30) as client:
    hello = client.get(url)
    refused = client.get(url, headers={"Authorization": "Bearer own"})
    uploaded = client.post(url + "/upload", content=iter([b"up", b"loaded"]))
    with client.stream("POST", url, content='{"stream":true}') as stream:
        events = [line for line in stream.iter_lines() if line]
print(hello.text, refused.status_code, uploaded.text, len(events))
