"""Labels of answers, and the draws of those that people label: added, never changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.records import Drawn, Label
from beacon_pipeline.ledger.rows import chunks, executions_table, labels_table
from beacon_pipeline.ledger.schema import Base
from beacon_pipeline.ledger.status import LabelKind, LabelMethod

draws_table = Base.metadata.tables["label_draws"]

_KEY = ("execution_id", "method", "version", "labeller")


class LabelsDiffer(BeaconError):
    """The same labeller gave the same answer another label under the same version."""

    def __init__(self, differing: Sequence[tuple[Label, Label]]) -> None:
        super().__init__("\n".join(difference(old, new) for old, new in differing))
        self.differing = tuple(differing)


def difference(old: Label, new: Label) -> str:
    """Why a label is not taken."""
    when = f" on {old.at:%Y-%m-%d %H:%M}" if old.at else ""
    return (
        f"execution {new.execution_id}: {old.labeller} labelled it {old.kind.value}{when}, "
        f"not {new.kind.value}; labels are never changed: use another version"
    )


class Labels(Part):
    """The labels on record, and the draws."""

    def add(self, labels: Sequence[Label]) -> int:
        """Add those that are not on record; gives how many. All or none.

        Raises LabelsDiffer where one on record, of the same execution, method, version and labeller,
        has another kind.
        """

        def insert(connection: sa.Connection) -> int:
            self._database.lock_additions(connection, labels_table)
            known = {_key(one): one for one in _read(connection, [label.execution_id for label in labels])}
            new: dict[tuple[str, ...], Label] = {}
            differing = []
            for label in labels:
                old = known.get(_key(label)) or new.setdefault(_key(label), label)
                if old.kind is not label.kind:
                    differing.append((old, label))
            if differing:
                raise LabelsDiffer(differing)
            now = self._clock()
            for some in chunks(list(new.values())):
                connection.execute(sa.insert(labels_table), [_values(label) | {"at": now} for label in some])
            return len(new)

        return self._database.write(insert)

    def of_job(self, job_id: str) -> list[Label]:
        """All labels of a job's answers, oldest first."""
        of_job = sa.select(executions_table.c.id).where(executions_table.c.job_id == job_id)
        query = sa.select(labels_table).where(labels_table.c.execution_id.in_(of_job))
        ordered = query.order_by(labels_table.c.at, labels_table.c.id)
        return self._database.read(lambda c: [_label(row) for row in c.execute(ordered).mappings()])

    def of_executions(self, execution_ids: Sequence[str]) -> list[Label]:
        """All labels of these answers, oldest first."""
        return self._database.read(lambda c: _read(c, execution_ids))

    def add_draw(self, draw: str, drawn: Sequence[Drawn]) -> bool:
        """Keep a draw, unless one of this name is on record; gives whether it was kept."""

        def add(connection: sa.Connection) -> bool:
            self._database.lock_additions(connection, labels_table)
            there = sa.select(draws_table.c.draw).where(draws_table.c.draw == draw).limit(1)
            if connection.scalar(there) is not None:
                return False
            now = self._clock()
            rows = [
                {
                    "draw": draw,
                    "execution_id": one.execution_id,
                    "stratum": json.dumps(one.stratum, ensure_ascii=False),
                    "chance": one.chance,
                    "at": now,
                }
                for one in drawn
            ]
            for some in chunks(rows):
                connection.execute(sa.insert(draws_table), list(some))
            return True

        return self._database.write(add)

    def draw(self, name: str) -> list[Drawn]:
        """What was drawn under a name, in the order of the executions' ids; empty for an unknown one."""
        query = sa.select(draws_table).where(draws_table.c.draw == name).order_by(draws_table.c.execution_id)
        return self._database.read(
            lambda c: [
                Drawn(row["execution_id"], tuple(json.loads(row["stratum"])), row["chance"])
                for row in c.execute(query).mappings()
            ]
        )

    def draws(self) -> list[str]:
        """The names of all draws, oldest first."""
        first = sa.func.min(draws_table.c.at)
        query = sa.select(draws_table.c.draw).group_by(draws_table.c.draw).order_by(first, draws_table.c.draw)
        return self._database.read(lambda c: list(c.scalars(query)))

    def chances(self, execution_ids: Sequence[str]) -> dict[str, float]:
        """With which chance each of these answers was drawn, by its newest draw."""

        def read(connection: sa.Connection) -> dict[str, float]:
            found: dict[str, float] = {}
            for some in chunks(sorted(set(execution_ids))):
                query = sa.select(draws_table).where(draws_table.c.execution_id.in_(some))
                for row in connection.execute(query.order_by(draws_table.c.at)).mappings():
                    found[row["execution_id"]] = row["chance"]
            return found

        return self._database.read(read)


def _read(connection: sa.Connection, execution_ids: Sequence[str]) -> list[Label]:
    found: list[tuple[Any, int, Label]] = []
    for some in chunks(sorted(set(execution_ids))):
        query = sa.select(labels_table).where(labels_table.c.execution_id.in_(some))
        found += [(row["at"], row["id"], _label(row)) for row in connection.execute(query).mappings()]
    return [label for _, _, label in sorted(found, key=lambda one: one[:2])]


def _label(row: sa.RowMapping) -> Label:
    values = {name: value for name, value in row.items() if name != "id"}
    return Label(**values | {"kind": LabelKind(row["kind"]), "method": LabelMethod(row["method"])})


def _values(label: Label) -> dict[str, Any]:
    names = (*_KEY, "kind", "chance", "reason")
    return {name: getattr(label, name) for name in names}


def _key(label: Label) -> tuple[str, ...]:
    return tuple(str(getattr(label, name)) for name in _KEY)
