import os

from websockets.sync.client import connect

with connect(os.environ["BASE_URL"].replace("https", "wss") + "/ws", additional_headers={"Authorization": "Bearer " + os.environ["API_KEY"]}) as socket:
    socket.send("hello")
    print(socket.recv(timeout=30))
