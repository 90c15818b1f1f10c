"""Samples and shards that lie in object stores and on web servers: read ahead, in parallel, again where that failed."""

from fastload.remote.addresses import is_remote, redacted
from fastload.remote.cache_on_disk import disk_cache
from fastload.remote.kept_listing import listing
from fastload.remote.remote_files import RemoteFile, open_remote, remote_stat, windows
from fastload.remote.remote_sources import RemoteObject, RemoteRange
from fastload.remote.stores import Listed
from fastload.remote.transfers_here import describe_remote, transfers, transfers_so_far

__all__ = [
    "Listed",
    "RemoteFile",
    "RemoteObject",
    "RemoteRange",
    "describe_remote",
    "disk_cache",
    "is_remote",
    "listing",
    "open_remote",
    "redacted",
    "remote_stat",
    "transfers",
    "transfers_so_far",
    "windows",
]
