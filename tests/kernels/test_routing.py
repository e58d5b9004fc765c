"""Sorting choices by expert, against PyTorch's stable sort."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgedit_kernels.routing import Routing, route, route_reference


def assert_same(found: Routing, wanted: Routing) -> None:
    assert found.order.equal(wanted.order)
    there = wanted.tiles[0] >= 0
    assert found.tiles[0].equal(wanted.tiles[0])
    assert found.tiles[:, there].equal(wanted.tiles[:, there])


def chosen(count: int, many: int, active: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, many, (count, active), generator=generator)  # twice the same may be


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: empty(*a, **k).fill_(1 << 20))


@pytest.mark.parametrize("count", [1, 63, 100, 257])
@pytest.mark.parametrize(("many", "active"), [(1, 1), (3, 2), (33, 8)])
@pytest.mark.parametrize("rows", [16, 64])
def test_kernel_is_the_stable_sort(count: int, many: int, active: int, rows: int) -> None:
    index = chosen(count, many, active)
    assert_same(route(index, many, rows=rows), route_reference(index, many, rows=rows))


def test_all_at_one_expert_and_none_at_the_last() -> None:
    for expert in (0, 4):
        index = torch.full((70, 2), expert)
        assert_same(route(index, 9, rows=32), route_reference(index, 9, rows=32))


def test_tiles_cover_each_choice_once_and_only_their_expert() -> None:
    index = chosen(90, 7, 3)
    order, tiles = route(index, 7, rows=16)
    seen = []
    for expert, first, end in tiles.T.tolist():
        if expert >= 0:
            rows = order[first : min(first + 16, end)].tolist()
            assert rows and {index.flatten()[row].item() for row in rows} == {expert}
            seen += rows
    assert sorted(seen) == list(range(270))


def test_room_is_enough_for_the_worst_choice_and_depends_on_shapes_alone() -> None:
    spread = torch.arange(34).view(17, 2) % 17  # each expert gets two: a tile for each
    assert (route(spread, 17, rows=16).tiles[0] >= 0).sum() == 17
    alone = route(torch.zeros_like(spread), 17, rows=16)
    assert alone.tiles.shape == route(spread, 17, rows=16).tiles.shape


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_routing_on_a_gpu_and_in_a_graph() -> None:
    index = chosen(256, 128, 8).cuda()
    route(index, 128, rows=32)  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = route(index, 128, rows=32)
    index.copy_(index.flip(0))
    graph.replay()
    torch.cuda.synchronize()
    assert_same(found, route_reference(index, 128, rows=32))
