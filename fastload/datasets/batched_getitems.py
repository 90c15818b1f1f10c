"""Items of data sets that name files, one or many in one call, made natively also where somebody else does the asking."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastload.engine import ItemLists, gives_its_files


class GivesLists:
    """Mixed into data sets that name files. In each worker process of a stock loader it decodes on that worker's share of cores."""

    _item_lists: ItemLists | None = None

    def _plain_item(self, index: Any) -> Any:
        """The item, made in Python."""
        return super().__getitem__(index)  # type: ignore[misc]

    def __getitem__(self, index: Any) -> Any:
        """The item that torchvision's code would give, with its errors and random numbers; where it can be it is made natively."""
        return self._lists().item(self, index)

    def __getitems__(self, indices: Iterable[int]) -> list[Any]:
        """``[self[i] for i in indices]``: the same items, errors and random numbers, several times faster."""
        if not gives_its_files(type(self)):  # a subclass with a __getitem__ of its own
            return [self[index] for index in indices]
        return self._lists().items(self, indices)

    def _lists(self) -> ItemLists:
        lists = self._item_lists
        if lists is None or lists.is_inherited:
            lists = self._item_lists = ItemLists()  # that two threads make one each does no harm
        return lists

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_item_lists"}
