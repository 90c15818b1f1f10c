"""Images from an object store with latency, beside those from a folder: ``python -m benchmarks.formats.remote --data DIR``.

Everything runs on 127.0.0.1: the store is object_server.py in a process of its own, on cores of its own where there are more than
``--cores``; ``--loader-cores`` and ``--server-cores`` name them. Arms, each a process, taken in turn ``--rounds`` times, those
without "entries" in their names with ``entries="off"``:

    local, local-entries    fastload.ImageFolder(DIR)
    remote, remote-entries  fastload.ImageFolder("s3://…"), 20 ms more for each answer
    remote-cached           the same with cache="encoded": its second epoch is from memory
    cached-entries          the same with entry points
    disturbed               "remote-entries" where 1 % of the requests fail (500) or hang for 5 s
    litdata                 LitData's StreamingRawDataset of the same store with torchvision v2, where ``--litdata PYTHON`` has it

Batches of all arms but LitData's are compared with torch's first, of two epochs, while nothing fails. Printed: images per second
of the second epoch (the first opens files and connections), each round, and the medians' ratios: by the clock; by the CPU time of
the loader's process; and, where the store is on the loader's cores, by the clock less the store's CPU time, as if it were
elsewhere. ``--spread`` has answers take longer by chance, as a store's do that is far away. With ``--data`` a folder of images;
they are served under as many names as ``--images`` says.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_CLASSES = 10
_WORKERS = 2
_BATCH = 64
_COMPARED = 5  # batches
URL = "s3://bucket/train"
ARMS = ("local", "local-entries", "remote", "remote-entries", "remote-cached", "cached-entries", "disturbed")
_RATIOS = (
    ("remote", "local"),
    ("remote-entries", "local-entries"),
    ("remote-cached", "local"),
    ("cached-entries", "local-entries"),
    ("disturbed", "remote-entries"),
    ("remote", "litdata"),
)
_FAULTS = [
    {"kind": "error", "code": 500, "share": 0.005, "match": "train"},
    {"kind": "hang", "seconds": 5, "share": 0.005, "match": "train"},
]


def images_in(data: Path, folder: Path, count: int) -> None:
    """``count`` images in class folders: links to those of ``data``, one after the other."""
    found = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise SystemExit(f"no JPEGs in {data}")
    for number in range(count):
        path = folder / f"class{number % _CLASSES}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found[number % len(found)], path)


def serve(root: Path, latency: float, cores: set[int], spread: float = 0.0) -> tuple[subprocess.Popen[str], str]:
    server = subprocess.Popen(
        [sys.executable, str(HERE / "object_server.py"), str(root), "--latency", str(latency), "--spread", str(spread)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    assert server.stdout is not None
    return server, f"http://127.0.0.1:{int(server.stdout.readline())}"


def tell(url: str, faults: list[dict[str, Any]]) -> None:
    asked = urllib.request.Request(f"{url}/-/faults", data=json.dumps(faults).encode(), method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked) as answer:
        answer.read()


def task_of(arm: str, folder: Path) -> dict[str, Any]:
    """What the arm's process is told."""
    options: dict[str, Any] = {"entries": "auto" if "entries" in arm or arm == "disturbed" else "off"}
    if "cached" in arm:
        options["cache"] = "encoded"
    return {
        "kind": arm if arm in ("litdata", "torch") else "fastload",
        "source": str(folder) if arm.startswith(("local", "torch")) else URL,
        "options": {} if arm in ("litdata", "torch") else options,
        "batch": _BATCH,
        "workers": _WORKERS,
    }


def said_by(task: dict[str, Any], python: str, cores: set[int], environment: dict[str, str]) -> dict[str, Any]:
    command = [python, str(HERE / "remote_epochs.py"), json.dumps(task)]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    )
    if ended.returncode:
        raise SystemExit(f"{task} failed:\n{ended.stderr[-3000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def median(figures: dict[str, list[dict[str, Any]]], of: Callable[[dict[str, Any]], float]) -> dict[str, float]:
    return {arm: statistics.median(of(one) for one in rounds) for arm, rounds in figures.items()}


def ratios_of_work(figures: dict[str, list[dict[str, Any]]], one: str, other: str, shared: int) -> dict[str, float]:
    """But of LitData's, whose workers are processes. ``shared``: so many cores are the loader's and the store's."""
    if "litdata" in (one, other):
        return {}
    cpu = median(figures, lambda said: said["cpu_ms_per_image"])
    ratios = {f"{one} / {other}, by the loader's CPU": round(cpu[other] / cpu[one], 3)}
    if shared:
        alone = median(figures, lambda said: said["seconds"] - said["store_cpu_seconds"] / shared)
        ratios[f"{one} / {other}, by the clock less the store's CPU"] = round(alone[other] / alone[one], 3)
    return ratios


def cores_of(text: str) -> set[int]:
    """Of "0,2-5"."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--cores", type=int, default=2, help="of the loader; the store has the others, if there are any"
    )
    parser.add_argument("--loader-cores", type=cores_of, help="as 0,1 or 0-3, in the place of --cores")
    parser.add_argument("--server-cores", type=cores_of)
    parser.add_argument("--arms", help="some of the above, with commas")
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--spread", type=float, default=0.0, help="seconds more, on average, exponentially distributed")
    parser.add_argument("--litdata", help="a Python that has litdata, torch and torchvision")
    parser.add_argument("--out", type=Path, help="for the figures, as JSON")
    asked = parser.parse_args()
    usable = sorted(os.sched_getaffinity(0))
    mine = asked.loader_cores or set(usable[: asked.cores])
    others = asked.server_cores or set(usable) - mine or set(usable)
    arms = asked.arms.split(",") if asked.arms else [*ARMS, *(["litdata"] if asked.litdata else [])]
    figures: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "store", "bucket", "train")
        images_in(asked.data, folder, asked.images)
        server, url = serve(Path(work, "store"), asked.latency, others, asked.spread)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "XDG_CACHE_HOME": str(Path(work, "cache")),
            "PYTHONPATH": str(HERE.parents[1]),
        }
        try:
            for source in (str(folder), f"{URL}/"):
                index = [sys.executable, "-m", "fastload", "index", source]
                subprocess.run(index, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            digests = {
                arm: said_by({**task_of(arm, folder), "digest": _COMPARED}, sys.executable, set(usable), environment)
                for arm in ["torch", *arms]
                if arm != "litdata"
            }
            if len({json.dumps(one) for one in digests.values()}) != 1:
                raise SystemExit(f"batches differ, so no speed: {digests}")
            print(f"equal to torch's: {_COMPARED} batches of each of two epochs of {', '.join(digests)}", flush=True)
            for number in range(asked.rounds):
                for arm in arms:
                    tell(url, _FAULTS if arm == "disturbed" else [])
                    python = asked.litdata if arm == "litdata" else sys.executable
                    task = {**task_of(arm, folder), "store": server.pid}
                    figures[arm].append(said_by(task, python, mine, environment))
                    print(f"round {number + 1}, {arm}: {json.dumps(figures[arm][-1])}", flush=True)
        finally:
            server.kill()
            server.communicate()
    rate = median(figures, lambda one: one["images_per_second"])
    spread = {arm: [round(one["images_per_second"]) for one in figures[arm]] for arm in arms}
    lost = {arm: max(one["lost"] for one in figures[arm]) for arm in arms}
    said = {
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(mine),
        "store on cores of its own": not mine & others,
        "latency": asked.latency,
        "spread": asked.spread,
        "images": asked.images,
        "images_per_second": {arm: round(one) for arm, one in rate.items()},
        "rounds": spread,
        "lost": lost,
    }
    for one, other in _RATIOS:
        if one in rate and other in rate:
            said[f"{one} / {other}"] = round(rate[one] / rate[other], 3)
            said |= ratios_of_work(figures, one, other, shared=len(mine) if mine & others else 0)
    print(json.dumps(said, indent=2))
    if asked.out:
        asked.out.write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    main()
