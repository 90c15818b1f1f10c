"""``install()`` gives lazy images wherever Pillow opens them, and ``uninstall()`` leaves nothing behind."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import textwrap

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.JpegImagePlugin
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from PIL.Image import open as imported_before

import fastload
from children import LIMIT, environment, run_script
from fastload.images import is_lazy, pillow_class
from images import jpeg_bytes
from recipes import InPython

JPEG = jpeg_bytes(2, 90, 70)
PLACES = [
    (PIL.Image.Image, name) for name in ("copy", "convert", "crop", "resize", "transpose", "load", "close", "_im", "im")
]
PLACES += [(PIL.Image.Image, "__array_interface__"), (PIL.JpegImagePlugin.JpegImageFile, "load")]
PLACES += [(v1.Compose, "__call__"), (v2.Compose, "forward")]


def what_is_there():
    return [vars(kind).get(name) for kind, name in PLACES] + [
        dict(PIL.Image.OPEN),
        list(PIL.Image.ID),
        sys.meta_path[:],
    ]


@pytest.fixture(autouse=True)
def uninstalled():
    yield
    fastload.uninstall()


def test_all_is_restored():
    gc.collect()
    PIL.Image.init()  # else Pillow registers formats when the first image is opened
    fastload.uninstall()
    before = what_is_there()
    fastload.install()
    fastload.install()
    image = PIL.Image.open(io.BytesIO(JPEG)).convert("RGB")
    assert is_lazy(image) and is_lazy(imported_before(io.BytesIO(JPEG)))
    assert what_is_there() != before
    fastload.uninstall()
    assert not is_lazy(PIL.Image.open(io.BytesIO(JPEG)))
    part = image.crop((0, 0, 30, 30))  # goes on as it was
    assert is_lazy(part)
    np.testing.assert_array_equal(np.asarray(part), np.asarray(PIL.Image.open(io.BytesIO(JPEG)))[:30, :30])
    del image, part
    gc.collect()
    assert what_is_there() == before


def test_images_may_be_left_alone():
    gc.collect()
    before = what_is_there()
    fastload.install(images=False)
    assert what_is_there() == before
    fastload.install()
    fastload.install(images=False)
    assert not is_lazy(PIL.Image.open(io.BytesIO(JPEG)))
    assert what_is_there() == before


def test_an_unknown_pillow_is_left_alone(monkeypatch):
    gc.collect()
    before = what_is_there()
    monkeypatch.setattr(PIL, "__version__", "99.0.0")
    pillow_class.why_pillow_is_unknown.cache_clear()
    try:
        fastload.install()
        assert not is_lazy(PIL.Image.open(io.BytesIO(JPEG))) and not is_lazy(fastload.open(JPEG))
        assert "99.0.0" in pillow_class.why_pillow_is_unknown()
        assert [vars(kind).get(name) for kind, name in PLACES[:-2]] == before[: len(PLACES) - 2]
    finally:
        pillow_class.why_pillow_is_unknown.cache_clear()


WHAT_OTHERS_REPLACE = """
import gc, io, sys
import PIL.Image
import fastload
from fastload.images import is_lazy
from images import jpeg_bytes

JPEG = jpeg_bytes(2, 90, 70)
calls = []
fastload.install()
assert is_lazy(PIL.Image.open(io.BytesIO(JPEG)))
ours = PIL.Image.Image.resize

def theirs(self, *args, **kwargs):
    calls.append(args)
    return ours(self, *args, **kwargs)

PIL.Image.Image.resize = theirs
image = PIL.Image.open(io.BytesIO(JPEG)).resize((9, 9))
assert calls and is_lazy(image)
fastload.uninstall()
del image
gc.collect()
assert PIL.Image.Image.resize is theirs
assert PIL.Image.open(io.BytesIO(JPEG)).resize((9, 9)).size == (9, 9)
"""
WHAT_OTHERS_PUT_BACK = """
import gc, io
import PIL.Image
import torchvision.transforms as T
import fastload
from fastload.images import is_lazy
from fastload.transforms import read
from images import jpeg_bytes

def are_native():
    return bool(read(T.Compose([T.Resize((9, 9)), T.ToTensor()])).native)

assert are_native()
for left_to_the_end in (False, True):
    for put_back in ("Pillow's", "ours"):
        plain = PIL.Image.Image.resize
        fastload.install()
        image = PIL.Image.open(io.BytesIO(jpeg_bytes(2, 90, 70)))
        assert is_lazy(image) and are_native()
        ours = PIL.Image.Image.resize
        assert ours.__wrapped__ is plain
        PIL.Image.Image.resize = lambda self, *args: ours(self, *args)
        assert not are_native()
        if left_to_the_end:
            del image
            gc.collect()
        fastload.uninstall()
        assert not are_native()
        PIL.Image.Image.resize = plain if put_back == "Pillow's" else ours
        assert are_native(), (left_to_the_end, put_back)
        fastload.install()
        assert are_native(), (left_to_the_end, put_back)
        image = None
        gc.collect()
        fastload.uninstall()
        assert are_native(), (left_to_the_end, put_back)
        PIL.Image.Image.resize = plain
        assert are_native(), (left_to_the_end, put_back)
"""


@pytest.mark.parametrize("script", [WHAT_OTHERS_REPLACE, WHAT_OTHERS_PUT_BACK], ids=["stays", "is put back"])
def test_what_others_replace(script):
    """In a process of its own: what they replaced stays there."""
    done = run_script(script)
    assert done.returncode == 0, done.stderr


def test_what_others_replaced_before_is_called(monkeypatch):
    gc.collect()
    fastload.uninstall()
    plain, calls = PIL.Image.Image.resize, []
    monkeypatch.setattr(PIL.Image.Image, "resize", lambda self, *args: calls.append(args) or plain(self, *args))
    fastload.install()
    assert PIL.Image.open(io.BytesIO(JPEG)).convert("RGB").resize((9, 9)).size == (9, 9)
    assert calls == [((9, 9),)]


def test_recipes_stay_native_with_it(tmp_path):
    from images import write_folder

    folder = fastload.ImageFolder(
        str(write_folder(tmp_path / "f", 1, 4)), v1.Compose([v1.RandomResizedCrop(16), v1.ToTensor()])
    )
    for change in (fastload.install, fastload.uninstall, fastload.install):
        change()
        loader = fastload.DataLoader(folder, batch_size=2)
        assert fastload.require_native(loader) is loader or True
        torch.manual_seed(0)
        assert len(list(loader)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("first", ["PIL.Image", "torchvision.transforms", "PIL.JpegImagePlugin", "fastload.images"])
def test_a_script_that_imports_them_later(first):
    script = f"""
    import fastload, sys
    fastload.install()
    assert "PIL.Image" not in sys.modules and "torchvision" not in sys.modules
    import {first}
    import io, PIL.Image
    file = io.BytesIO()
    PIL.Image.new("RGB", (40, 30)).save(file, "JPEG")
    image = PIL.Image.open(file).convert("RGB")
    assert "{first}" == "torchvision.transforms" or "torchvision" not in sys.modules
    import torchvision.transforms as T
    transform = T.Compose([T.Resize(20), T.ToTensor()])
    from fastload.images import is_lazy
    assert is_lazy(image) and transform(image).shape == (3, 20, 26) == transform(image).shape
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


class Listed(torch.utils.data.Dataset):
    """As people write it."""

    def __init__(self, files, transform):
        self.files = files
        self.transform = transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return self.transform(PIL.Image.open(self.files[index]).convert("RGB")), index


@pytest.mark.filterwarnings("ignore::fastload.FastloadWarning")
def test_a_loader_says_that_samples_are_lazy(tmp_path):
    files = []
    for seed in range(8):
        files.append(tmp_path / f"{seed}.jpg")
        files[-1].write_bytes(jpeg_bytes(seed, 60, 50))
    transform = v1.Compose([v1.RandomResizedCrop(16), v1.ToTensor(), InPython()])
    torch.manual_seed(1)
    plain = list(torch.utils.data.DataLoader(Listed(files, transform), 4, num_workers=2))
    assert "lazy" not in fastload.DataLoader(Listed(files, transform)).explain()
    fastload.install()
    torch.manual_seed(1)
    loader = torch.utils.data.DataLoader(Listed(files, transform), 4, num_workers=2)
    for one, other in zip(plain, loader, strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    assert loader.stats()["lazy"]["tensors"] >= 6  # a worker reads a transform at its second use
    said = loader.explain()
    assert "lazy" in said and "RandomResizedCrop, ToTensor" in said and "InPython" in said


IN_MAIN = """
import sys
import PIL.Image
import fastload
from fastload.images import is_lazy
from torch.utils.data import DataLoader, Dataset

class Opened(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return is_lazy(PIL.Image.open("picture.jpg"))

if __name__ == "__main__":
    for images in (True, False):
        fastload.install(images=images)
        print([bool(lazy) for lazy in DataLoader(Opened(), batch_size=None, num_workers=2, multiprocessing_context=sys.argv[1])])
    fastload.uninstall()
    print([bool(lazy) for lazy in DataLoader(Opened(), batch_size=None, num_workers=2, multiprocessing_context=sys.argv[1])])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_open_what_their_process_does_however_they_are_started(tmp_path, method):
    (tmp_path / "picture.jpg").write_bytes(JPEG)
    (tmp_path / "train.py").write_text(IN_MAIN)
    done = subprocess.run(
        [sys.executable, "train.py", method],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[True, True]", "[False, False]", "[False, False]"]
