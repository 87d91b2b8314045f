"""Ids as Modal writes them: a prefix that says what of, and something that no other server made."""

import uuid


def new_id(prefix: str) -> str:
    """Such as ``fc-…`` for a function call."""
    return f"{prefix}-{uuid.uuid4().hex[:22]}"
