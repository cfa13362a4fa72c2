import os
from urllib.parse import urlsplit

import websocket

proxy = urlsplit(os.environ["HTTPS_PROXY"])
socket = websocket.create_connection(os.environ["BASE_URL"].replace("https", "wss") + "/ws", header=["Authorization: Bearer " + os.environ["API_KEY"]], timeout=30,
                                     http_proxy_host=proxy.hostname, http_proxy_port=proxy.port, proxy_type="http", sslopt={"ca_certs": os.environ["SSL_CERT_FILE"]})
socket.send("hello")
print(socket.recv())
socket.close()
