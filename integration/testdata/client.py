"""Asks a server, and prints what comes back. The same lines must come from the origin and through the proxy."""
import hashlib
import sys

import requests

base = sys.argv[1]
s = requests.Session()


def tell(name, r, *more):
    print(name, r.status_code, hashlib.sha256(r.content).hexdigest()[:16], len(r.content), *more)


for name in ("text", "gzip", "big", "chunked", "gr%C3%BC%C3%9Fe?a=1&b=%20", "missing"):
    r = s.get(f"{base}/{name}", timeout=20)
    tell(name, r, r.headers.get("Content-Type"), r.headers.get("X-Double"))
r = s.get(base + "/redirect", timeout=20)
tell("redirect", r, r.url.removeprefix(base), [h.status_code for h in r.history])
tell("post", s.post(base + "/echo", json={"a": "b"}, timeout=20))
tell("form", s.post(base + "/echo", data={"a": "b"}, files={"f": b"x" * 70000}, timeout=20))
tell("put", s.put(base + "/echo", data=(b"piece %d\n" % i for i in range(1000)), timeout=20))
r = s.head(base + "/big", timeout=20)
tell("head", r, r.headers["Content-Length"])
r = s.get(base + "/big", headers={"Range": "bytes=10-19"}, timeout=20)
tell("range", r, r.headers["Content-Range"])
tag = s.get(base + "/page", timeout=20).headers["ETag"]
tell("condition", s.get(base + "/page", headers={"If-None-Match": tag}, timeout=20))
s.get(base + "/cookie", timeout=20)
tell("cookie", s.get(base + "/echo", timeout=20))
with s.get(base + "/events", stream=True, timeout=20) as r:
    print("events", [line.decode() for line in r.iter_lines(chunk_size=1) if line])
try:
    s.get(base + "/broken", timeout=20)
    print("broken whole")
except requests.exceptions.RequestException as e:
    print("broken", type(e).__name__)
