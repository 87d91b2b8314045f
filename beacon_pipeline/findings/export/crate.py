"""What an export is, for machines: an RO-Crate with a run for each job, and Croissant metadata.

RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) with the Process Run Crate profile 0.5
(https://w3id.org/ro/wfrun/process/0.5); Croissant 1.1 (http://mlcommons.org/croissant/1.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from beacon_pipeline.findings.export.files import sha256
from beacon_pipeline.findings.export.tables import TABLES, Table, meaning
from beacon_pipeline.findings.subject import Subject

CRATE, CROISSANT = "ro-crate-metadata.json", "croissant.json"
LICENSE = "Not stated by this file: answers come under the licences of the models that gave them."
# RO-Crate 1.1 has no term for a digest: the one of the Workflow Run profiles.
SHA256_TERM = "https://w3id.org/ro/terms/workflow-run#sha256"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_ENCODINGS = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".json": "application/json",
    ".html": "text/html",
}
_TYPES = {"int64": "sc:Integer", "double": "sc:Float", "bool": "sc:Boolean", "string": "sc:Text"}


def crate(folder: Path, subject: Subject, ended: datetime, about: Mapping[str, str]) -> dict[str, Any]:
    """The RO-Crate's metadata; ``ended``: when the last answer came; ``about``: what each file holds."""
    made = ROCrate(version="1.1")
    made.metadata.extra_terms["sha256"] = SHA256_TERM
    made.name = _title(subject)
    made.description = _description(subject)
    made.license = LICENSE
    made.root_dataset["datePublished"] = ended.isoformat()
    made.root_dataset["conformsTo"] = _entity(
        made, PROFILE, "CreativeWork", "Process Run Crate", version="0.5"
    )
    files = {
        path.name: made.add_file(path, path.name, properties=_file_properties(path, about))
        for path in sorted(folder.iterdir())
    }
    beacon = _entity(
        made,
        "#beacon-pipeline",
        "SoftwareApplication",
        "Beacon pipeline",
        softwareVersion=version("beacon-pipeline"),
    )
    agent = _entity(made, "#asker", "Organization", "Whoever ran Beacon pipeline")
    asked = [
        files[name] for name in ("plan.json", "catalog.json", "questions.csv", "models.csv", "regions.csv")
    ]
    answered = [files[name] for name in ("answers.parquet", "answers.csv", "transitions.parquet")]
    for job in subject.jobs:
        action = made.add_action(
            beacon,
            identifier=f"#job-{job.job_name}",
            object=asked,
            result=answered,
            properties={
                "name": f"Asking: {job.job_name}",
                "description": "The questions were put to the models, and their answers recorded.",
                "startTime": job.created_at.isoformat(timespec="seconds"),
                "endTime": max(ended, job.created_at).isoformat(timespec="seconds"),
            },
        )
        action["agent"] = agent
        made.root_dataset.append_to("mentions", action)
    return dict(made.metadata.generate())


def _entity(made: ROCrate, identifier: str, kind: str, name: str, **properties: str) -> Any:
    return made.add(ContextEntity(made, identifier, {"@type": kind, "name": name, **properties}))


def _title(subject: Subject) -> str:
    return f"Answers of language models: {subject.name}"


def _description(subject: Subject) -> str:
    jobs = ", ".join(job.job_name for job in subject.jobs)
    study = f"the study {subject.study}, " if subject.study else ""
    return (
        f"Answers of the same language models to the same questions in several regions: {study}jobs {jobs}. "
        "With plan, catalog, provenance, labels and findings; `beacon verify` recomputes every figure."
    )


def _file_properties(path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    properties = {
        "name": path.name,
        "encodingFormat": _ENCODINGS[path.suffix],
        "contentSize": str(path.stat().st_size),
        "sha256": sha256(path),
    }
    return properties | ({"description": about[path.name]} if path.name in about else {})


def croissant(folder: Path, subject: Subject, ended: datetime, about: Mapping[str, str]) -> dict[str, Any]:
    """The Croissant metadata: every file, and the columns of every table."""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": _title(subject),
        "description": _description(subject),
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "license": LICENSE,
        "datePublished": ended.isoformat(),
        "version": "1.0.0",
        "distribution": [_file_object(path, about) for path in sorted(folder.iterdir())],
        "recordSet": [_record_set(table) for table in TABLES],
    }


def _file_object(path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "description": about.get(path.name, path.name),
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet" if path.suffix == ".parquet" else _ENCODINGS[path.suffix],
        "sha256": sha256(path),
    }


def _record_set(table: Table) -> dict[str, Any]:
    fields: Sequence[dict[str, Any]] = [
        {
            "@type": "cr:Field",
            "@id": f"{table.name}/{column}",
            "name": column,
            "description": meaning(column),
            "dataType": _TYPES.get(str(field.type), "sc:DateTime"),
            "source": {"fileObject": {"@id": table.files[0]}, "extract": {"column": column}},
        }
        for column, field in zip(table.types, table.schema, strict=True)
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.about,
        "field": fields,
    }


# The context that the specification asks for, word for word.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
