"""A web server that can break off, lie and refuse, and an empty cache for every test."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import tarfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crested_like.registry import _download


@dataclass
class Server:
    """Files by path; ``break_after`` lists after how many bytes each next answer breaks off (None: not at all)."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    break_after: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = None
    content_type: str = "application/octet-stream"
    pause: float = 0
    address: str = ""

    def url(self, path: str, content: bytes | None = None) -> str:
        if content is not None:
            self.files[path] = content
        return f"{self.address}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server_state: Server

    def do_GET(self):
        state = self.server_state
        state.requests.append((self.path, dict(self.headers)))
        content = state.files.get(self.path.lstrip("/"))
        status = state.statuses.pop(0) if state.statuses else (200 if content is not None else 404)
        if status != 200:
            self.send_error(status)
            return
        etag = state.etag or f'"{hashlib.md5(content).hexdigest()}"'
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and state.ranges and self.headers.get("If-Range", etag) == etag:
            start = int(asked[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", state.content_type)
        self.send_header("ETag", etag)
        self.end_headers()
        body = content[start:]
        limit = state.break_after.pop(0) if state.break_after else None
        time.sleep(state.pause)
        self.wfile.write(body if limit is None else body[:limit])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    state = Server()
    handler = type("BoundHandler", (Handler,), {"server_state": state})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        state.address = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("CRESTED_LIKE_OFFLINE", "CRESTED_LIKE_SHARED_CACHE", "CRESTED_LIKE_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_download, "PAUSES", (0, 0))
    return folder


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Write entries into a registry of the user's own."""

    def write(**models: dict[str, object]) -> Path:
        lines = []
        for name, entry in models.items():
            lines.append(f"[models.{name}]")
            entry = {"format": "keras-tar", "license": "MIT", "sha256": "first-use", **entry}
            lines += [f"{key} = {_toml(value)}" for key, value in entry.items()]
        file = tmp_path / "lab.toml"
        file.write_text("\n".join(lines) + "\n")
        monkeypatch.setenv("CRESTED_LIKE_REGISTRY", str(file))
        return file

    return write


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tarball(model: bytes = b"the model", names: str | None = "liver\nbrain\n", extra: dict[str, bytes] | None = None):
    """A published archive: a model, the names of its outputs, and whatever else."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        files = {"model/m.keras": model, **(extra or {})}
        if names is not None:
            files["model/m_output_classes.tsv"] = names.encode()
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def make_tarball():
    return tarball


@pytest.fixture
def digest():
    return sha256
