"""Where a warm engine is found, and when it is too old."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from dgedit.engines.warm.sockets import Place

ROOT = Path(__file__).parents[4]
PACKAGES = ("engine/dgedit_engine", "kernels/dgedit_kernels")

# One file in each folder is given a later time than all before it; the stamps then seen.
TOUCH = """
import json, os, sys
from dgedit.engines.warm.sockets import Place
place, seen = Place(sys.argv[1], ""), []
for later, file in enumerate(sys.argv[2:], 1):
    os.utime(file, ns=(0, 10**19 // 2 + later))
    seen.append(place.stamp - 10**19 // 2)
print(json.dumps(seen))
"""


def stamps(tree: Path, model: Path, files: list[str]) -> list[int]:
    """The stamps of an engine whose code is in `tree`, after each of `files` has changed."""
    code = os.pathsep.join(str(tree / package.split("/")[0]) for package in PACKAGES)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([code, str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", TOUCH, str(model), *files],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def test_stamp_sees_a_file_in_each_folder_of_the_engine_and_its_kernels(tmp_path: Path) -> None:
    files = []
    for package in PACKAGES:
        unread = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.xz")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=unread)
        for folder, _, names in os.walk(tmp_path / package):
            if code := [name for name in names if name.endswith((".py", ".json"))]:
                files.append(os.path.join(folder, min(code)))
    assert len(files) >= 6
    assert stamps(tmp_path, tmp_path / "model", files) == list(range(1, len(files) + 1))


def test_stamp_sees_no_compiled_file(tmp_path: Path) -> None:
    compiled = tmp_path / PACKAGES[0] / "__pycache__" / "engine.cpython-311.pyc"
    for package in PACKAGES:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    compiled.parent.mkdir()
    compiled.touch()
    (seen,) = stamps(tmp_path, tmp_path / "model", [str(compiled)])
    assert seen < 0


def test_adapter_is_another_engine_and_its_files_count(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    (folder / "denoise").mkdir(parents=True)
    plain, adapted = Place.of("nano", None), Place.of("nano", None, str(folder))
    assert len({plain.socket, adapted.socket, Place.of("nano", None, str(tmp_path)).socket}) == 3
    (tmp_path / "link").symlink_to(folder)
    assert Place.of("nano", None, str(tmp_path / "link")) == adapted
    file = folder / "denoise" / "conditioning.safetensors"
    file.touch()
    later = plain.stamp + 10**12
    os.utime(file, ns=(later, later))
    assert adapted.stamp == later > plain.stamp
