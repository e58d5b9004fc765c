"""What is found out without a card is what passes launch, and what Triton would make of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from as_on_a_card import through_kernels
from dgedit_engine.bench.shapes import released
from dgedit_engine.decode.causal import encode, log_probabilities
from dgedit_engine.decode.loop_cuda import DenoiseStep
from dgedit_engine.memory.plan import check
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.model.prefill_cuda import SIZES, PromptPart
from dgedit_engine.warming import dry
from dgedit_engine.warming.dry import launches, lengths
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.quantize import room_for
from dgedit_engine.weights.slots import slots
from dgedit_kernels import decode, moe, qmatmul
from dgedit_kernels.dispatch import CardLimits, Launch, launch, watching
from every_format import q8_0
from headers import header_only
from scripted import PATH

H100 = CardLimits(132, 227)


def test_a_step_launches_nothing_that_would_not_have_been_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt, texts that are scored, and a step, in Triton's interpreter."""
    pytest.importorskip("triton")
    q8_0(tmp_path)
    config = load_config(tmp_path)
    fit = check(tmp_path, 1 << 40, device="cuda")
    little = CardLimits(
        16, H100.shared
    )  # shares out fewer tiles, which an interpreter takes in turn
    known = set(launches(tmp_path, fit, little))
    model = checkpoint.load(config, tmp_path, dtype=fit.setting.matrices)
    cache = DeviceCache(config, device="cpu", dtype=model.embedding.dtype)
    through_kernels(monkeypatch, processors=little.processors)
    seen: Counter[Launch] = Counter()

    def noted(one: Launch) -> bool:
        seen[one] += 1
        return True

    with watching(noted), torch.inference_mode():
        encode(model, cache, list(range(2, 9)))
        log_probabilities(model, cache, [[5, 6], [5, 9]], [1, 1])
        step = DenoiseStep(model, cache, rows=1, slots=config.canvas)
        step.settings.copy_(torch.tensor([0.5, 0.3, 1.0]))
        step.advance()
    assert {one.kernel for one in seen} == {one.kernel for one in known}
    assert not seen.keys() - known
    assert sum(seen.values()) > 100


def test_every_part_of_a_captured_prompt_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    q8_0(tmp_path)
    fit = check(tmp_path, 1 << 40, device="cuda")
    monkeypatch.setattr(dry, "lengths", lambda most: [7])
    monkeypatch.setattr(dry, "sizes", lambda config: [8])
    known = set(launches(tmp_path, fit, H100))
    seen: set[Launch] = set()
    model = dry._model(tmp_path, fit)
    with torch.no_grad(), watching(lambda one: bool(seen.add(one)), on=H100):
        cache = dry._cache(model, fit)
        for size in SIZES:
            PromptPart(model, cache, size).advance(cache)
    assert len(seen) > 20 and seen <= known
    monkeypatch.setattr(dry, "PARTS", ())
    assert not seen <= set(launches(tmp_path, fit, H100)), "nothing else reads so many tokens"


@pytest.mark.parametrize("card", [H100, CardLimits(128, 99)])
def test_the_lengths_that_are_tried_stand_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: CardLimits
) -> None:
    file = tmp_path / "model.gguf"
    header_only(file, released(), "Q4_K_M", vocabulary=False)
    fit = check(file, 80 * 10**9, device="cuda")
    some = launches(file, fit, card)
    assert len(set(some)) == len(some) and 100 < len(some) < 250
    odd = [7, 41, 42, 47, 63, 77, 95, 175, 250, 255, 257, 333, 384, 399, 431, 496, 510, 511]
    assert len(set(odd) - set(lengths(512))) > 9
    monkeypatch.setattr(dry, "lengths", lambda most: odd)
    assert not set(launches(file, fit, card)) - set(some)


def test_a_step_of_the_released_shape_has_no_more_launches_than_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bar that only falls: each costs some microseconds of a step of 4 ms."""
    with torch.device("meta"):
        model = Model(released())
    for slot in slots(model):
        slot.fill(room_for(slot, "e2m1", "int8"))
    model.requires_grad_(False)
    found: Counter[str] = Counter()
    copies, real = 0, decode.ordered

    def counted(x: Tensor, planes: int) -> Tensor:
        nonlocal copies
        copies += planes > 1
        return real(x, planes)

    for file in (qmatmul, moe):
        monkeypatch.setattr(file, "ordered", counted)
    with torch.no_grad(), watching(lambda one: bool(found.update([one.kernel])), on=H100):
        cache = DeviceCache(model.config, device="meta", dtype=torch.bfloat16)
        DenoiseStep(model, cache, rows=1, slots=256).advance()
    assert sum(found.values()) <= LAUNCHES, found
    assert copies <= COPIES


LAUNCHES, COPIES = 431, 31
"""What was counted of our kernels, experts in 4 bits and the rest in int8 by rows, and of copies of
activations into the order of a weight's codes: attention's.
"""


def test_launches_outside_are_made_as_ever_with_sums_fused() -> None:
    def made(*args: int, **more: Any) -> Any:
        return args, more

    kernel = {(3,): made}
    assert launch(kernel, (3,))(1, num_warps=8) == (
        (1,),
        {"num_warps": 8, "enable_fp_fusion": True},
    )


CHECKED = """
import sys
from pathlib import Path
import torch
from triton.backends.compiler import GPUTarget
from triton.compiler.compiler import make_backend
from triton.runtime.jit import create_function_from_signature
from dgedit_engine.memory.plan import check
from dgedit_engine.warming.dry import launches
from dgedit_kernels.compiled import specialised
from dgedit_kernels import decode, moe, qmatmul
from dgedit_kernels.dispatch import CardLimits, Launch

backend, made, path = make_backend(GPUTarget("cuda", 90, 32)), {}, Path(sys.argv[1])
of = Launch.of.__func__

def kept(cls, kernel, *args, **more):
    one = of(cls, kernel, *args, **more)
    made[one] = kernel, args, more
    return one

def real(value):
    if not isinstance(value, torch.Tensor):
        return value
    offset = value.storage_offset() * value.element_size()
    return torch.empty(64, dtype=value.dtype)[offset % 16 // value.element_size():]

Launch.of = classmethod(kept)
found = launches(path, check(path, 1 << 40, device="cuda"), CardLimits(132, 227))
for one in found:
    kernel, args, more = made[one]
    bind = create_function_from_signature(kernel.signature, kernel.params, backend)
    bound, special, options = bind(*map(real, args), **{k: real(v) for k, v in more.items()})
    kwargs = options | {"debug": False, "instrumentation_mode": ""}
    theirs, *right = kernel._pack_args(backend, kwargs, bound, special, options)
    ours, *mine = specialised(one)
    assert ours is kernel and mine == right and str(mine[2]) == str(right[2]), (one, mine, right)
    assert (theirs.num_warps, theirs.num_stages) == (one.warps, one.stages)
print(len(found))
"""


def alone(code: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that does not interpret kernels."""
    env = {key: one for key, one in os.environ.items() if key != "TRITON_INTERPRET"}
    env |= {"PYTHONPATH": PATH, **more}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_triton_makes_the_same_of_a_launchs_arguments(tmp_path: Path) -> None:
    """Else a launch would not find in the cache what was compiled for it."""
    pytest.importorskip("triton")
    q8_0(tmp_path)
    done = alone(CHECKED, str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 50


COMPILED = """
import json, sys
from pathlib import Path
from dgedit_engine.memory.plan import check
from dgedit_engine.warming.compiling import compile_all, folder
from dgedit_engine.warming.dry import launches
from dgedit_kernels import decode, moe, qmatmul
from dgedit_kernels.dispatch import CardLimits, Launch

if __name__ == "__main__":
    path = Path(sys.argv[1])
    found = launches(path, check(path, 1 << 40, device="cuda"), CardLimits(132, 227))
    some = [one for one in found if one.kernel in ("_gated_kernel", "_choose_kernel")][:3]
    bad = Launch(some[0].module, some[0].kernel, (), (), 4, 3)
    failed = []
    steps = [(one.done, one.total) for one in compile_all([*some, bad], 90, failed=failed)]
    files = sorted(one.suffix for one in folder().rglob("*.cubin"))
    print(json.dumps([steps, failed, len(files), str(folder())]))
"""


def test_what_is_compiled_is_in_the_cache_and_what_is_not_is_named(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    import json

    (tmp_path / "model").mkdir()
    q8_0(tmp_path / "model")
    script, cache = tmp_path / "script.py", str(tmp_path / "cache")
    script.write_text(COMPILED)
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    done = alone(code, str(tmp_path / "model"), TRITON_CACHE_DIR=cache)
    assert done.returncode == 0, done.stderr[-2000:]
    steps, failed, count, where = json.loads(done.stdout.splitlines()[-1])
    assert steps[0] == [0, 4] and steps[-1] == [4, 4] and where == cache
    assert (failed, count) == (["_gated_kernel"], 3)
