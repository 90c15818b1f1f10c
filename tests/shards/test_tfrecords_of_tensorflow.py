"""TFRecord files that tensorflow 2.21 wrote, byte for byte, read without tensorflow."""

from __future__ import annotations

import base64
import io
import zlib

import numpy as np
import PIL.Image
import pytest

from fastload import TFRecord
from fastload.conversion import convert

# Made with tensorflow-cpu 2.21.0, each of records n = 0 and 1, with options None, None, "GZIP" and "ZLIB":
#   pixels = tf.constant([[[200 * n, 90, 30 * x] for x in range(8)] for y in range(6)], tf.uint8)
#   features = {"image/encoded": tf.io.encode_jpeg(pixels, quality=80, optimize_size=True), "image/class/label": n,
#               "image/filename": b"%d.jpg" % n, "score": [0.5, n]}
#   tf.io.TFRecordWriter(path, options).write(tf.train.Example(features=…).SerializeToString())
# SEQUENCE: tf.train.SequenceExample(context=…, feature_lists={"words": [b"a", b"b"]}).
PLAIN = (
    "mQEAAAAAAACOqWGTCpYDChUKBXNjb3JlEgwSCgoIAAAAPwAAAAAKwwIKDWltYWdlL2VuY29kZWQSsQIKrgIKqwL/2P/gABBKRklGAAEBAQEsASwAAP/bAEMABgQFBgUEBg"
    "YFBgcHBggKEAoKCQkKFA4PDBAXFBgYFxQWFhodJR8aGyMcFhYgLCAjJicpKikZHy0wLSgwJSgpKP/bAEMBBwcHCggKEwoKEygaFhooKCgoKCgoKCgoKCgoKCgoKCgoKCgo"
    "KCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKP/AABEIAAYACAMBIgACEQEDEQH/xAAVAAEBAAAAAAAAAAAAAAAAAAAAB//EABYQAQEBAAAAAAAAAAAAAAAAAAAFQf/EAB"
    "QBAQAAAAAAAAAAAAAAAAAAAAb/xAAZEQABBQAAAAAAAAAAAAAAAAAAAgMGMjT/2gAMAwEAAhEDEQA/AJXPwA4jmJIFesf/2QobCg5pbWFnZS9maWxlbmFtZRIJCgcKBTAu"
    "anBnChoKEWltYWdlL2NsYXNzL2xhYmVsEgUaAwoBADhFNjuaAQAAAAAAABfzj6AKlwMKFQoFc2NvcmUSDBIKCggAAAA/AACAPwrEAgoNaW1hZ2UvZW5jb2RlZBKyAgqvAg"
    "qsAv/Y/+AAEEpGSUYAAQEBASwBLAAA/9sAQwAGBAUGBQQGBgUGBwcGCAoQCgoJCQoUDg8MEBcUGBgXFBYWGh0lHxobIxwWFiAsICMmJykqKRkfLTAtKDAlKCko/9sAQwEH"
    "BwcKCAoTCgoTKBoWGigoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo/8AAEQgABgAIAwEiAAIRAQMRAf/EABUAAQEAAAAAAAAAAA"
    "AAAAAAAAAD/8QAFhABAQEAAAAAAAAAAAAAAAAAAAVB/8QAFQEBAQAAAAAAAAAAAAAAAAAABQb/xAAZEQABBQAAAAAAAAAAAAAAAAAAAgMGMjT/2gAMAwEAAhEDEQA/AJT8"
    "AIxzEkuHrH//2QobCg5pbWFnZS9maWxlbmFtZRIJCgcKBTEuanBnChoKEWltYWdlL2NsYXNzL2xhYmVsEgUaAwoBARgHaRA="
)
SEQUENCE = (
    "tAEAAAAAAABb209vCpYDChUKBXNjb3JlEgwSCgoIAAAAPwAAAAAKwwIKDWltYWdlL2VuY29kZWQSsQIKrgIKqwL/2P/gABBKRklGAAEBAQEsASwAAP/bAEMABgQFBgUEBg"
    "YFBgcHBggKEAoKCQkKFA4PDBAXFBgYFxQWFhodJR8aGyMcFhYgLCAjJicpKikZHy0wLSgwJSgpKP/bAEMBBwcHCggKEwoKEygaFhooKCgoKCgoKCgoKCgoKCgoKCgoKCgo"
    "KCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKP/AABEIAAYACAMBIgACEQEDEQH/xAAVAAEBAAAAAAAAAAAAAAAAAAAAB//EABYQAQEBAAAAAAAAAAAAAAAAAAAFQf/EAB"
    "QBAQAAAAAAAAAAAAAAAAAAAAb/xAAZEQABBQAAAAAAAAAAAAAAAAAAAgMGMjT/2gAMAwEAAhEDEQA/AJXPwA4jmJIFesf/2QobCg5pbWFnZS9maWxlbmFtZRIJCgcKBTAu"
    "anBnChoKEWltYWdlL2NsYXNzL2xhYmVsEgUaAwoBABIZChcKBXdvcmRzEg4KBQoDCgFhCgUKAwoBYnOEXj61AQAAAAAAANNNBdkKlwMKFQoFc2NvcmUSDBIKCggAAAA/AA"
    "CAPwrEAgoNaW1hZ2UvZW5jb2RlZBKyAgqvAgqsAv/Y/+AAEEpGSUYAAQEBASwBLAAA/9sAQwAGBAUGBQQGBgUGBwcGCAoQCgoJCQoUDg8MEBcUGBgXFBYWGh0lHxobIxwW"
    "FiAsICMmJykqKRkfLTAtKDAlKCko/9sAQwEHBwcKCAoTCgoTKBoWGigoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo/8AAEQgABg"
    "AIAwEiAAIRAQMRAf/EABUAAQEAAAAAAAAAAAAAAAAAAAAD/8QAFhABAQEAAAAAAAAAAAAAAAAAAAVB/8QAFQEBAQAAAAAAAAAAAAAAAAAABQb/xAAZEQABBQAAAAAAAAAA"
    "AAAAAAAAAgMGMjT/2gAMAwEAAhEDEQA/AJT8AIxzEkuHrH//2QobCg5pbWFnZS9maWxlbmFtZRIJCgcKBTEuanBnChoKEWltYWdlL2NsYXNzL2xhYmVsEgUaAwoBARIZCh"
    "cKBXdvcmRzEg4KBQoDCgFhCgUKAwoBYnOrWKg="
)
GZIP = (
    "H4sIAAAAAAAAA92RSy8DURTHz53be+/0pGpmTKc1JUSDqbRaIiKxEBFN8ClGDamMR3Rnw85GSLxZ2YqG8AmaaGJp67HxHWwlYzw21HPrv/z9T+49Ob99Ai9ZO7I3cYdiBF"
    "kxP7fgaCENUfaLgecWLySsKczYU07Gmc3PTTgT2pmEJxIeS961dw/KaG4kB8RPiqQAvDsYAh5gnAU4Z1wILqOCGAyiHq4NKVE9FovqhmE2tjaZ8USDYTSnmhNt7cmOZH1T"
    "Opu2sq1W0np+hAghUMY6xDrLNEzrz/HKoMrAQaakBSSVUJV4FYj4q8L7CB8bCvnI2aDP9app7tN6FQh7jyXKu3u8WwhR4n9GVf9421flcGJvgy1eejcYx/DrEScLrjNrzz"
    "haEAWybOf0/BSaqL6WedcuFjOuPe64GjMpEugb7u0/eNsh+rB+iLufi1oewEqVqHMJTyUs/RdR9BtRkWr8e1Nbj7Ba1MZWSktfm+r6wRSJiYLyBNdyKBhTAwAA"
)
ZLIB = (
    "eJzdkUsvA1EUx8+d23vv9KRqZkynNSVEg6m0WiIisRARTfApRg2pjEd0Z8PORki8WdmKhvAJmmhiaeux8R1sJWM8NtRz67/8/U/uPTm/fQIvWTuyN3GHYgRZMT+34GghDV"
    "H2i4HnFi8krCnM2FNOxpnNz004E9qZhCcSHkvetXcPymhuJAfET4qkALw7GAIeYJwFOGdcCC6jghgMoh6uDSlRPRaL6oZhNrY2mfFEg2E0p5oTbe3JjmR9UzqbtrKtVtJ6"
    "foQIIVDGOsQ6yzRM68/xyqDKwEGmpAUklVCVeBWI+KvC+wgfGwr5yNmgz/Wqae7TehUIe48lyrt7vFsIUeJ/RlX/eNtX5XBib4MtXno3GMfw6xEnC64za884WhAFsmzn9P"
    "wUmqi+lnnXLhYzrj3uuBozKRLoG+7tP3jbIfqwfoi7n4taHsBKlahzCU8lLP0XUfQbUZFq/HtTW4+wWtTGVkpLX5vq+sEUiYmC8gQzvpK8"
)


def file_of(path, text):
    path.write_bytes(base64.b64decode(text))
    return path


def is_as_written(dataset):
    """Pixels, labels and names of both records; JPEG changes a smooth image of three colours by a few levels."""
    assert [target for _, target in dataset.samples] == [0, 1]
    for n in range(2):
        data = dataset.samples[n][0].read()
        written = np.array([[[200 * n, 90, 30 * x] for x in range(8)] for _ in range(6)], np.int16)
        image = PIL.Image.open(io.BytesIO(data))
        assert (image.format, image.size) == ("JPEG", (8, 6))
        assert np.abs(np.asarray(image, np.int16) - written).mean() < 12
    return True


@pytest.mark.parametrize("text", [PLAIN, SEQUENCE], ids=["Example", "SequenceExample"])
@pytest.mark.parametrize("check", ["first", "always"])
def test_examples(tmp_path, monkeypatch, text, check):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dataset = TFRecord(file_of(tmp_path / "a.tfrecord", text), check=check)
    assert is_as_written(dataset) and [dataset.samples.name(n) for n in range(2)] == ["0.jpg", "1.jpg"]
    # The JPEGs are those that tensorflow made.
    assert [zlib.crc32(dataset.samples[n][0].read()) for n in range(2)] == [3939981837, 3311882678]


@pytest.mark.parametrize("text", [GZIP, ZLIB], ids=["GZIP", "ZLIB"])
def test_packed_files_are_refused_and_converted(tmp_path, monkeypatch, text):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = file_of(tmp_path / "a.tfrecord", text)
    with pytest.raises(ValueError, match="compressed as a whole"):
        TFRecord(path)
    convert(path, tmp_path / "out", "tfrecord")
    packed, plain = TFRecord(tmp_path / "out"), TFRecord(file_of(tmp_path / "b.tfrecord", PLAIN))
    assert is_as_written(packed)
    assert [packed.samples[n][0].read() for n in range(2)] == [plain.samples[n][0].read() for n in range(2)]
