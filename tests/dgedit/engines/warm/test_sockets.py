"""Where a warm engine is found, and when it is too old."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from dgedit.engines.warm.sockets import EngineKey

ROOT = Path(__file__).parents[4]
PACKAGES = ("engine/dgedit_engine", "kernels/dgedit_kernels")

# One file after the other is given another time; the stamps that are seen, first of all before it.
TOUCH = """
import json, os, sys
from dgedit.engines.warm.sockets import EngineKey
place = EngineKey(sys.argv[1], "")
seen = [place.stamp]
for file, seconds in json.loads(sys.argv[2]):
    os.utime(file, (0, seconds))
    seen.append(place.stamp)
print(json.dumps(seen))
"""


def stamps(tree: Path, model: Path, files: Iterable[tuple[str, float]]) -> list[str]:
    """The stamps of an engine whose code is in `tree`, before and after each of `files` has got its
    time.
    """
    code = os.pathsep.join(str(tree / package.split("/")[0]) for package in PACKAGES)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([code, str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", TOUCH, str(model), json.dumps([*files])],
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
    found = stamps(tmp_path, tmp_path / "model", [(file, 5e8) for file in files])
    assert len(set(found)) == len(files) + 1


def test_stamp_sees_a_file_that_is_older_than_others(tmp_path: Path) -> None:
    """As is one that a copy or a checkout brings, or that is written after the clock was set back;
    and one of them comes from the future.
    """
    for package in PACKAGES:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        (model / name).touch()
    future, weights = str(model / "config.json"), str(model / "model.safetensors")
    times = [(future, 4e9), (weights, 2e9), (weights, 1e9), (weights, 1.0)]
    assert len(set(stamps(tmp_path, model, times))) == 1 + len(times)


def test_stamp_sees_no_compiled_file(tmp_path: Path) -> None:
    compiled = tmp_path / PACKAGES[0] / "__pycache__" / "engine.cpython-311.pyc"
    for package in PACKAGES:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    compiled.parent.mkdir()
    compiled.touch()
    before, seen = stamps(tmp_path, tmp_path / "model", [(str(compiled), 5e8)])
    assert seen == before


def test_adapter_is_another_engine_and_its_files_count(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    (folder / "denoise").mkdir(parents=True)
    plain, adapted = EngineKey.of("nano", None), EngineKey.of("nano", None, str(folder))
    assert (
        len({plain.socket, adapted.socket, EngineKey.of("nano", None, str(tmp_path)).socket}) == 3
    )
    (tmp_path / "link").symlink_to(folder)
    assert EngineKey.of("nano", None, str(tmp_path / "link")) == adapted
    before = adapted.stamp
    file = folder / "denoise" / "conditioning.safetensors"
    file.touch()
    new = adapted.stamp
    os.utime(file, ns=(10**18, 10**18))
    assert len({plain.stamp, before, new, adapted.stamp}) == 3 and before == plain.stamp


def test_second_model_makes_another_engine_and_its_files_count(tmp_path: Path) -> None:
    folder = tmp_path / "larger"
    folder.mkdir()
    plain, judged = EngineKey.of("nano", None), EngineKey.of("nano", None, None, str(folder))
    tiny = EngineKey.of("nano", None, None, "tiny")
    drafted = EngineKey.of("nano", None, None, None, str(folder))
    assert len({plain.socket, judged.socket, tiny.socket, drafted.socket}) == 4
    (tmp_path / "link").symlink_to(folder)
    assert EngineKey.of("nano", None, None, str(tmp_path / "link")) == judged
    before = judged.stamp
    assert (plain.stamp, tiny.verifier) == (tiny.stamp, "tiny") and drafted.stamp == before
    (folder / "config.json").touch()
    assert judged.stamp == drafted.stamp != before
