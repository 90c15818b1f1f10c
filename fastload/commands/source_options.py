"""What the commands that look at a source have in common: which one it is, and how far they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import click


def that_is_there(_context: click.Context, _parameter: click.Parameter, src: str) -> str:
    """SRC; a usage error for a plain path that is not there, before anything heavy is imported."""
    is_pattern = re.search(r"[*?\[{]|::|://|^pipe:|^-$", src)
    if not is_pattern and not os.path.exists(src):
        raise click.UsageError(f"{src} is not there")
    return src


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """SRC, and options for its data set."""
    option = click.option(
        "-o",
        "--option",
        "options",
        multiple=True,
        metavar="NAME=VALUE",
        help="Of the data set's class, as image=picture or target=null for fastload.Parquet. May be given more than once.",
    )
    return click.argument("src", metavar="SRC", callback=that_is_there)(option(command))


def opened(src: str, options: tuple[str, ...]) -> Any:
    """The data set of SRC; a usage error (exit status 2) where it is none."""
    from fastload.datasets import open_source

    dataset = opened_by(open_source, src, options)
    if not hasattr(dataset, "samples"):
        raise click.UsageError(f"{src} is a stream; this looks at sources with an index")
    return dataset


def opened_by(opens: Callable[..., Any], src: str, options: tuple[str, ...]) -> Any:
    """What a function makes of SRC and the options; a usage error (exit status 2) where it raises."""
    named = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise click.UsageError(f"-o {option}: it is NAME=VALUE")
        try:
            named[name] = json.loads(value)
        except ValueError:
            named[name] = value
    try:
        return opens(src, **named)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise click.UsageError(str(error)) from error
