"""The domains that there are, by name, and the tables that their models are measured by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dgedit_engine.domains import graphs, proteins, sudoku, tables
from dgedit_engine.domains.domain import Domain
from dgedit_engine.domains.recovery import of_proteins
from dgedit_engine.domains.solving import Solver
from dgedit_engine.engine import open_engine
from dgedit_engine.types import ModelError

NAMES = ("graph", "protein", "sudoku")
"""Names of the domains."""


def domain_of(name: str, *, minutes: float | None = None, data: Path | None = None) -> Domain:
    """Return a domain by name; `minutes` are those of its training, else its own, `data` the FASTA
    file that the proteins are read from. Raises ModelError, naming it, for another name, and for
    proteins without data.
    """
    timed: dict[str, Any] = {} if minutes is None else {"minutes": minutes}
    if name == "sudoku":
        return sudoku.domain(**timed)
    if name == "graph":
        return graphs.domain(**timed)
    if name != "protein":
        raise ModelError(f"no domain {name}; there are {', '.join(NAMES)}")
    if data is None:
        raise ModelError("proteins are learnt from a FASTA file, which is to be named")
    if not data.is_file():
        raise ModelError(f"the proteins are read from a FASTA file, not {data}")
    return proteins.domain(data, **timed)


def measured(domain: Domain, folder: Path, count: int, data: Path | None) -> Iterator[str]:
    """Yield the table of the model in a folder, a line at a time, from `count` boards a row, or of
    proteins from so many rounds. Raises ModelError.
    """
    solver = Solver(open_engine(str(folder), "cpu").model, domain)
    if domain.name == "sudoku":
        yield from tables.of_sudoku(solver, count)
    elif domain.name == "graph":
        yield from tables.of_graphs(solver, count)
    else:
        assert data is not None, "a protein domain has its data"
        yield from of_proteins(solver, data, count)
