"""Data sets, and finding the files that they name."""
