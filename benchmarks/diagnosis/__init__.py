"""Bottlenecks with a known cause, and what ``fastload profile`` says of each."""
