import os

import requests

url, key = os.environ["BASE_URL"], os.environ["API_KEY"]
session = requests.Session()
session.headers["Authorization"] = "Bearer " + key
hello = session.get(url, timeout=30)
refused = session.get(url, headers={"Authorization": "Bearer own"}, timeout=30)
uploaded = session.post(url + "/upload", data=iter([b"up", b"loaded"]), timeout=30)
events = [line for line in session.post(url, data='{"stream":true}', timeout=30, stream=True).iter_lines() if line]
print(hello.text, refused.status_code, uploaded.text, len(events))
