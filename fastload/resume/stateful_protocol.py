"""torchdata's ``Stateful`` protocol."""

from __future__ import annotations

from typing import Any


def keeps_state(thing: Any) -> bool:
    """Whether it is ``Stateful``, as torchdata calls it."""
    return hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")
