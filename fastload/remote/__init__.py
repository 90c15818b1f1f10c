"""Samples and shards that lie in object stores and on web servers: read ahead, in parallel, again where that failed.

http, s3 and hf have a client of our own, since a request is paid for with decoding: for a GET of 100 kB it takes half of the CPU
time of obstore 0.12, which also waits for ever in a forked process, and so in torch's workers. Google's and Azure's protocols are
obstore's.
"""

from fastload.remote.addresses import is_remote, name_in, redacted
from fastload.remote.cache_on_disk import disk_cache
from fastload.remote.kept_listing import listing
from fastload.remote.learned_versions import LearnedVersions
from fastload.remote.remote_files import RemoteFile, open_remote, remote_stat, windows
from fastload.remote.remote_sources import Pin, RemoteObject, RemoteRange
from fastload.remote.store import Listed
from fastload.remote.transfers_here import remote_lines, transfers, transfers_so_far

__all__ = [
    "LearnedVersions",
    "Listed",
    "Pin",
    "RemoteFile",
    "RemoteObject",
    "RemoteRange",
    "disk_cache",
    "is_remote",
    "listing",
    "name_in",
    "open_remote",
    "redacted",
    "remote_lines",
    "remote_stat",
    "transfers",
    "transfers_so_far",
    "windows",
]
