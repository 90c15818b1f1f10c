"""Every sample of an index by a name of its own: who leaves one out by its name leaves out no other."""

from __future__ import annotations

from collections import Counter

from fastload.shards.index_file import text_column, texts_of
from fastload.shards.sample_index import SampleIndex

# The fact of an index that says that some of its names are not those in the shards.
NUMBERED = "numbered_names"


def number_equal_names(index: SampleIndex) -> None:
    """Of samples with equal names the second becomes ``a/b#2.jpg``. Samples that are files keep their names, which are paths."""
    columns = index.columns
    names = texts_of(columns.name_starts, columns.names)
    taken = set(names)
    if len(taken) == len(names):
        return
    seen: Counter[str] = Counter()
    is_file = [0] * len(names) if columns.is_file is None else columns.is_file.tolist()
    for row, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1 and not is_file[row]:
            folder, slash, last = name.rpartition("/")
            stem, dot, ending = last.partition(".")
            while (own := f"{folder}{slash}{stem}#{seen[name]}{dot}{ending}") in taken:
                seen[name] += 1
            taken.add(own)
            names[row] = own
    columns.name_starts, columns.names = text_column(names)
    index.facts[NUMBERED] = True
