import asyncio
import os

import aiohttp


async def upload():
    yield b"up"
    yield b"loaded"


async def main():
    url, key = os.environ["BASE_URL"], os.environ["API_KEY"]
    async with aiohttp.ClientSession(trust_env=True, headers={"Authorization": "Bearer " + key}) as session:
        async with session.get(url) as answer:
            hello = await answer.text()
        async with session.get(url, headers={"Authorization": "Bearer own"}) as answer:
            refused = answer.status
        async with session.post(url + "/upload", data=upload()) as answer:
            uploaded = await answer.text()
        async with session.post(url, data='{"stream":true}') as answer:
            events = [line async for line in answer.content if line.strip()]
        async with session.ws_connect(url + "/ws") as socket:
            await socket.send_str("hello")
            echo = await socket.receive_str()
    print(hello, refused, uploaded, len(events), echo)


asyncio.run(main())
