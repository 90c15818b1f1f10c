"""``fastload tune``: tries a loader's settings while a script trains, and writes down the best."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from fastload.commands.progress import ProgressBar
from fastload.commands.run import checked_settings, interpreter_options, refuse_without_startup, what_to_run
from fastload.processes import with_startup

_PHOTO_LOOP = "fastload.diagnosis.photo_loop"


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: fastload tune train.py --epochs 1; then fastload run --settings fastload.toml train.py --epochs 90",
)
@click.option("-m", "--module", is_flag=True, help="SCRIPT is the name of a module, as for python -m.")
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False), help="Tune for the photos in DIR, without a script."
)
@click.option("--budget", type=click.FloatRange(min=1), default=120.0, show_default=True, help="Seconds, for all.")
@click.option(
    "--loader",
    type=click.IntRange(min=0),
    help="Which loader of SCRIPT, by the order of their first use.  [default: the first that shuffles]",
)
@click.option(
    "--settings",
    "path",
    type=click.Path(dir_okay=False),
    default="fastload.toml",
    show_default=True,
    help="The file that is written.",
)
@click.option("--json", "as_json", is_flag=True, help="All that was measured, as JSON.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="With --data.")
@click.option(
    "--recipe",
    type=click.Choice(["train", "eval"]),
    default="train",
    show_default=True,
    help="With --data: random crops and flips, or none.",
)
@click.argument("script", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def tune(
    module: bool,
    data: str | None,
    budget: float,
    loader: int | None,
    path: str,
    as_json: bool,
    batch_size: int,
    recipe: str,
    script: str | None,
    args: tuple[str, ...],
) -> None:
    """Run SCRIPT with ARGS, and try settings of its DataLoader one after the other while it trains.

    Workers, pinned memory, prefetching, persistent workers, native threads and decoding on the GPU, each in turn with what was best
    before, and kept only if it gains more than the noise. SCRIPT's own code runs, and sees its own loader, whose epoch does not
    end: what it writes every so many steps it writes, again and again, into its own places. When all is tried it is killed in the
    middle of that epoch, and what comes after it does not run. Ctrl-C leaves what was found so far.

    Exit status: 0 settings were found, 1 there are none.
    """
    refuse_without_startup()
    if (script is None) == (data is None):
        raise click.UsageError("name a SCRIPT, or a folder with --data")
    if os.path.exists(path):
        checked_settings(path)  # what is none of ours is not written over
    if data is not None:
        _refuse_without_photos(data, recipe)
        what = f"--data {data}"
        target = ["-m", _PHOTO_LOOP, data, recipe, str(batch_size), str(_MOST_PHOTOS)]
    else:
        assert script is not None
        what = " ".join([script, *args])
        target = [*what_to_run(module, script), *args]
        click.echo(
            f"fastload tune: {script} runs as it is, in an epoch that does not end, and is killed in it: what it writes every so "
            "many steps it writes, what it writes after an epoch it does not",
            err=True,
        )
    environment = {**os.environ, "PYTHONPATH": with_startup(os.environ.get("PYTHONPATH"))}
    outcome = _tuned([sys.executable, *interpreter_options(), *target], environment, budget, loader)
    _tell(outcome, what, path, as_json)
    raise SystemExit(0 if outcome.settings is not None else 1)


_MOST_PHOTOS = 4000  # of a larger folder, so many are drawn


def _refuse_without_photos(data: str, recipe: str) -> None:
    from fastload.diagnosis import data_sets

    try:
        data_sets(data, recipe, _MOST_PHOTOS)
    except (ValueError, OSError) as error:
        raise click.ClickException(f"--data {data}: {error}") from None


def _tuned(command: list[str], environment: dict[str, str], budget: float, loader: int | None) -> Any:
    from fastload.diagnosis import tune as tune_script

    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
    with ProgressBar() as bar:

        def show(doing: str, seconds: float) -> None:
            bar.show("tuning", round(seconds), round(budget), f"{max(0, budget - seconds):.0f} s left at most, {doing}")

        return tune_script(command, environment, budget, loader, show)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _tell(outcome: Any, what: str, path: str, as_json: bool) -> None:
    from fastload.diagnosis import file_text, tuning_json, tuning_text

    if as_json:
        click.echo(json.dumps(tuning_json(outcome), indent=2))
    else:
        click.echo(tuning_text(outcome, what), nl=False)
    if outcome.settings is not None:
        try:
            Path(path).write_text(file_text(outcome, what), "utf-8")
        except OSError as error:
            raise click.ClickException(f"{path} was not written: {error}") from None
        click.echo(
            f"\n{path}: fastload run --settings {path} SCRIPT, or fastload.DataLoader.from_settings", err=as_json
        )
