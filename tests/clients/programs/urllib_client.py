import os
import urllib.request

request = urllib.request.Request(os.environ["BASE_URL"], headers={"Authorization": "Bearer " + os.environ["API_KEY"]})
with urllib.request.urlopen(request, timeout=30) as answer:
    print(answer.read().decode())
