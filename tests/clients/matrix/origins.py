"""Origins that clients of packages and repositories expect. Each is a function (connection, request) for an Upstream."""
import base64
import functools
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zipfile
from urllib.parse import unquote, urlsplit

from harness.upstream import answer

JSON = [("Content-Type", "application/json")]


def challenged(has_key, origin, challenge='Basic realm="here"'):
    """`origin` for requests with the real key, 401 with a challenge for the others."""
    def respond(connection, request):
        if has_key(request):
            return origin(connection, request)
        connection.send(answer(b"who are you?\n", "401 Unauthorized", [("WWW-Authenticate", challenge)]))
    return respond


def files(contents, content_type="application/octet-stream"):
    """A static tree: path to bytes. Knows HEAD; a path that has a segment `.` is the one without."""
    def respond(connection, request):
        path = unquote(urlsplit(request.target).path).replace("/./", "/")
        body = contents.get(path)
        if body is None:
            connection.send(answer(b"", "404 Not Found"))
            return
        kind = "text/html" if path.endswith("/") else "application/json" if path.endswith(".json") else content_type
        head = answer(body, fields=[("Content-Type", kind)])
        connection.send(head[:len(head) - len(body)] if request.method == "HEAD" else head)
    return respond


def git(root, scratch):
    """`git http-backend` by CGI, and the large files that go beside it."""
    large = lfs(scratch)

    def respond(connection, request):
        path, _, query = request.target.partition("?")
        if "/info/lfs/" in path:
            return large(connection, request)
        environment = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": root, "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "u", "PATH_INFO": path, "QUERY_STRING": query,
                       "REQUEST_METHOD": request.method, "CONTENT_TYPE": request.get("Content-Type", ""), "CONTENT_LENGTH": str(len(request.body)),
                       "HTTP_CONTENT_ENCODING": request.get("Content-Encoding", ""), "GIT_PROTOCOL": request.get("Git-Protocol", "")}
        output = subprocess.run(["git", "http-backend"], input=request.body, env=environment, capture_output=True).stdout
        head, _, body = output.partition(b"\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.decode("latin-1").split("\r\n")]
        status = next((value for name, value in fields if name == "Status"), "200 OK")
        connection.send(answer(body, status, [field for field in fields if field[0] != "Status"]))
    return respond


def lfs(folder):
    """The batch API of git-lfs with `basic` transfers. Like widely used servers it shows the client its credential again."""
    def respond(connection, request):
        base, _, rest = request.target.partition("/info/lfs/")
        path = os.path.join(folder, rest.replace("/", "_"))
        if rest == "objects/batch":
            wanted = json.loads(request.body)
            place = f"https://{request.get('Host')}{base}/info/lfs/data/"
            shown = {"Authorization": request.get("Authorization")}
            found = [{**one, "authenticated": True, "actions": {wanted["operation"]: {"href": place + one["oid"], "header": shown}}} for one in wanted["objects"]]
            connection.send(answer(json.dumps({"transfer": "basic", "objects": found}).encode(), fields=[("Content-Type", "application/vnd.git-lfs+json")]))
        elif rest.startswith("data/") and request.method == "PUT":
            with open(path, "wb") as handle:
                handle.write(request.body)
            connection.send(answer(b""))
        elif rest.startswith("data/") and os.path.exists(path):
            with open(path, "rb") as handle:
                connection.send(answer(handle.read()))
        else:
            connection.send(answer(b'{"message": "not here"}', "404 Not Found", [("Content-Type", "application/vnd.git-lfs+json")]))
    return respond


WHEEL = "demo_of_iron-1.0-py3-none-any.whl"


@functools.cache
def wheel():
    """The bytes of a wheel with one module."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("demo_of_iron.py", "x = 1\n")
        archive.writestr("demo_of_iron-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo_of_iron\nVersion: 1.0\n")
        archive.writestr("demo_of_iron-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("demo_of_iron-1.0.dist-info/RECORD", "")
    return content.getvalue()


def python_index():
    """A simple index (PEP 503) with that wheel."""
    content = wheel()
    digest = hashlib.sha256(content).hexdigest()
    return files({"/simple/demo-of-iron/": f'<a href="/files/{WHEEL}#sha256={digest}">{WHEEL}</a>'.encode(), f"/files/{WHEEL}": content})


def node_registry():
    """A registry with the package demo-of-iron 1.0.0, and what was published to it in `published`."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in (("package/package.json", b'{"name": "demo-of-iron", "version": "1.0.0"}'), ("package/index.js", b"module.exports = 1\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    ball = content.getvalue()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(ball).digest()).decode()

    def respond(connection, request):
        path = request.target.split("?")[0]
        if request.method == "PUT":
            connection.send(answer(b'{"ok": true}', "201 Created", JSON))
        elif path == "/demo-of-iron":
            place = f"https://{request.get('Host')}/demo-of-iron/-/demo-of-iron-1.0.0.tgz"
            version = {"name": "demo-of-iron", "version": "1.0.0", "dist": {"tarball": place, "integrity": integrity, "shasum": hashlib.sha1(ball).hexdigest()}}
            document = {"name": "demo-of-iron", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}, "time": {"1.0.0": "2020-01-01T00:00:00.000Z"}}
            connection.send(answer(json.dumps(document).encode(), fields=JSON))
        elif path.endswith(".tgz"):
            connection.send(answer(ball))
        else:
            connection.send(answer(b"{}", "404 Not Found", JSON))
    return respond
