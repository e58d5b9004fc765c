"""Where a package that only tests need is absent, the files that need it are skipped."""

import os
import subprocess
import sys
from pathlib import Path

from scripted import PATH

FORMATS = Path(__file__).parent / "engine" / "formats"
HIDDEN = """
import sys

class Hides:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "gguf":
            raise ModuleNotFoundError(f"No module named {name!r}", name="gguf")

sys.meta_path.insert(0, Hides())
"""


def test_a_file_that_needs_gguf_is_skipped_without_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    files = [str(FORMATS / "test_vocabulary.py"), str(FORMATS / "test_shards.py")]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            *files,
            "-k",
            "gpu",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), PATH))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "needs gguf" in done.stdout, done.stdout + done.stderr
    assert "error" not in done.stdout and done.returncode in (0, 5)
