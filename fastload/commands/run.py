"""``fastload run``: a training script as it is, with fastload's loader wherever it would have had torch's.

The interpreter itself runs the script: this process becomes ``python SCRIPT``, so its status, signals, tracebacks, ``__main__`` and
children are python's. What is added comes before the script, in each process (``fastload.processes``).
"""

from __future__ import annotations

import os
import sys

import click

from fastload.installation import EXPLAIN_VARIABLE, SETTINGS_VARIABLE
from fastload.processes import for_all_processes
from fastload.settings_file import read_settings


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: fastload run train.py --epochs 90. On several GPUs: torchrun --nproc-per-node 4 -m fastload run train.py",
)
@click.option("-m", "--module", is_flag=True, help="SCRIPT is the name of a module, as for python -m.")
@click.option(
    "--settings", type=click.Path(dir_okay=False), help="A fastload.toml of fastload tune, for every loader of SCRIPT."
)
@click.option(
    "--explain",
    is_flag=True,
    help="Each loader says on standard error, in a line, how its batches are made, what that gains, and what to change.",
)
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(module: bool, settings: str | None, explain: bool, script: str, args: tuple[str, ...]) -> None:
    """Run SCRIPT with ARGS as python would, with fastload's DataLoader in the place of torch's.

    SCRIPT is a file, a folder or zip file with a __main__.py, or - for the standard input. The exit status is the script's.
    Python's own options go to python: python -X dev -m fastload run train.py.
    """
    refuse_without_startup()
    os.environ.pop(SETTINGS_VARIABLE, None)
    if settings is not None:
        checked_settings(settings)
        os.environ[SETTINGS_VARIABLE] = os.path.abspath(settings)
    if explain:
        os.environ[EXPLAIN_VARIABLE] = "1"
    for_all_processes()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # the caller may have closed it
            stream.flush()
    os.execv(sys.executable, [sys.executable, *interpreter_options(), *what_to_run(module, script), *args])


def checked_settings(path: str) -> None:
    """Raises where a file is none of settings."""
    try:
        read_settings(path)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def refuse_without_startup() -> None:
    """Raises where nothing of ours can run before a script."""
    if sys.flags.ignore_environment or sys.flags.no_site:
        raise click.UsageError("python's options -E, -I and -S keep fastload from being there before the script is")


def what_to_run(module: bool, script: str) -> list[str]:
    """What names a script to python."""
    return ["-m", script] if module else ["--", script] if script.startswith("-") and script != "-" else [script]


def interpreter_options() -> list[str]:
    """Python's own options, of the process that is: what stood before ``-m fastload``, or before the path of the command."""
    options = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]
    if options[-1:] == sys.argv[:1]:
        return options[:-1]
    if options[-1:] == ["fastload"]:
        before, _, _ = options[-2].rpartition("m")
        return options[:-2] + ([before] if before != "-" else [])
    if options and options[-1].endswith("mfastload"):
        before = options[-1].removesuffix("mfastload")
        return options[:-1] + ([before] if before != "-" else [])
    return []
