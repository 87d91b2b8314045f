"""Validate an export as a Process Run Crate with the community's own validator, without a network.

    .venv-crate/bin/python tests/crate/validate.py EXPORT CACHE_FOLDER

Exits with the validator's code. What it would fetch, the RO-Crate 1.1 context, is put into its cache from the
copy beside this file (github.com/ResearchObject/ro-crate, docs/_specification/1.1/context.jsonld, CC0).
"""

import io
import subprocess
import sys
from pathlib import Path

import requests
import requests_cache
import urllib3
from requests.adapters import HTTPAdapter

CONTEXT_URL = "https://w3id.org/ro/crate/1.1/context"
CONTEXT = Path(__file__).parent / "ro-crate-1.1-context.json"


class FromFile(HTTPAdapter):
    """Answers every request with the context."""

    def send(self, request: requests.PreparedRequest, *_args: object, **_how: object) -> requests.Response:
        raw = urllib3.HTTPResponse(
            body=io.BytesIO(CONTEXT.read_bytes()),
            headers={"Content-Type": "application/ld+json"},
            status=200,
            preload_content=False,
        )
        return self.build_response(request, raw)


def main(export: str, cache: str) -> int:
    with requests_cache.CachedSession(f"{cache}/http", backend="sqlite", expire_after=-1) as session:
        session.mount("https://", FromFile())
        session.get(CONTEXT_URL)
    command = [str(Path(sys.executable).parent / "rocrate-validator"), "-y", "validate", "--offline"]
    command += ["--cache-path", f"{cache}/http", "--profile-identifier", "process-run-crate-0.5", export]
    return subprocess.run([*command, "--verbose", "--output-format", "text"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
