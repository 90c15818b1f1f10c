"""Entry points: where the codes of JPEGs can be entered, so that a window is decoded without what lies above and beside it."""

from fastload.entries.entry_files import EntryFolder, copy_entries, parts_of, write_entries
from fastload.entries.entry_making import MadeEntries, make_entries
from fastload.entries.entry_points import ENTRIES, EntryPoints, check_entries, entry_lines, entry_points_of
from fastload.entries.entry_roots import EntryRoot, roots_of

__all__ = [
    "ENTRIES",
    "EntryFolder",
    "EntryPoints",
    "EntryRoot",
    "MadeEntries",
    "check_entries",
    "copy_entries",
    "entry_lines",
    "entry_points_of",
    "make_entries",
    "parts_of",
    "roots_of",
    "write_entries",
]
