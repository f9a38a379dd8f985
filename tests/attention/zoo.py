"""Tiny models of random weights, one per architecture, with inputs; nothing is downloaded."""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass, field
from typing import Any

import torch

STEPS = 7
VOCABULARY = 60


@dataclass(frozen=True)
class Case:
    """A model, what it is fed with, and which sites (by pattern) each of its fields holds.

    `own_weights` is False where the scores are a sum of several products, and `eager` False where
    the eager implementation computes something else than the default one.
    """

    name: str
    module: str
    model: str
    config: str
    settings: dict[str, Any]
    inputs: str = "text"
    maps: dict[str, str] = field(default_factory=dict)
    one_product: bool = True
    eager: bool = True


def ids(seed: int = 0, batch: int = 2, steps: int = STEPS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (batch, steps), generator=generator)


def left_padding(steps: int = STEPS) -> torch.Tensor:
    mask = torch.ones(2, steps, dtype=torch.long)
    mask[0, :3] = 0
    return mask


def right_padding(steps: int = STEPS) -> torch.Tensor:
    return left_padding(steps).flip(1)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def inputs_of(kind: str) -> dict[str, Any]:
    return {
        "text": lambda: {"input_ids": ids(), "attention_mask": right_padding()},
        "left": lambda: {"input_ids": ids(), "attention_mask": left_padding()},
        "plain": lambda: {"input_ids": ids()},
        "pair": lambda: {
            "input_ids": ids(),
            "attention_mask": right_padding(),
            "decoder_input_ids": ids(2, steps=5),
        },
        "image": lambda: {"pixel_values": noise(2, 3, 8, 8)},
        "big image": lambda: {"pixel_values": noise(2, 3, 16, 16)},
        "sound": lambda: {
            "input_features": noise(2, 8, 20),
            "decoder_input_ids": ids(2, steps=5),
        },
        "caption": lambda: {
            "input_ids": ids(),
            "attention_mask": right_padding(),
            "encoder_hidden_states": noise(2, 5, 16),
            "is_decoder": True,
        },
    }[kind]()


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 32,
}
NO_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
PAIR = {
    "^encoder.*": "encoder_attentions",
    "^decoder.*(self_attn|SelfAttention)/": "decoder_attentions",
    "^decoder.*(encoder_attn|EncDecAttention)/": "cross_attentions",
}
ALL = {".*": "attentions"}
SPEECH = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
    "vocab_size": VOCABULARY, "decoder_start_token_id": 1, **NO_TOKENS,
}  # fmt: skip

CASES = [
    Case("gpt2", "gpt2", "GPT2Model", "GPT2Config",
         dict(n_embd=16, n_layer=2, n_head=4, vocab_size=VOCABULARY, n_positions=32, **NO_TOKENS),
         "left", ALL),
    Case("llama", "llama", "LlamaModel", "LlamaConfig", dict(SMALL, num_key_value_heads=2), "left",
         ALL),
    Case("bert", "bert", "BertModel", "BertConfig", SMALL, "text", ALL),
    Case("t5", "t5", "T5Model", "T5Config",
         dict(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, vocab_size=VOCABULARY,
              decoder_start_token_id=0), "pair", PAIR),
    Case("bart", "bart", "BartModel", "BartConfig",
         dict(SPEECH, max_position_embeddings=32, forced_eos_token_id=2), "pair", PAIR),
    Case("vit", "vit", "ViTModel", "ViTConfig",
         dict(SMALL, image_size=8, patch_size=4), "image", ALL),
    Case("swin", "swin", "SwinModel", "SwinConfig",
         dict(image_size=16, patch_size=2, embed_dim=8, depths=[2, 2], num_heads=[2, 4],
              window_size=2, mlp_ratio=2), "big image",
         {r".*blocks\.1\.": "attentions"}),
    Case("bloom", "bloom", "BloomModel", "BloomConfig",
         dict(hidden_size=16, n_layer=2, n_head=4, vocab_size=VOCABULARY, **NO_TOKENS), "left",
         ALL),
    Case("gptj", "gptj", "GPTJModel", "GPTJConfig",
         dict(n_embd=16, n_layer=2, n_head=4, rotary_dim=4, vocab_size=VOCABULARY, n_positions=32,
              **NO_TOKENS), "left", ALL),
    Case("gpt_neo", "gpt_neo", "GPTNeoModel", "GPTNeoConfig",
         dict(hidden_size=16, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]],
              window_size=3, vocab_size=VOCABULARY, max_position_embeddings=32, **NO_TOKENS),
         "left", ALL),
    Case("deberta_v2", "deberta_v2", "DebertaV2Model", "DebertaV2Config",
         dict(SMALL, relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=4,
              type_vocab_size=0), "text", ALL, one_product=False),
    Case("xlnet", "xlnet", "XLNetModel", "XLNetConfig",
         dict(d_model=16, n_layer=2, n_head=4, d_inner=24, vocab_size=VOCABULARY), "left", ALL,
         one_product=False),
    Case("falcon", "falcon", "FalconModel", "FalconConfig",
         dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, vocab_size=VOCABULARY,
              **NO_TOKENS), "left", ALL),
    Case("falcon_alibi", "falcon", "FalconModel", "FalconConfig",
         dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, vocab_size=VOCABULARY,
              alibi=True, new_decoder_architecture=False, multi_query=False, **NO_TOKENS), "plain",
         ALL, eager=False),
    Case("mistral", "mistral", "MistralModel", "MistralConfig",
         dict(SMALL, num_key_value_heads=2, sliding_window=3), "left", ALL),
    Case("gemma2", "gemma2", "Gemma2Model", "Gemma2Config",
         dict(SMALL, num_key_value_heads=2, head_dim=4, sliding_window=3,
              attn_logit_softcapping=1.0, query_pre_attn_scalar=4), "left", ALL),
    Case("whisper", "whisper", "WhisperModel", "WhisperConfig",
         dict(SPEECH, num_mel_bins=8, max_source_positions=10, max_target_positions=16), "sound",
         PAIR),
    Case("blip", "blip.modeling_blip_text", "BlipTextModel", "BlipTextConfig",
         dict(SMALL, encoder_hidden_size=16, is_decoder=True, **NO_TOKENS), "caption",
         {r".*\.attention\.self/": "attentions", r".*crossattention\.self/": "cross_attentions"}),
]  # fmt: skip


def build(case: Case, implementation: str | None = None) -> torch.nn.Module:
    """Return the case's model; its weights are the same whatever the implementation."""
    package, _, module = case.module.partition(".")
    module = module or f"modeling_{package}"
    base = f"transformers.models.{package}"
    model = getattr(importlib.import_module(f"{base}.{module}"), case.model)
    config = getattr(importlib.import_module(f"{base}.configuration_{package}"), case.config)
    # A configuration of its own for each model: the implementation is written into it.
    made = config(**copy.deepcopy(case.settings))
    if implementation is not None:
        made._attn_implementation = implementation
    torch.manual_seed(0)
    return model(made).eval()
