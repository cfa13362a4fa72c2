import os

import anthropic

client = anthropic.Anthropic(api_key=os.environ["API_KEY"], base_url=os.environ["BASE_URL"] + "/anthropic", timeout=30, max_retries=0)
question = {"model": "m1", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
message = client.messages.create(**question)
with client.messages.stream(**question) as stream:
    print(message.content[0].text, "".join(stream.text_stream))
