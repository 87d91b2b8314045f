"""Calls of judge models on record: written whole before they are sent, with the raw reply afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from beacon_pipeline.ledger.parts.part import Part
from beacon_pipeline.ledger.records import JudgeCall
from beacon_pipeline.ledger.schema import Base
from inference.contract import Reply, Request

judge_calls_table = Base.metadata.tables["judge_calls"]

Build = Callable[[set[str]], Sequence[Request]]


class JudgeCalls(Part):
    """The calls of judge models on record."""

    def open(self, judge: str, version: str, build: Build, *, provider: str) -> list[JudgeCall]:
        """Write the requests that ``build`` makes, given the ids of the items that are in this judge's
        open calls or were answered; gives all of its open calls. Two that ask at once ask each item once.
        """

        def add(connection: sa.Connection) -> list[JudgeCall]:
            self._database.lock_additions(connection, judge_calls_table)
            asked = {item for call in _read(connection, judge, version) for item in items_asked(call)}
            values = [
                {
                    "id": request.id,
                    "judge": judge,
                    "version": version,
                    "provider": provider,
                    "request": request.model_dump_json(),
                    "created_at": self._clock(),
                }
                for request in build(asked)
            ]
            if values:
                connection.execute(sa.insert(judge_calls_table), values)
            return [call for call in _read(connection, judge, version) if call.settled_at is None]

        return self._database.write(add)

    def of(self, judge: str, version: str) -> list[JudgeCall]:
        """All calls of a judge with a version of its prompt, oldest first."""
        return self._database.read(lambda c: _read(c, judge, version))

    def accept(self, call_id: str, provider_call_id: str) -> None:
        """Keep under which id the provider runs a call; the first one stays."""
        table = judge_calls_table
        unknown = (table.c.id == call_id) & table.c.provider_call_id.is_(None)
        change = sa.update(table).where(unknown).values(provider_call_id=provider_call_id)
        self._database.write(lambda c: c.execute(change))

    def settle(self, call_id: str, *, reply: Reply | None = None, failure: str | None = None) -> None:
        """Keep how an open call ended: with a reply, or why without; an end on record stays."""
        table = judge_calls_table
        ended = {
            "reply": reply.model_dump_json() if reply else None,
            "failure": failure,
            "settled_at": self._clock(),
        }
        change = sa.update(table).where(table.c.id == call_id, table.c.settled_at.is_(None)).values(ended)
        self._database.write(lambda c: c.execute(change))


def reply_of(call: JudgeCall) -> Reply | None:
    return None if call.reply is None else Reply.model_validate_json(call.reply)


def items_asked(call: JudgeCall) -> set[str]:
    """The items that need not be asked again: of an open call all, of an ended one those answered."""
    if call.settled_at is None:
        return {item.id for item in call.request.items}
    reply = reply_of(call)
    return {item.id for item in reply.items if item.kind == "answer"} if reply else set()


def _read(connection: sa.Connection, judge: str, version: str) -> list[JudgeCall]:
    table = judge_calls_table
    query = sa.select(table).where(table.c.judge == judge, table.c.version == version)
    return [
        JudgeCall(**row | {"request": Request.model_validate_json(row["request"])})
        for row in map(dict, connection.execute(query.order_by(table.c.created_at, table.c.id)).mappings())
    ]
