"""A small hub on loopback: it answers what `huggingface_hub` asks, and goes wrong on demand.

What it has to answer was found by serving the library. Sets in `elsewhere` have their large files behind a
redirect to another host, as on the real hub; those in `xet` offer a transport that this one does not have.
`environment` is for the process that talks to it: the library reads its variables when it is imported.
"""

import hashlib
import json
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

FILE = re.compile(
    r"/(?:(?P<kind>datasets)/)?(?P<name>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"
)
INFO = re.compile(
    r"/api/(?P<kind>datasets|models)/(?P<name>[^/]+(?:/[^/]+)?)(?:/revision/(?P<revision>[^/]+))?"
)
STORE = re.compile(r"/store/(?P<kind>datasets)/(?P<name>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)")
TREE = re.compile(
    r"/api/(?P<kind>datasets|models)/(?P<name>[^/]+(?:/[^/]+)?)/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"
)


@dataclass
class Fault:
    """What goes wrong with a file (or, for the path "", with questions about the set), and how often."""

    status: int = 0  # an error instead of an answer
    code: str = ""  # its X-Error-Code
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""  # garbage: other bytes; short: fewer; cut: the connection ends; stall: it goes quiet
    silent: bool = False  # no answer at all
    method: str = ""  # only of these requests
    after: int = 0  # this many of them go well
    times: int = 1_000_000
    stalled: threading.Event = field(default_factory=threading.Event)


class Hub:
    """Sets and models by commit; a context manager that serves them."""

    def __init__(self) -> None:
        self.commits: dict[
            tuple[str, str], dict[str, dict[str, bytes]]
        ] = {}  # (kind, name) -> commit -> files
        self.branches: dict[tuple[str, str], dict[str, str]] = {}
        self.elsewhere: set[str] = set()
        self.xet: set[str] = set()
        self.in_git: set[str] = set()  # paths of large files that git keeps itself, without a sha256
        self.faults: dict[tuple[str, str], Fault] = {}  # (name, path) -> fault
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, name: str, files: dict[str, bytes], branch: str = "main", kind: str = "datasets") -> str:
        """Commit files to a branch; returns the commit."""
        content = b"".join(path.encode() + data for path, data in sorted(files.items()))
        commit = hashlib.sha1(f"{name} {branch} ".encode() + content).hexdigest()
        self.commits.setdefault((kind, name), {})[commit] = files
        self.branches.setdefault((kind, name), {})[branch] = commit
        return commit

    def break_(self, name: str, path: str, **what) -> Fault:
        """Let something go wrong from now on."""
        self.faults[name, path] = Fault(**what)
        return self.faults[name, path]

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Variables for a process that is to meet this hub and no other, with a cache of its own."""
        ours = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_")
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(ours)},
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            **more,
        }

    def _fault(self, name: str, path: str, method: str) -> Fault:
        with self._lock:
            fault = self.faults.get((name, path), Fault())
            if (fault.method or method) != method or (fault.body and method == "HEAD"):
                return Fault()
            if fault.after > 0:
                fault.after -= 1
                return Fault()
            fault.times -= 1
            return fault if fault.times >= 0 else Fault()


def checksums(data: bytes) -> tuple[str, str]:
    """The sha256 of a file, and the id that git gives it."""
    return hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            with hub._lock:
                hub.requests.append(f"{self.command} {path}")
            found = (
                FILE.fullmatch(path) or STORE.fullmatch(path) or TREE.fullmatch(path) or INFO.fullmatch(path)
            )
            if not found:
                return self.refuse(404)
            kind, name = found["kind"] or "models", found["name"]
            wanted = unquote(found.groupdict().get("path") or "")
            is_file = found.re in (FILE, STORE)
            away = found.re is FILE and name in hub.elsewhere and wanted.endswith(".parquet")
            fault = Fault() if away else hub._fault(name, wanted if is_file else "", self.command)
            if fault.silent:
                hub._closing.wait()
                self.close_connection = True
                return None
            if fault.status:
                return self.refuse(fault.status, fault.code, fault.headers)
            branches = hub.branches.get((kind, name))
            if branches is None:
                return self.refuse(401, "RepoNotFound")  # as for sets that are private
            revision = unquote(found["revision"] or "main")
            commit = branches.get(revision, revision)
            files = hub.commits[kind, name].get(commit)
            if files is None:
                return self.refuse(404, "RevisionNotFound")
            if is_file:
                if wanted not in files:
                    return self.refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
                if away:
                    return self.redirect(f"/store/datasets/{name}/{commit}/{wanted}", commit, files[wanted])
                return self.send(name, commit, wanted, files[wanted], fault)
            listed = [_entry(path, data, path not in hub.in_git) for path, data in files.items()]
            if found.re is TREE:
                inside = [one for one in listed if one["rfilename"].startswith(wanted)]
                return self.answer([_tree_entry(one) for one in inside])
            about = {"id": name, "sha": commit, "private": False, "gated": False, "tags": []}
            return self.answer({**about, "siblings": listed})

        do_HEAD = do_GET  # noqa: N815

        def refuse(self, status: int, code: str = "", headers: dict[str, str] | None = None) -> None:
            more = {"X-Error-Code": code} if code else {}
            self.answer({"error": f"refused with {status}"}, status, {**more, **(headers or {})})

        def answer(self, data: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
            content = json.dumps(data).encode()
            head = {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **(headers or {}),
            }
            self.begin(status, head)
            if self.command != "HEAD":
                self.wfile.write(content)

        def begin(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()

        def redirect(self, path: str, commit: str, data: bytes) -> None:
            there = hub.address.replace("127.0.0.1", "localhost") + path
            linked = {"X-Linked-ETag": f'"{checksums(data)[0]}"', "X-Linked-Size": str(len(data))}
            self.begin(302, {"Location": there, "X-Repo-Commit": commit, "Content-Length": "0", **linked})

        def send(self, name: str, commit: str, path: str, data: bytes, fault: Fault) -> None:
            sha256, git_id = checksums(data)
            etag = git_id if path in hub.in_git or not path.endswith(".parquet") else sha256
            headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
            if name in hub.xet:
                headers |= {"X-Xet-Hash": sha256, "X-Xet-Refresh-Route": f"{hub.address}/nowhere"}
            if self.command == "HEAD":
                return self.begin(200, {**headers, "Content-Length": str(len(data))})
            if fault.body == "garbage":
                data = bytes(byte ^ 1 for byte in data)
            if fault.body == "short":
                data = data[:-10]
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else 0
            end = min(int(asked[2]) + 1, len(data)) if asked and asked[2] else len(data)
            if asked:
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            self.begin(206 if asked else 200, {**headers, "Content-Length": str(end - start)})
            if fault.body in ("cut", "stall"):  # always at the same place, in the middle
                self.wfile.write(data[start : max(start, len(data) // 2)])
                self.wfile.flush()
                self.close_connection = True
                if fault.body == "stall":
                    fault.stalled.set()
                    hub._closing.wait()
                return None
            return self.wfile.write(data[start:end])

        def handle(self) -> None:
            with suppress(OSError):  # who asked was killed, or has given up
                super().handle()

        def log_message(self, *_) -> None:
            pass

    return Handler


def _entry(path: str, data: bytes, large: bool) -> dict:
    sha256, git_id = checksums(data)
    entry = {"rfilename": path, "size": len(data), "blobId": git_id}
    if path.endswith(".parquet") and large:
        entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
    return entry


def _tree_entry(entry: dict) -> dict:
    about = {"type": "file", "path": entry["rfilename"], "size": entry["size"], "oid": entry["blobId"]}
    if "lfs" in entry:
        about["lfs"] = {"oid": entry["lfs"]["sha256"], "size": entry["size"], "pointerSize": 134}
    return about
