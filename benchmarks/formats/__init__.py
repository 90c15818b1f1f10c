"""Formats: each beside our ImageFolder of the same bytes, and beside its usual reader."""
