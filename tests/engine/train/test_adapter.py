"""The trained parts of a frozen model: what they change, and the files they are kept in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from dgedit_engine.model.adapted import Adapted, LowRank
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.model.products import product
from dgedit_engine.train.adapter import (
    ATTENTION,
    PROJECTIONS,
    AdapterSettings,
    TrainedAdapter,
    settings_of,
)
from dgedit_engine.train.lora_recipe import LoraRecipe
from dgedit_engine.train.lora_run import LoraRun
from dgedit_engine.weights import checkpoint


def opened(folder: Path) -> Model:
    return checkpoint.load(load_config(folder), folder, dtype=torch.float32)


def shaken(adapter: TrainedAdapter) -> TrainedAdapter:
    """The adapter with every part drawn anew, so that all of them count."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part in adapter.parameters():
            part.copy_(torch.randn(part.shape, generator=generator) * 0.1)
    return adapter


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adapted_product_is_that_of_the_merged_matrix(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    weight, x = numbers(12, 6).to(dtype), numbers(2, 3, 6)
    changes = (
        LowRank((2, 5), numbers(2, 6), numbers(3, 2)),
        LowRank((7, 10), numbers(4, 6), numbers(3, 4)),
    )
    adapted = Adapted(weight, changes, 0.5)
    tolerance = 1e-5 if dtype == torch.float32 else 0.1
    expected = F.linear(x, adapted.merged())
    torch.testing.assert_close(
        product(x, adapted).float(), expected, rtol=tolerance, atol=tolerance
    )
    untouched = [0, 1, 5, 6, 10, 11]
    assert torch.equal(adapted.merged()[untouched], weight.float()[untouched])
    adapted.active = False
    assert torch.equal(product(x, adapted), F.linear(x.to(dtype), weight))
    adapted.active, adapted.causal = True, False
    assert torch.equal(product(x, adapted), F.linear(x.to(dtype), weight))
    changed = product(x, adapted, causal=False).float()
    torch.testing.assert_close(changed, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("projections", [PROJECTIONS, ATTENTION, ("v_proj", "up_proj")])
def test_new_adapter_changes_nothing_and_trains_nothing_else(
    base: Path, projections: tuple[str, ...]
) -> None:
    ids = torch.arange(20).view(1, 20) + 16
    recipe = LoraRecipe(projections=",".join(projections), rank=2)
    model = opened(base)
    run = LoraRun(model, recipe, range(400))
    torch.testing.assert_close(run.read(ids), run.base(ids))
    run.read(ids).square().sum().backward()
    assert all(part.grad is None for part in model.parameters())
    named = dict(run.adapter.parts.items())
    assert len(named) == 2 * len(projections) * len(model.config.layers)
    assert all(part.grad is not None for name, part in named.items() if name.endswith("B"))
    assert named["base_model/model/model/layers/0/self_attn/v_proj/lora_A"].shape == (2, 32) or (
        "v_proj" not in projections
    )


def test_files_are_pefts_and_come_back(base: Path, tmp_path: Path) -> None:
    settings = AdapterSettings(rank=3, alpha=5.0, projections=PROJECTIONS)
    model = opened(base)
    adapter = shaken(TrainedAdapter(model, settings))
    adapter.save(tmp_path, base="some/base")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA" and config["r"] == 3 and config["lora_alpha"] == 5.0
    assert set(config["target_modules"]) == set(PROJECTIONS)
    assert config["trainable_token_indices"] == {"embed_tokens": list(range(16))}
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    name = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"
    assert tensors[name].shape == (32, 3)
    rows = tensors["base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"]
    torch.testing.assert_close(rows, model.embedding[:16] + adapter.rows)
    assert settings_of(tmp_path) == settings
    again = TrainedAdapter(opened(base), settings)
    again.load(tmp_path)
    for one, two in zip(adapter.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_files_that_do_not_fit_are_named(base: Path, tmp_path: Path) -> None:
    TrainedAdapter(opened(base), AdapterSettings(rank=2)).save(tmp_path, base="x")
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors: base_model.* is \[2, 32\]"):
        TrainedAdapter(opened(base), AdapterSettings(rank=3)).load(tmp_path)
    with pytest.raises(ValueError, match="alone"):
        TrainedAdapter(opened(base), AdapterSettings(rank=2, projections=PROJECTIONS)).load(
            tmp_path
        )


def test_peft_reads_as_we_do(base: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    recipe = LoraRecipe(projections="all", rank=3, alpha=5.0)
    run = LoraRun(opened(base), recipe, range(400))
    shaken(run.adapter).save(tmp_path, base=str(base))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path).eval()
    ids = torch.tensor([[2, 4, 30, 31, 3, 40, 41, 42, 1, 50]])
    with torch.no_grad():
        found = run.read(ids) @ torch.cat((run.head[:16] + run.adapter.rows, run.head[16:])).T
        expected = theirs(ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_unusable_settings_are_named() -> None:
    with pytest.raises(ValueError, match="rank must be at least 1, not 0"):
        AdapterSettings(rank=0)
    with pytest.raises(ValueError, match="no such projection: nose"):
        LoraRecipe(projections="q_proj,nose")
    with pytest.raises(ValueError, match="turned is a share"):
        LoraRecipe(turned=2)
