"""The first use of a lazy image: by several threads, by a process that was forked meanwhile, by calls that Pillow refuses."""

from __future__ import annotations

import io
import os
import sys
import threading
import time

import numpy as np
import PIL.Image
import pytest
from both import same

import fastload
from fastload.images import is_lazy, pillow_class
from images import picture


def jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    picture(3, width, height).save(file, "JPEG", quality=90)
    return file.getvalue()


JPEG = jpeg(90, 70)
USES = (
    lambda i: i.convert("RGB").tobytes(),
    lambda i: i.load() and i.tobytes(),
    lambda i: np.asarray(i).tobytes(),
    lambda i: i.resize(i.size).tobytes(),
    lambda i: i.copy().tobytes(),
    lambda i: i.crop((0, 0, *i.size)).tobytes(),
    lambda i: (i.getpixel((0, 0)), i.tobytes())[1],
    lambda i: i.transpose(0).transpose(0).tobytes(),
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    return path


@pytest.fixture
def hasty():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("before", [lambda i: i, lambda i: i.convert("RGB"), lambda i: i.crop((1, 2, 80, 60))])
def test_threads_use_one_image(before, path, hasty):
    expected = before(PIL.Image.open(path)).tobytes()
    for trial in range(40):
        image = before(fastload.open(path if trial % 2 else JPEG))
        start, seen = threading.Barrier(len(USES)), []

        def work(use, image=image, start=start, seen=seen):
            start.wait()
            try:
                seen.append(use(image))
            except Exception as error:
                seen.append(repr(error))

        threads = [threading.Thread(target=work, args=(use,)) for use in USES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen.append(image.tobytes())
        assert [what for what in seen if what != expected] == []


def test_a_core_that_another_thread_has_just_made():
    image = fastload.open(JPEG).convert("RGB")
    makes_it = vars(PIL.Image.Image)[pillow_class._CORE]
    core = image.im
    # A thread that looked before has missed it, and comes here.
    assert makes_it.__get__(image, type(image)) is core


@pytest.mark.parametrize("point", ["begin", "has_begun"])
@pytest.mark.parametrize("use", USES)
def test_a_thread_meets_the_first_use_of_another(point, use, path, monkeypatch):
    image, plain = fastload.open(path), getattr(pillow_class, point)
    seen, threads = [], []

    def held(*inputs, **named):
        if not threads:
            threads.append(threading.Thread(target=lambda: seen.append(use(image))))
            threads[0].start()
            while threads[0].is_alive() and not _waits(threads[0]):
                time.sleep(0.001)
        return plain(*inputs, **named)

    monkeypatch.setattr(pillow_class, point, held)
    image.load()
    threads[0].join()
    expected = PIL.Image.open(path).tobytes()
    assert seen == [expected] and image.tobytes() == expected


def _waits(thread):
    """At the lock of the first use, in C."""
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and frame.f_code.co_name == "_begin"


def test_a_process_forked_in_the_midst_of_a_first_use(path, monkeypatch):
    image, plain = fastload.open(path), pillow_class.begin
    reached, go_on = threading.Event(), threading.Event()

    def held(image):
        if threading.current_thread() is not threading.main_thread():
            reached.set()
            go_on.wait()
        return plain(image)

    monkeypatch.setattr(pillow_class, "begin", held)
    expected = PIL.Image.open(path).tobytes()
    thread = threading.Thread(target=image.load)
    thread.start()
    reached.wait()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if image.tobytes() == expected else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go_on.set()
    thread.join()
    assert image.tobytes() == expected


REFUSED = {
    "filter": lambda i: i.resize((5, 5), 77),
    "filter that is a float": lambda i: i.resize((5, 5), 1.0),
    "gap": lambda i: i.resize((5, 5), reducing_gap=0.5),
    "gap of text": lambda i: i.resize((5, 5), reducing_gap="x"),
    "size of one": lambda i: i.resize((5,)),
    "no size": lambda i: i.resize(None),
    "box of resize": lambda i: i.resize((5, 5), box=(0, 0, 9999, 1)),
    "box of the other order": lambda i: i.crop((9, 0, 5, 9)),
    "box upside down": lambda i: i.crop((0, 9, 5, 3)),
    "box of text": lambda i: i.crop(("a", 0, 1, 1)),
    "box of three": lambda i: i.crop((1, 2, 3)),
    "box of one": lambda i: i.crop((1,)),
    "box that is no box": lambda i: i.crop(7),
    "box of nan": lambda i: i.crop((float("nan"), 0, 5, 5)),
    "empty box": lambda i: i.crop((5, 5, 5, 5)),
    "box outside": lambda i: i.crop((-5, -5, 5, 5)),
    "transpose": lambda i: i.transpose(9),
    "transpose by a float": lambda i: i.transpose(1.0),
    "mode": lambda i: i.convert("nonsense"),
    "name of an argument": lambda i: i.convert("RGB", nonsense=1),
    "too many arguments": lambda i: i.copy(1),
    "nothing": lambda i: i.crop((1, 2, 30, 40)),
    "sizes that can be read once": lambda i: i.resize(iter((5, 6))),
}


@pytest.mark.parametrize("call", REFUSED)
def test_a_draft_after_a_refused_call(call, path, monkeypatch):
    def do(image):
        try:
            made = REFUSED[call](image)
        except Exception as error:
            made = type(error), str(error)
        tile, closed = len(image.tile), image.fp is None
        return made, tile, closed, image.draft("L", (40, 30)), image.size, image.mode, image

    for longest in (2**20, 100):  # one that is read at once, one that is kept open
        monkeypatch.setattr("fastload.images.first_use._READ_AT_ONCE", longest)
        same(lambda: path, do)


@pytest.mark.parametrize("when", ["opened", "loaded", "converted"])
@pytest.mark.parametrize("where", ["class", "image"])
def test_a_load_of_ones_own_is_called(when, where, path):
    ready = {"opened": lambda i: i, "loaded": lambda i: i.load() and i, "converted": lambda i: i.convert("RGB")}[when]

    def do(image):
        image, calls = ready(image), []

        class Own(type(image)):
            def load(self):
                calls.append(self.size)
                return super().load()

        if where == "class":
            image.__class__ = Own
        else:
            image.load = lambda load=image.load: calls.append(image.size) or load()
        made = [image.convert("RGB"), image.crop((1, 2, 30, 40)), image.resize((20, 30)), np.asarray(image).tolist()]
        assert calls
        return made, len(calls), image.getpixel((3, 4))

    same(lambda: path, do)


def test_what_is_asked_first_does_not_make_an_image_pillows(path):
    image = fastload.open(path)
    with pytest.raises(ValueError):
        image.resize((5, 5), 77)
    assert is_lazy(image.crop((1, 2, 30, 40))) and is_lazy(image)
