"""What a wheel carries beside our own code: licence texts, and the bill of materials (CycloneDX, PEP 770).

setup.py adds both to every wheel; `packaging/check_wheel.py` holds wheels to them.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Part:
    """Code of others that is compiled into the core."""

    name: str
    version: str
    expression: str  # SPDX
    texts: tuple[Path, ...]  # of its licences
    purl: str
    cpe: str | None = None  # by which vulnerabilities are looked up
    sha256: str | None = None  # of its source, where that is one file

    def component(self) -> dict[str, Any]:
        """As CycloneDX has it."""
        said: dict[str, Any] = {
            "type": "library",
            "bom-ref": self.purl,
            "name": self.name,
            "version": self.version,
            "licenses": [{"expression": self.expression}],
            "purl": self.purl,
        }
        if self.cpe:
            said["cpe"] = self.cpe
        if self.sha256:
            said["hashes"] = [{"alg": "SHA-256", "content": self.sha256}]
        return said


def libjpeg(note: Path) -> Part:
    """As packaging/libjpeg.cmake noted which one it links."""
    said = json.loads(note.read_text())
    version = said["version"]
    return Part(
        name="libjpeg-turbo",
        version=version,
        expression="IJG AND BSD-3-Clause AND Zlib",
        texts=tuple(Path(text) for text in said["texts"]),
        purl=f"pkg:generic/libjpeg-turbo@{version}",
        cpe=f"cpe:2.3:a:libjpeg-turbo:libjpeg-turbo:{version}:*:*:*:*:*:*:*",
        sha256=said["sha256"] or None,
    )


def pybind11() -> Part:
    """The headers that the bindings are written with; of the environment that builds."""
    found = importlib.metadata.distribution("pybind11")
    texts = [Path(str(found.locate_file(file))) for file in found.files or () if file.name == "LICENSE"]
    return Part(
        name="pybind11",
        version=found.version,
        expression="BSD-3-Clause",
        texts=tuple(texts),
        purl=f"pkg:pypi/pybind11@{found.version}",
    )


def bill_of_materials(name: str, version: str, parts: list[Part]) -> dict[str, Any]:
    """The same parts give the same bill, number and all."""
    ours = {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "purl": f"pkg:pypi/{name}@{version}",
    }
    components = [part.component() for part in parts]
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([ours, components]))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"lifecycles": [{"phase": "build"}], "component": ours},
        "components": components,
        "dependencies": [{"ref": ours["bom-ref"], "dependsOn": [part.purl for part in parts]}]
        + [{"ref": part.purl} for part in parts],
    }


def add(dist_info: Path, name: str, version: str, parts: list[Part]) -> None:
    """Writes texts and bill into a wheel's `.dist-info` folder."""
    for part in parts:
        folder = dist_info / "licenses" / part.name
        folder.mkdir(parents=True, exist_ok=True)
        for text in part.texts:
            shutil.copyfile(text, folder / text.name)
    bill = dist_info / "sboms" / f"{name}.cdx.json"
    bill.parent.mkdir(exist_ok=True)
    bill.write_text(json.dumps(bill_of_materials(name, version, parts), indent=1) + "\n")
