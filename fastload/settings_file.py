"""A loader's settings in a file, ``fastload.toml``: ``fastload tune`` writes it, ``DataLoader.from_settings`` and ``fastload run``
apply it. Nothing of torch is imported here."""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

_TABLE = "loader"


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_positive(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_text(value: Any) -> bool:
    return type(value) is str


# What may stand in the file: how to look at it, and what it should be.
_KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "num_workers": (_is_count, "an integer, 0 or more"),
    "prefetch_factor": (_is_positive, "a positive integer"),
    "persistent_workers": (_is_flag, "true or false"),
    "pin_memory": (_is_flag, "true or false"),
    "threads": (lambda value: _is_positive(value) or value == "auto", 'a positive integer or "auto"'),
    "device": (_is_text, "a device's name"),
    "decode": (
        lambda value: value in ("cpu", "gpu", "hybrid", "dali", "auto"),
        '"cpu", "gpu", "hybrid", "dali" or "auto"',
    ),
    "cache": (lambda value: value in ("encoded", "decoded"), '"encoded" or "decoded"'),
    "cache_bytes": (_is_positive, "bytes, a positive integer"),
}
# torch refuses them where there are no workers.
_OF_WORKERS = ("prefetch_factor", "persistent_workers", "multiprocessing_context", "timeout")


def read_settings(path: str | os.PathLike[str], given: Iterable[str] = ()) -> dict[str, Any]:
    """The file's settings, by the names of ``DataLoader``'s parameters.

    Args:
        given: parameters that do not come from the file, which need not hold what others want beside them.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no TOML, has a key that is none of the settings, a value that cannot be, or one that needs another; the
            message names it.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    path = os.fspath(path)
    with open(path, "rb") as file:
        try:
            content = tomllib.loads(file.read().decode("utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no TOML: {error}") from None
    for name in content:
        if name != _TABLE:
            raise ValueError(f"{path}: {name!r} is not known; settings stand in a table [{_TABLE}]")
    settings = content.get(_TABLE, {})
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: {_TABLE!r} should be a table, [{_TABLE}]")
    for name, value in settings.items():
        if name not in _KEYS:
            raise ValueError(f"{path}: {name!r} is none of the settings, which are {', '.join(_KEYS)}")
        is_right, what = _KEYS[name]
        if not is_right(value):
            raise ValueError(f"{path}: {name} should be {what}, but is {value!r}")
    there = {*settings, *given}
    if settings.get("decode") in ("gpu", "hybrid", "dali") and "device" not in there:
        raise ValueError(
            f'{path}: decode = {json.dumps(settings["decode"])} needs a device beside it, as device = "cuda"'
        )
    if "cache_bytes" in settings and "cache" not in there:
        raise ValueError(f"{path}: cache_bytes needs a cache beside it")
    return settings


def settings_text(settings: Mapping[str, Any], remarks: Sequence[str] = ()) -> str:
    """The file's text; ``remarks`` are comments above the settings."""
    comments = [f"# {line}" for remark in remarks for line in remark.splitlines()]
    lines = [
        f"{name} = {json.dumps(value)}" for name, value in settings.items()
    ]  # as TOML writes these kinds of values, too
    return "\n".join([*comments, f"[{_TABLE}]", *lines, ""])


def with_settings(settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a loader with settings in the place of theirs; without workers, without what only workers have."""
    merged = {**options, **settings}
    if not merged.get("num_workers"):
        merged = {name: value for name, value in merged.items() if name not in _OF_WORKERS}
    return merged


def by_name(kind: type, args: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a constructor by their names, as far as it has that many; what is wrong with them it says itself."""
    import inspect

    names = list(inspect.signature(kind).parameters)
    if len(args) > len(names):
        raise TypeError(f"{kind.__name__}() takes {len(names)} arguments at most, but {len(args)} were given")
    both = set(names[: len(args)]) & set(options)
    if both:
        raise TypeError(f"{kind.__name__}() got multiple values for argument {min(both)!r}")
    return {**dict(zip(names, args, strict=False)), **options}


def overridden(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with options in the place of theirs; where these leave no workers, without what only workers have."""
    return {**with_settings(overrides, settings), **overrides}
