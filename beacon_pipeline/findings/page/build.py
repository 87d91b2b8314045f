"""Puts a page together: template, style, scripts and data into one file under a strict policy."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
from markupsafe import Markup

from beacon_pipeline import environment
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.escaping import visible
from beacon_pipeline.findings.packed import compressed, compressed_bytes, packed_texts
from beacon_pipeline.findings.page import words
from beacon_pipeline.findings.page.plots import plots_of
from beacon_pipeline.findings.page.record import packed_rows, paths_of, record_of
from beacon_pipeline.findings.page.words import Beside
from beacon_pipeline.findings.subject import Subject
from beacon_pipeline.findings.summary import sides_of, summarized
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.links import asset_path
from beacon_pipeline.names import INFERENCE

if TYPE_CHECKING:
    from beacon_pipeline.findings.finding import Finding
    from beacon_pipeline.monitoring.alerts.past import AlertSpan

SCRIPTS = ("data.js", "diff.js", "matrix.js", "cell.js", "labelling.js", "main.js")
_EXPORT = re.compile(r"export\s*\{([^}]*)\};?")


class PageError(BeaconError):
    """No page can be made, and why."""


def write_page(path: Path, html: str) -> None:
    """Write the page whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(html, encoding="utf-8")
    partial.replace(path)


class Page(NamedTuple):
    """A page as HTML, and what came in a few lines, without a claim, as it stands there."""

    html: str
    described: list[str]


def page_of(
    ledger: Ledger,
    subject: Subject,
    *,
    beside: Beside | None = None,
    findings: Sequence[Finding] = (),
    alerts: Sequence[AlertSpan] = (),
) -> Page:
    """The page of a subject; ``beside``: what to compare it with, side by side.

    The same arguments give the same bytes. ``findings``: what `findings.evaluate` made of it; without any,
    the page describes and says that nothing was tested. ``alerts``: what was reported of its partitions.
    Raises PageError where there is no answer to show, and LedgerUnavailable.
    """
    others = beside.subject if beside else None
    _require_apart(subject, others)
    jobs = [*subject.jobs, *(others.jobs if others else ())]
    rows, texts = packed_rows(ledger, jobs)
    own = {job.job_name for job in subject.jobs}
    own_rows = [row for row in rows if row["job"] in own]
    other_rows = [row for row in rows if row["job"] not in own]
    if not own_rows:
        raise PageError("nothing was asked in this job: there is no page to make")
    summary = summarized(own_rows)
    # Several jobs of a study are one side of the page; what it is beside stands first, as the older one.
    sides = [others.name, subject.name] if others else [subject.name]
    listed, codes = packed_texts(list(texts))
    record = record_of(rows, _about(rows, sides)) | {"texts": listed}
    record["columns"]["job"] = {
        "values": sides,
        "codes": [sides.index(subject.name) if row["job"] in own else 0 for row in rows],
    }
    described = words.described(summary)
    html = _rendered(
        title=subject.name + (f" beside {others.name}" if others else ""),
        subtitle=words.subtitle(subject.jobs, others),
        notice=words.notice(rows),
        asked=words.asked(subject, own_rows, summary),
        findings=[words.finding(each) for each in findings],
        described=described,
        beside=words.beside(beside, findings, own_rows, other_rows) if beside else [],
        unanswerable=words.unanswerable(summary, findings),
        reading=words.READING,
        plots=plots_of(ledger, subject, summary, (others.name, sides_of(other_rows)) if others else None),
        footer=words.FOOTER,
        data=compressed(record),
        texts=compressed_bytes(codes),
        paths=compressed(paths_of(ledger, jobs, rows, alerts)),
    )
    return Page(html, described)


def _require_apart(subject: Subject, others: Subject | None) -> None:
    both = {job.id for job in subject.jobs} & {job.id for job in others.jobs} if others else set()
    if others and both:
        raise PageError(f"{subject.name} and {others.name} have a job in common: name two that have none")


def _about(rows: Sequence[Mapping[str, Any]], jobs: Sequence[str]) -> dict[str, Any]:
    asked = [row for row in rows if not row["probe"]]

    def names(column: str) -> list[str]:
        return list(dict.fromkeys(row[column] for row in asked))

    states = {_state(row) for row in asked}
    return {
        "jobs": list(jobs),
        "regions": sorted(names("region")),
        "models": sorted(names("model")),
        "questions": sorted(names("question")),
        "arms": names("arm"),
        "states": sorted(states),
        "dagster": f"{environment.ui_url()}{asset_path(INFERENCE.to_user_string())}&partition=",
    }


def _state(row: Mapping[str, Any]) -> str:
    if row["status"] != "completed":
        return str(row["status"])
    return str(row["kind"]) if row["usable"] else "unusable"


def _rendered(**values: Any) -> str:
    style, scripts = _own("style.css"), [_table_library(), "\n".join(map(_own, SCRIPTS))]
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {_hash(style)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    # Its own files and base64 are no text to escape; all else is.
    trusted = {name: Markup(values.pop(name)) for name in ("data", "texts", "paths")}
    return _template().render(
        policy=policy,
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        **trusted,
        **values,
    )


@cache
def _template() -> jinja2.Template:
    # `finalize` sees every value that the template writes: no untrusted text comes around it.
    made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_spelled)
    return made.from_string(_own("page.html.jinja"))


def _spelled(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _table_library() -> str:
    """DataTables as the itables wheel brings it, with its exports made global: a page of one file has
    nothing to import it from. Raises PageError where the wheel has another form than expected."""
    # By its place: the import of itables would load pandas.
    place = distribution("itables").locate_file("itables/html/dt_bundle.js")
    source = Path(str(place)).read_text(encoding="utf-8")
    found = list(_EXPORT.finditer(source))
    if len(found) != 1 or "</script" in source.lower():
        raise PageError("the installed itables has another table library: install the pinned version")
    inner = {shown: name for name, _, shown in (pair.partition(" as ") for pair in found[0][1].split(","))}
    before, after = source[: found[0].start()], source[found[0].end() :]
    return f"{before}globalThis.jQuery={inner['jQuery'].strip()};{after}"


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
