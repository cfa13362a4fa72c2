import os

import urllib3

url, key = os.environ["BASE_URL"], os.environ["API_KEY"]
pool = urllib3.ProxyManager(os.environ["HTTPS_PROXY"], ca_certs=os.environ["SSL_CERT_FILE"], retries=False, timeout=30)
hello = pool.request("GET", url, headers={"Authorization": "Bearer " + key})
refused = pool.request("GET", url, headers={"Authorization": "Bearer own"})
uploaded = pool.request("POST", url + "/upload", headers={"Authorization": "Bearer " + key}, body=iter([b"up", b"loaded"]))
print(hello.data.decode(), refused.status, uploaded.data.decode())
