"""``fastload run``: a training script as it is, with fastload's loader wherever it would have had torch's."""

from __future__ import annotations

import os
import runpy
import sys

import click

from fastload.installation import install


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: fastload run train.py --epochs 90. On several GPUs: torchrun --nproc-per-node 4 -m fastload run train.py",
)
@click.option("-m", "--module", is_flag=True, help="SCRIPT is the name of a module, as for python -m.")
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(module: bool, script: str, args: tuple[str, ...]) -> None:
    """Run SCRIPT with ARGS as python would, with fastload's DataLoader in the place of torch's.

    The exit status is the script's.
    """
    if module:
        sys.path.insert(0, os.getcwd())
        sys.argv = [script, *args]
        install()
        runpy.run_module(script, run_name="__main__", alter_sys=True)
        return
    if not os.path.exists(script):
        raise click.BadParameter(f"{script!r} does not exist", param_hint="SCRIPT")
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    sys.argv = [script, *args]
    install()
    runpy.run_path(script, run_name="__main__")
