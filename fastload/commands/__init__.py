"""The command ``fastload``: one file a command."""

from __future__ import annotations

import click

from fastload.commands.bench import bench
from fastload.commands.convert import convert
from fastload.commands.demo import demo
from fastload.commands.doctor import doctor
from fastload.commands.index import index
from fastload.commands.info import info
from fastload.commands.monitor import monitor
from fastload.commands.preview import preview
from fastload.commands.profile import profile
from fastload.commands.run import run
from fastload.commands.tune import tune
from fastload.commands.verify import verify
from fastload.version import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fastload")
def main() -> None:
    """Image batches for PyTorch, several times faster.

    Exit status: 0 success, 1 a problem was found, 2 wrong use.
    """


main.add_command(bench)
main.add_command(convert)
main.add_command(demo)
main.add_command(doctor)
main.add_command(index)
main.add_command(info)
main.add_command(monitor)
main.add_command(preview)
main.add_command(profile)
main.add_command(run)
main.add_command(tune)
main.add_command(verify)
