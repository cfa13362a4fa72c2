import os

os.environ["HF_ENDPOINT"] = os.environ["BASE_URL"]
from huggingface_hub import HfApi

print(HfApi(token=os.environ["API_KEY"]).whoami()["name"])
