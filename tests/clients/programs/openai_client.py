import os

import openai

client = openai.OpenAI(api_key=os.environ["API_KEY"], base_url=os.environ["BASE_URL"] + "/v1", timeout=30, max_retries=0)
models = [model.id for model in client.models.list()]
stream = client.chat.completions.create(model="m1", messages=[{"role": "user", "content": "hi"}], stream=True)
print(*models, "".join(chunk.choices[0].delta.content or "" for chunk in stream))
