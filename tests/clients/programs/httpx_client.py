import os
import ssl

import httpx

url, key = os.environ["BASE_URL"], os.environ["API_KEY"]
with httpx.Client(headers={"Authorization": "Bearer " + key}, verify=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]), timeout=30) as client:
    hello = client.get(url)
    refused = client.get(url, headers={"Authorization": "Bearer own"})
    uploaded = client.post(url + "/upload", content=iter([b"up", b"loaded"]))
print(hello.text, refused.status_code, uploaded.text)
