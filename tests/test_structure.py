"""The house holds to its map: arrows run down, there is no circle, each wing has one door, and docs/architecture.md says so."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("house_map", ROOT / "docs" / "map.py")
house = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(house)

MOST_LINES = 400
MEDIAN_LINES = 100
MOST_FILES_ON_TOP = 10


def test_every_python_file_lies_in_a_wing():
    assert {house.wing_of(name) for name in house.python_files()} == set(house.WINGS)


def test_no_python_arrow_runs_up():
    height = house.WINGS.index
    up = [
        f"{name} imports {other}"
        for name, imported in house.python_graph().items()
        for other in imported
        if other != "_core" and height(house.wing_of(other)) > height(house.wing_of(name))
    ]
    assert up == []


def test_no_python_circle():
    assert house.circle(house.python_graph()) == []


def test_wings_are_entered_by_their_door():
    beside = [
        f"{name} imports {other}"
        for name, imported in house.python_graph().items()
        for other in imported
        if house.wing_of(other) not in ("", house.wing_of(name)) and not other.endswith("__init__")
    ]
    assert beside == []


def test_a_room_does_not_go_through_its_own_door():
    assert [
        name
        for name, imported in house.python_graph().items()
        for other in imported
        if other.endswith("__init__") and house.wing_of(other) == house.wing_of(name) != "" and name != "__main__"
    ] == []


def test_no_include_runs_up_and_there_is_no_circle():
    height = house.FLOORS.index
    graph = house.cpp_graph()
    assert {house.floor_of(name) for name in graph} == set(house.FLOORS)
    assert [
        f"{name} includes {other}"
        for name, included in graph.items()
        for other in included
        if height(house.floor_of(other)) > height(house.floor_of(name))
    ] == []
    assert house.circle(graph) == []


def test_only_the_bindings_know_python_and_only_jpeg_knows_libjpeg():
    for name, path in house.cpp_files().items():
        text = path.read_text()
        assert "pybind11" not in text or house.floor_of(name) == "bindings", name
        assert "<jpeglib.h>" not in text or house.floor_of(name) == "jpeg", name


def test_sizes():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in [*house.python_files().values(), *house.cpp_files().values()]
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
    assert statistics.median(lengths.values()) < MEDIAN_LINES
    tracked = [path for path in (ROOT / "fastload").iterdir() if path.is_file() and path.suffix != ".so"]
    assert len(tracked) <= MOST_FILES_ON_TOP


def test_the_map_in_the_documentation_is_the_graph():
    assert house.PAGE.read_text() == house.page(), "run: python docs/map.py"


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c"]),
        ({"a": {"_core"}, "b": {"a"}}, []),
    ],
)
def test_a_circle_is_found(graph, found):
    assert house.circle(graph) == found
