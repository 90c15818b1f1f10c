"""The training image: every line of docker/Dockerfile, and a training in the result where containers are hardest.

`make test-image` runs this as root, on Debian, some minutes long. What it measured is in build/image/figures.json.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time

import pytest

import building
import check_wheel
import chroots
from fastload.diagnosis import make_photos

PHOTOS = 320  # 5 batches of 64: torch's workers have four of 38 MB under way
TRAIN = ["python", "train.py", "/data", "--epochs", "2"]
UNPRIVILEGED = 10001
SHM = 64 << 20
HARD = {
    "read-only": {"read_only": True},
    "no rights": {"user": UNPRIVILEGED},
    "64 MB of /dev/shm": {"shm": SHM},
    "half a core": {"cores": 0.5},
    "no network": {"network": False},
    "no /dev/shm": {"shm": 0},
    "all": {"read_only": True, "user": UNPRIVILEGED, "shm": SHM, "cores": 0.5, "network": False},
}

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def figures():
    measured: dict[str, object] = {}
    yield measured
    (building.BUILD / "figures.json").write_text(json.dumps(measured, indent=1) + "\n")
    print(json.dumps(measured, indent=1))


@pytest.fixture(scope="module")
def image(figures):
    for program in ("debootstrap", "unshare", "setpriv"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed")
    if os.getuid():
        pytest.fail("not root")
    building.base()
    began = time.perf_counter()
    built = building.build({"CMAKE_ARGS": os.environ.get("CMAKE_ARGS", "")})
    figures["seconds of the Dockerfile's lines"] = round(time.perf_counter() - began, 1)
    return built


@pytest.fixture(scope="module")
def photos():
    folder = building.BUILD / "photos"
    shutil.rmtree(folder, ignore_errors=True)
    return make_photos(folder, PHOTOS)


def started(image, command, **conditions):
    """As the image starts it, but for the user and what else is said."""
    given = chroots.Conditions(**conditions)
    if problem := _cannot(given):
        pytest.fail(f"this machine cannot set up {conditions}: {problem}")
    began = time.perf_counter()
    done = chroots.run(image.layers, command, env=image.env, cwd=image.cwd, conditions=given)
    return done, time.perf_counter() - began


def _cannot(given: chroots.Conditions) -> str:
    """Why these cannot be had here; empty if they can."""
    top = building.BUILD / "tried"
    top.mkdir(exist_ok=True)
    try:
        done = chroots.run([building.base(), top], ["true"], env={}, conditions=given)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    return done.stdout if done.returncode else ""


def losses(done) -> list[str]:
    assert done.returncode == 0, done.stdout
    found = re.findall(r"loss ([\d.]+)", done.stdout)
    assert len(found) == 2, done.stdout
    return found


@pytest.fixture(scope="module")
def torchs_losses(image, photos):
    """With torch's own loader and its workers, where nothing is hard."""
    done, _ = started(image, [*TRAIN, "--loader", "torch"], shm=1 << 30, binds={"/data": photos})
    return losses(done)


def test_the_wheel_is_small_and_torch_is_what_it_was(image, figures):
    (wheel,) = (image.layers[-1] / "opt/fastload/wheels").glob("*.whl")
    figures["bytes of the wheel"] = wheel.stat().st_size
    assert wheel.stat().st_size <= check_wheel.MOST_BYTES
    assert [*check_wheel.licences(check_wheel.Wheel(wheel))] == []
    replaced = [
        path.name
        for path in image.layers[-1].rglob("*.dist-info")
        if path.name.startswith(("torch", "numpy", "pillow"))
    ]
    assert replaced == []


def test_the_user_has_no_rights(image):
    assert image.user == UNPRIVILEGED
    program = "import os; print(os.getuid(), os.getgid(), os.getgroups(), open('/proc/self/status').read())"
    said = started(image, ["python", "-c", program], user=image.user)[0].stdout
    assert said.startswith(f"{UNPRIVILEGED} {UNPRIVILEGED} []")
    assert re.search(r"CapEff:\s+0{16}\n", said) and re.search(r"NoNewPrivs:\s+1\n", said)


def test_the_command_proves_equality_within_a_minute(image, figures):
    done, seconds = started(image, image.command, user=image.user)
    figures["seconds of fastload demo"] = round(seconds, 1)
    assert done.returncode == 0, done.stdout
    assert re.search(r"all \d+ batches are equal, bit for bit", done.stdout)
    assert seconds < 60, done.stdout
    figures["fastload demo says"] = done.stdout.splitlines()


def test_wheel_and_demo_within_a_minute_once_torch_is_there(image, figures):
    """From nothing but Python, pip and torch."""
    top = building.BUILD / "fresh"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    fresh = [image.layers[0], top]
    binds = {"/packages": building.BUILD / "packages", "/data": image.layers[-1] / "opt/fastload/wheels"}
    began = time.perf_counter()
    (wheel,) = binds["/data"].glob("*.whl")
    install = ["python", "-m", "pip", "install", f"/data/{wheel.name}"]
    conditions = chroots.Conditions(binds=binds, network=False)
    building.checked(chroots.run(fresh, install, env=building.PIP, conditions=conditions))
    said = building.checked(chroots.run(fresh, ["fastload", "demo"], env={}, cwd="/root", conditions=conditions))
    seconds = time.perf_counter() - began
    figures["seconds of pip install and fastload demo in a fresh chroot"] = round(seconds, 1)
    assert "batches are equal, bit for bit" in said and seconds < 60
    assert (top / "root/fastload-demo.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize("name", HARD)
def test_it_trains_in_hard_conditions(name, image, photos, torchs_losses, figures):
    done, seconds = started(image, TRAIN, binds={"/data": photos}, **HARD[name])
    assert losses(done) == torchs_losses
    figures[f"seconds of the training, {name}"] = round(seconds, 1)


def test_torchs_loader_fails_with_64_mb_of_shared_memory(image, photos, figures):
    done, _ = started(image, [*TRAIN, "--loader", "torch"], shm=SHM, binds={"/data": photos})
    assert done.returncode != 0
    figures["torch's loader with 64 MB of /dev/shm says"] = done.stdout.strip().splitlines()[-1]
    assert re.search("Bus error|shared memory|unable to (allocate|mmap|write)", done.stdout), done.stdout


def test_a_root_that_is_read_only_is_one(image):
    """Else the conditions above would be none."""
    done, _ = started(image, ["touch", "/workspace/x", "/tmp/x", "/root/x"], read_only=True)
    assert done.returncode == 1 and done.stdout.count("Read-only file system") == 3
    done, _ = started(image, ["bash", "-c", "echo > /dev/tcp/127.0.0.1/1"], network=False)
    assert "unreachable" in done.stdout


def test_half_a_core_is_half_a_core(image):
    program = "import time\nend = time.time() + 2\nwhile time.time() < end: pass\nprint(time.process_time())"
    done, _ = started(image, ["python", "-c", program], cores=0.5)
    assert float(done.stdout) < 1.3
