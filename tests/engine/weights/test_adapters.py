"""Low-rank changes merged into a model: held to PEFT both ways, and what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.head import Head
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights import adapters, checkpoint

IDS = torch.tensor([[2, 4, 30, 31, 3, 40, 41, 42, 1, 50]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Gemma 3, as transformers writes it."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    config = transformers.Gemma3TextConfig(
        **{"vocab_size": 400, "hidden_size": 32, "intermediate_size": 48, "head_dim": 16},
        **{"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 1},
        query_pre_attn_scalar=16,
        sliding_window=512,
        layer_types=kinds,
    )
    transformers.Gemma3ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def theirs(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """A folder with an adapter as PEFT writes it, token rows with it; and its logits of IDS."""
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig(
        r=3,
        lora_alpha=5,
        target_modules=["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
        trainable_token_indices={"embed_tokens": [1, 3, 40]},
        task_type="CAUSAL_LM",
    )
    adapted = peft.get_peft_model(model, config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, part in adapted.named_parameters():
            if part.requires_grad:
                part.add_(torch.randn(part.shape) * (0.3 if "lora" in name else 0.1))
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder)
    with torch.no_grad():
        return folder, adapted.eval()(IDS).logits


def opened(folder: Path) -> Model:
    return checkpoint.load(load_config(folder), folder, dtype=torch.float32)


def logits(model: Model) -> torch.Tensor:
    with torch.inference_mode():
        hidden = model.encode(IDS, KVCache(model.config, dtype=torch.float32))
        return model.logits(hidden)


def changed(folder: Path, out: Path, **values: Any) -> Path:
    """A copy of an adapter whose settings have these values."""
    config = json.loads((folder / adapters.CONFIG).read_text()) | values
    (out / adapters.CONFIG).write_text(json.dumps(config))
    (out / adapters.WEIGHTS).write_bytes((folder / adapters.WEIGHTS).read_bytes())
    return out


@pytest.mark.oracle
def test_merged_model_says_what_pefts_does(base: Path, theirs: tuple[Path, torch.Tensor]) -> None:
    folder, expected = theirs
    model = opened(base)
    before = logits(model)
    adapters.merge(model, adapters.load(folder))
    torch.testing.assert_close(logits(model), expected, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(before, expected, atol=0.1)


@pytest.mark.oracle
def test_shortlist_has_the_trained_rows_too(base: Path, theirs: tuple[Path, torch.Tensor]) -> None:
    folder, expected = theirs
    model = opened(base)
    ids = torch.arange(0, 400, 2)
    model.head = Head(model.embedding.detach()[ids].clone(), ids, 400)
    adapters.merge(model, adapters.load(folder))
    torch.testing.assert_close(logits(model), expected[..., ids], rtol=1e-3, atol=1e-3)


def test_square_root_scaling_is_heeded(
    base: Path, theirs: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    plain = adapters.load(theirs[0])
    rooted = adapters.load(changed(theirs[0], tmp_path, use_rslora=True))
    assert rooted.scale == pytest.approx(plain.scale * 3**0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"peft_type": "IA3"}, "peft_type 'IA3' with bias 'none', not 'LORA'"),
        ({"bias": "all"}, "with bias 'all'"),
        ({"use_dora": True}, "use_dora True is not known"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern differs by layer"),
        ({"r": 0}, "r 0 and lora_alpha 5"),
        ({"lora_alpha": None}, "r 3 and lora_alpha None"),
        ({"trainable_token_indices": {"lm_head": [1]}}, "trainable_token_indices of lm_head"),
        ({"trainable_token_indices": [1, -3]}, r"trainable_token_indices \[1, -3\]"),
    ],
)
def test_adapter_of_another_kind_is_named(
    theirs: tuple[Path, torch.Tensor], tmp_path: Path, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        adapters.load(changed(theirs[0], tmp_path, **values))
    assert adapters.CONFIG in str(caught.value) and "\n" not in str(caught.value)


def test_tensors_that_fit_nothing_are_named(
    base: Path, theirs: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    folder = changed(theirs[0], tmp_path)
    file = folder / adapters.WEIGHTS
    given = load_file(theirs[0] / adapters.WEIGHTS)

    def merged(tensors: dict[str, torch.Tensor]) -> None:
        save_file({name: one.clone() for name, one in tensors.items()}, file)
        adapters.merge(opened(base), adapters.load(folder))

    with pytest.raises(ModelError, match=r"half of .*q_proj"):
        merged({name: one for name, one in given.items() if name != f"{stem}.lora_B.weight"})
    with pytest.raises(ModelError, match=r"q_proj is \[64, 3\] times \[3, 31\], not \[64, 32\]"):
        merged(given | {f"{stem}.lora_A.weight": torch.zeros(3, 31)})
    with pytest.raises(ModelError, match="nose belongs to nothing"):
        merged(given | {"nose": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"\[2, 32\] for 3 tokens"):
        merged(given | {adapters.ROWS: torch.zeros(2, 32)})


@pytest.mark.parametrize("name", [adapters.CONFIG, adapters.WEIGHTS])
def test_missing_and_damaged_files_are_named(
    theirs: tuple[Path, torch.Tensor], tmp_path: Path, name: str
) -> None:
    folder = changed(theirs[0], tmp_path)
    (folder / name).write_bytes(b"\x00garbage")
    with pytest.raises(ModelError, match=name):
        adapters.load(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        adapters.load(folder)
