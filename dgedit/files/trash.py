"""Move files to the trash, as the specification of freedesktop.org has it.

A file goes to the trash of its own disk, so that it is only renamed: that of the home folder, or
`.Trash-1000` at the top of another disk. https://specifications.freedesktop.org/trash-spec/

Knows paths and the calendar; nothing of who asks.
"""

from __future__ import annotations

import os
import stat
import sys
from datetime import datetime
from itertools import count
from pathlib import Path
from urllib.parse import quote

from dgedit.errors import ConflictError, InputError
from dgedit.files import disk, saving
from dgedit.files.paths import our_folder


def trash_for(path: Path) -> Path | None:
    """Return the trash that a file would go to; None if there is none."""
    if sys.platform == "darwin":  # whose trash remembers nothing that we could write
        return None
    parent = Path(os.path.realpath(path.parent))
    home = our_folder("data").with_name("Trash")
    try:
        if _device(home) == _device(parent):
            return home
        top = parent
        while not os.path.ismount(top):
            top = top.parent
        own = top / f".Trash-{os.geteuid()}"
        there = own if os.path.lexists(own) else top
        good = os.access(there, os.W_OK) and not (there is own and not _is_ours(own))
        return own if good else None
    except OSError:
        return None


def throw_away(path: Path, trash: Path) -> None:
    """Move a file or folder to a trash. Raises InputError."""
    path = Path(os.path.realpath(path.parent)) / path.name
    is_home = trash == our_folder("data").with_name("Trash")
    said = path if is_home else path.relative_to(trash.parent)
    words = f"[Trash Info]\nPath={quote(os.fsencode(said))}\n"
    words += f"DeletionDate={datetime.now():%Y-%m-%dT%H:%M:%S}\n"
    try:
        for folder in (trash, trash / "files", trash / "info"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in count(1):
            name = path.name if number == 1 else f"{path.stem}.{number}{path.suffix}"
            info, place = trash / "info" / f"{name}.trashinfo", trash / "files" / name
            try:
                saving.write(info, words.encode(), expected=None)
            except ConflictError:
                continue
            if not os.path.lexists(place):
                break
            info.unlink()
        try:
            os.rename(path, place)
        except OSError:
            info.unlink()
            raise
    except (OSError, ValueError) as error:
        raise InputError(f"cannot move {path} to the trash: {disk.reason(error)}") from None


def _device(path: Path) -> int:
    """Return the device of a path, or of its nearest parent that is there."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


def _is_ours(folder: Path) -> bool:
    info = os.lstat(folder)
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid()
