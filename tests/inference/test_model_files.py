"""Only what is loaded is downloaded and hashed: a Hub of this machine counts what it is asked for."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "e" * 40
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1], "c": SHARDS[0]}}).encode()
MISTRAL = {  # a repository that holds its weights three times
    "config.json": b'{"of": "config.json"}',
    "generation_config.json": b'{"of": "generation_config.json"}',
    "model.safetensors.index.json": INDEX,
    SHARDS[0]: b"first",
    SHARDS[1]: b"second",
    "consolidated.safetensors": b"first and second",
    "original/consolidated.00.pth": b"pickled",
    "original/params.json": b'{"of": "original/params.json"}',
    "pytorch_model.bin": b"pickled",
    "params.json": b'{"of": "params.json"}',
    "tokenizer.json": b'{"of": "tokenizer.json"}',
    "tokenizer.model.v3": b"pieces",
    "tokenizer_config.json": b'{"of": "tokenizer_config.json"}',
    "modeling_own.py": b"print('no')",
    "README.md": b"# read me",
}
LOAD = """
import sys
from pathlib import Path
from inference.contract import ModelSource
from inference.model_files import ModelUnavailable, files_of
source = ModelSource(id="m", repository="o/m", revision=sys.argv[2], dtype="float32", context_tokens=8)
try:
    files = files_of(source, Path(sys.argv[1]))
    print(files.weights_sha256, *sorted(path.name for path in files.folder.iterdir()))
except ModelUnavailable as problem:
    print(type(problem).__name__, problem)
"""


class Hub(ThreadingHTTPServer):
    """As the Hub answers for one commit of one repository."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.asked, self.refusal = files, Counter[str](), 0


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.server.refusal:
            self._answer(self.server.refusal, b"not now")
        elif self.path.startswith(f"/api/models/o/m/tree/{COMMIT}"):
            self._answer(200, json.dumps([self._entry(name) for name in self.server.files]).encode())
        elif self.path.startswith(f"/o/m/resolve/{COMMIT}/"):
            name = self.path.partition(f"{COMMIT}/")[2]
            if self.command == "GET":
                self.server.asked[name] += 1
            content = self.server.files[name]
            etag = f'"{self._entry(name).get("lfs", self._entry(name))["oid"]}"'
            self._answer(200, content, {"ETag": etag, "X-Repo-Commit": COMMIT})
        else:
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    do_HEAD = do_GET

    def _entry(self, name: str) -> dict[str, object]:
        content = self.server.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "path": name, "size": len(content), "oid": blob}
        if name.endswith((".safetensors", ".bin", ".pth")):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
        return entry

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Iterator[Hub]:
    server = Hub(getattr(request, "param", MISTRAL))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def load(hub: Hub, cache: Path, revision: str = COMMIT) -> str:
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "5",
    }
    command = [sys.executable, "-c", LOAD, str(cache), revision]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    return done.stdout.strip().splitlines()[-1]


def digest_of_the_shards() -> str:
    digests = [hashlib.sha256(MISTRAL[name]).hexdigest() for name in SHARDS]
    listing = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, SHARDS, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()


def test_what_is_not_loaded_is_not_downloaded_and_the_commits_own_hashes_are_taken(
    hub: Hub, tmp_path: Path
) -> None:
    told, *files = load(hub, tmp_path).split()
    wanted = set(MISTRAL) - {"consolidated.safetensors", "pytorch_model.bin", "modeling_own.py", "README.md"}
    assert set(files) == {name for name in wanted if "/" not in name}
    assert hub.asked == Counter(files)
    assert told == digest_of_the_shards()
    # Were they hashed again, this would be seen; and what is there is not asked for again.
    blob = (tmp_path / "models--o--m" / "snapshots" / COMMIT / SHARDS[0]).resolve()
    assert blob.name == hashlib.sha256(b"first").hexdigest()
    blob.write_bytes(b"FIRST")
    assert load(hub, tmp_path).split() == [told, *files]
    assert hub.asked == Counter(files)
    # With everything here, the Hub may be down.
    hub.refusal = 503
    assert load(hub, tmp_path).split() == [told, *files]


@pytest.mark.parametrize(
    "hub", [{name: content for name, content in MISTRAL.items() if "safetensors" not in name}], indirect=True
)
def test_a_repository_without_safetensors_is_refused(hub: Hub, tmp_path: Path) -> None:
    assert load(hub, tmp_path).startswith("ModelUnavailable no safetensors weights in")
    assert "pytorch_model.bin" not in hub.asked


def test_a_hub_that_is_down_may_come_back_and_a_commit_that_is_not_there_does_not(
    hub: Hub, tmp_path: Path
) -> None:
    hub.refusal = 520  # others the library tries again for half a minute
    assert load(hub, tmp_path).startswith(f"HubUnreachable m: o/m at {COMMIT}: ")
    hub.refusal = 0
    assert load(hub, tmp_path, "f" * 40).startswith(f"ModelUnavailable m: o/m at {'f' * 40}: ")


@pytest.mark.parametrize(
    "hub", [{name: content for name, content in MISTRAL.items() if name != "tokenizer.json"}], indirect=True
)
def test_a_tokenizer_in_several_files_has_a_digest_too(hub: Hub, tmp_path: Path) -> None:
    assert load(hub, tmp_path).split()[0] == digest_of_the_shards()
