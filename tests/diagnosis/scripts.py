"""Training scripts that tests start: items that take a while, and a loop over them."""

from __future__ import annotations


def with_items(length: int, seconds: float, loop: str) -> str:
    """A script whose ``Items`` are so many and take so long each, asleep; then the loop, as it is written."""
    return f"""
import json, os, sys, time
import torch
from torch.utils.data import DataLoader

class Items:
    def __len__(self): return {length}
    def __getitem__(self, index):
        time.sleep({seconds})
        return index

{loop.strip()}
"""
