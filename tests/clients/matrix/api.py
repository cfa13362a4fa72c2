"""The origin that SDKs and HTTP clients expect: models, completions whole and as events, WebSocket echoes; else the body comes back."""
import base64
import hashlib
import json

from harness.upstream import answer

JSON = [("Content-Type", "application/json")]
EVENTS = [b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n', b'data: {"choices":[{"index":0,"delta":{"content":"two"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
USAGE = {"input_tokens": 1, "output_tokens": 1}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m1", "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn", "stop_sequence": None, "usage": USAGE}


def event(kind, **more):
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **more}).encode())


ANTHROPIC_EVENTS = [event("message_start", message=MESSAGE | {"content": [], "stop_reason": None}), event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
                    *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in ("one", "two")), event("content_block_stop", index=0),
                    event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 1}), event("message_stop")]
WHOLE = {"/v1/models": {"object": "list", "data": [{"id": "m1", "object": "model", "created": 1, "owned_by": "x"}]},
         "/v1/chat/completions": {"id": "c", "object": "chat.completion", "created": 1, "model": "m1", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                                  "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}]},
         "/anthropic/v1/messages": MESSAGE,
         "/genai/v1/models/m1:generateContent": {"candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP"}]},
         "/api/whoami-v2": {"type": "user", "name": "somebody", "fullname": "somebody", "auth": {"type": "access_token"}},
         "/user": {"login": "somebody"}}


def api(connection, request):
    path = request.target.split("?")[0]
    if path == "/ws":
        return websocket(connection, request)
    if b'"stream":true' in request.body.replace(b" ", b""):
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in ANTHROPIC_EVENTS if path.startswith("/anthropic") else EVENTS:
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
    elif path in WHOLE:
        connection.send(answer(json.dumps(WHOLE[path]).encode(), fields=JSON))
    else:
        connection.send(answer(request.body or b"hello", fields=[("Content-Type", "text/plain")]))
    return None


def websocket(connection, request):
    """Says each short message back, and ends after the close."""
    accept = base64.b64encode(hashlib.sha1((request.get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    connection.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
    while True:
        first, length = connection.read_exact(2)
        mask = connection.read_exact(4)
        message = bytes(byte ^ mask[at % 4] for at, byte in enumerate(connection.read_exact(length & 0x7F)))
        connection.send(bytes([first, len(message)]) + message)
        if first & 0x0F == 8:
            return "end"
