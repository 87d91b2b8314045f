"""Where a class runs: its scheduler placement as the cloud that Modal rents there would name it."""

from __future__ import annotations

from typing import NamedTuple

from modal_proto import api_pb2


class Place(NamedTuple):
    """As `MODAL_CLOUD_PROVIDER` and `MODAL_REGION` have it."""

    cloud: str
    region: str


_PLACES = {
    "us": Place("CLOUD_PROVIDER_AWS", "us-east-1"),
    "us-west": Place("CLOUD_PROVIDER_OCI", "us-sanjose-1"),
    "eu": Place("CLOUD_PROVIDER_GCP", "europe-west4"),
    "eu-west": Place("CLOUD_PROVIDER_AWS", "eu-west-1"),
    "uk": Place("CLOUD_PROVIDER_AWS", "eu-west-2"),
    "ap": Place("CLOUD_PROVIDER_AWS", "ap-southeast-1"),
    "jp": Place("CLOUD_PROVIDER_GCP", "asia-northeast1"),
}


def place(definition: api_pb2.Function) -> Place:
    """The first placement's place; a name that is already a cloud's own stands for itself."""
    names = list(definition.scheduler_placement.regions) or ["us"]
    return _PLACES.get(names[0], Place("CLOUD_PROVIDER_AWS", names[0]))
