import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

question = {"model": "openai/m1", "api_base": os.environ["BASE_URL"] + "/v1", "api_key": os.environ["API_KEY"], "messages": [{"role": "user", "content": "hi"}], "num_retries": 0, "timeout": 30}
whole = litellm.completion(**question)
pieces = litellm.completion(**question, stream=True)
print(whole.choices[0].message.content, "".join(piece.choices[0].delta.content or "" for piece in pieces))
