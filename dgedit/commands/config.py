"""`dgedit config`: show settings and where they come from, and change them.

Knows options and messages; `dgedit.config` knows what a setting may be.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from dgedit import config
from dgedit.commands.coercion import Group, Quick
from dgedit.commands.output import print_text
from dgedit.errors import UsageError, unknown
from dgedit.files.paths import WorkingFolder

app = typer.Typer(cls=Group, help="Show and change the settings.", rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OfProject = Annotated[bool, typer.Option("--project", help=f"The project's {config.PROJECT}.")]


@app.command(cls=Quick)
def show(as_json: AsJson = False) -> None:
    """Print every setting and where it comes from.

    Options go before variables DGEDIT_NAME, these before the project's .dgedit.toml, that before
    your own file.
    """
    origin = dict.fromkeys((one.name for one in fields(config.Settings)), "default")
    for layer in config.layers():
        origin |= dict.fromkeys(layer.values, layer.where)
    settings = config.current()
    values = {key: getattr(settings, key) for key in origin}
    if as_json:
        table = {key: {"value": values[key], "from": origin[key]} for key in origin}
        print_text(json.dumps(table, default=dict) + "\n")
        return
    shown = {
        key: json.dumps(value, default=dict, ensure_ascii=False) for key, value in values.items()
    }
    first, second = max(map(len, shown)), min(32, max(map(len, shown.values())))
    rows = [f"{key:{first}}  {shown[key]:{second}}  {origin[key]}\n" for key in shown]
    print_text("".join(rows))


@app.command(cls=Quick)
def path(project: OfProject = False) -> None:
    """Print where your settings lie, or with --project where those of this folder's project do."""
    print_text(f"{_file(project)}\n")


@app.command("set", cls=Quick)
def set_(
    key: Annotated[str, typer.Argument(help="A setting, as `show` has it.")],
    value: Annotated[str | None, typer.Argument(help="Its value; none goes back.")] = None,
    project: OfProject = False,
) -> None:
    """Change a setting in your file, or in the project's; comments stay.

    Example: dgedit config set effort 0.3
    """
    file = _file(project)
    if value is None:
        if key not in {one.name for one in fields(config.Settings)}:
            raise UsageError(unknown("key", key, [one.name for one in fields(config.Settings)]))
        config.change(key, None, file)
    else:
        if key == "theme":
            from textual.theme import BUILTIN_THEMES

            themes = [*BUILTIN_THEMES, *config.current().themes]
            if value not in themes:
                raise UsageError(unknown("theme", value, themes))
        config.change(key, config.read_value(key, value, str(file)), file)


def _file(project: bool) -> Path:
    if not project:
        return config.config_path()
    return config.project_path() or WorkingFolder.now().absolute(Path(config.PROJECT))
