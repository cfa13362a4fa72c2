import os

from google import genai
from google.genai import types

client = genai.Client(api_key=os.environ["API_KEY"], http_options=types.HttpOptions(base_url=os.environ["BASE_URL"] + "/genai", timeout=30000))
print(client.models.generate_content(model="m1", contents="hi").text)
