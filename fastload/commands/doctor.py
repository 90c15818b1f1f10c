"""``fastload doctor``: what the machine and the installation get wrong before anything runs."""

from __future__ import annotations

import json
import textwrap

import click


@click.command(epilog="Example: fastload doctor --data /data/imagenet/train")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False),
    help="The data set's folder: its storage is looked at, too.",
)
@click.option("--seconds", type=click.FloatRange(0.2), default=3.0, show_default=True, help="For all that is measured.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, with all facts.")
def doctor(data: str | None, seconds: float, as_json: bool) -> None:
    """Look at the cores, memory, limits, storage, GPUs and versions that a training would have here.

    Each finding says what was found, what it costs, and the command that mends it. Reads of the data set are measured on its own
    files, each of which leaves the page cache first; nothing else on the machine is touched.

    Exit status: 0 nothing is wrong, 1 there is a finding.
    """
    try:
        from fastload.diagnosis import examine, gather
    except Exception as error:  # of torch, torchvision or Pillow, which nothing of fastload works without
        _installation_is_broken(error, as_json)
        raise SystemExit(1) from None
    examination = examine(gather(data, seconds))
    if as_json:
        click.echo(examination.as_json())
    else:
        for check in examination.checks:
            if not check.is_finding:
                _say(click.style("   ok", fg="green"), check.name, check.found)
        for one in examination.facts.unreadable:
            _say(click.style("    ?", fg="yellow"), one.what, f"not readable: {one.why}")
        for check in examination.findings:
            click.echo()
            _say(click.style("wrong", fg="red"), check.name, check.found)
            _say("", "", f"why: {check.why}")
            click.echo(f"{'':20}" + click.style(check.mend, bold=True))
        count = len(examination.findings)
        click.echo(f"\n{count} finding{'s' if count != 1 else ''}" if count else "\nnothing is wrong")
        if data is None:
            click.echo("The storage of a data set was not looked at: --data DIR")
    raise SystemExit(1 if examination.findings else 0)


def _installation_is_broken(error: Exception, as_json: bool) -> None:
    """The one finding there is where libraries do not import."""
    from importlib import metadata

    def has(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    named = {name: has(name) for name in ("torch", "torchvision", "pillow", "numpy")}
    finding = {
        "name": "import",
        "found": ", ".join(f"{name} {version or 'missing'}" for name, version in named.items()),
        "why": f"{type(error).__name__}: {error}; nothing of fastload runs without it",
        "mend": f"pip install --force-reinstall torchvision=={named['torchvision']}  # and the torch that it is built for"
        if named["torch"] and named["torchvision"]
        else "pip install fastload-torch",
    }
    if as_json:
        unreadable = [{"what": "all else", "why": finding["why"]}]
        click.echo(
            json.dumps({"schema": 1, "findings": [finding], "checks": [], "unreadable": unreadable, "facts": {}})
        )
        return
    _say(click.style("wrong", fg="red"), finding["name"], finding["found"])
    _say("", "", f"why: {finding['why']}")
    click.echo(f"{'':20}{finding['mend']}")


def _say(mark: str, name: str, text: str) -> None:
    click.echo(
        f"{mark or '     '}  {name:<13}" + textwrap.fill(text, 110, initial_indent="", subsequent_indent=" " * 20)
    )
