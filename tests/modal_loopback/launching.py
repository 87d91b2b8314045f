"""Starting a container: its folder, its environment, its process."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from modal_proto import api_pb2

from tests.modal_loopback.places import place
from tests.modal_loopback.wire import TASK_HEADER


async def launch(
    root: Path,
    arguments: api_pb2.ContainerArguments,
    variables: dict[str, str],
    server_url: str,
    log: Path,
) -> asyncio.subprocess.Process:
    """Run the SDK's entrypoint in ``root/root``, where the deployment's files are already.

    Of the server's own environment it has only what the machine needs: a container knows its image.
    """
    told = root / "arguments"
    told.write_bytes(arguments.SerializeToString())
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    where = place(arguments.function_def)
    environment = {
        **inherited,
        **variables,
        "PYTHONPATH": str(root / "root"),
        "MODAL_SERVER_URL": server_url,
        "MODAL_DISABLE_API_PROXY": "1",
        "MODAL_IS_REMOTE": "1",
        "MODAL_ENVIRONMENT": arguments.environment_name,
        "MODAL_TASK_ID": arguments.task_id,
        "MODAL_IMAGE_ID": arguments.function_def.image_id,
        "MODAL_REGION": where.region,
        "MODAL_CLOUD_PROVIDER": where.cloud,
        "MODAL_CONTAINER_ARGUMENTS_PATH": str(told),
        # The SDK names no container in its requests.
        "MODAL_OVERRIDE_HEADERS": f"{TASK_HEADER}:{arguments.task_id}",
    }
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "modal._container_entrypoint",
            cwd=root / "root",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
