"""Forks of this process, seen by whoever lends memory that a child would share."""

from __future__ import annotations

import os
import weakref


class Lender:
    """Whoever lends shared memory and takes it back when nobody here holds it."""

    def will_be_forked(self) -> None:
        """Before a fork, from which on until :meth:`was_forked` nothing may be lent or taken back."""

    def was_forked(self) -> None:
        """What is held at this moment is also held by a child, which nobody can ask."""

    def is_inherited(self) -> None:
        """This process is the child: what is lent is its parent's, whose threads may have had any lock."""


_lenders: weakref.WeakSet[Lender] = weakref.WeakSet()
_watches = False
_under_way = 0


def tell_of_forks(lender: Lender) -> None:
    """From now on, as long as it lives, in this process."""
    global _watches
    if not _watches:
        _watches = True
        os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
    _lenders.add(lender)


def is_forking() -> bool:
    """Whether a fork is under way: nothing that is lent may be taken back, as the child may hold it."""
    return _under_way > 0


def _before() -> None:
    global _under_way
    _under_way += 1
    for lender in list(_lenders):
        lender.will_be_forked()


def _after() -> None:
    global _under_way
    for lender in list(_lenders):
        lender.was_forked()
    _under_way -= 1


def _in_child() -> None:
    global _under_way
    _under_way = 0
    for lender in list(_lenders):
        lender.is_inherited()
    _lenders.clear()
