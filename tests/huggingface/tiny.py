"""Tiny models of random weights with tokenizers made on the spot, saved as users have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

SENTENCES = [
    "The cat sat on the mat, and the dog sat on the cat.",
    "A naïve café owner counted 1,234 beans; the beans counted back.",
    "def add(a, b):\n    return a + b",
] * 3
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
}


def byte_level(n: int = 320) -> Any:
    """As GPT-2's: bytes spelt by letters, no character unknown."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=n, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def word_piece() -> Any:
    """As BERT's: lower case, [CLS] and [SEP] around, pieces of words after ##."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip


def sentence_piece() -> Any:
    """As T5's: spaces spelt by a mark, </s> at the end."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def byte_fallback() -> Any:
    """As Llama 2's: spaces spelt by a mark, what is not in the vocabulary by its bytes."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback()]
    )
    special = ["<unk>", "<s>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>")


def save(folder: Path, model: Any, tokenizer: Any = None) -> str:
    """Save a model and its tokenizer and return the specification."""
    model.eval().save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return f"hf:{folder}"


def seeded(kind: Any, config: Any) -> Any:
    torch.manual_seed(0)
    return kind(config).eval()


def gpt2(folder: Path, **settings: Any) -> str:
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = byte_level()
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64} | settings
    config = GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **sizes)
    return save(folder, seeded(GPT2LMHeadModel, config), tokenizer)


def llama(folder: Path, **settings: Any) -> str:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_level()
    config = LlamaConfig(
        vocab_size=len(tokenizer), num_key_value_heads=2, bos_token_id=0, eos_token_id=0,
        **(SIZES | settings),
    )  # fmt: skip
    return save(folder, seeded(LlamaForCausalLM, config), tokenizer)


def mistral(folder: Path) -> str:
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = byte_level()
    config = MistralConfig(
        vocab_size=len(tokenizer), num_key_value_heads=2, sliding_window=5, eos_token_id=0, **SIZES
    )
    return save(folder, seeded(MistralForCausalLM, config), tokenizer)


def bert(folder: Path, kind: str = "BertForMaskedLM") -> str:
    import transformers

    tokenizer = word_piece()
    config = transformers.BertConfig(vocab_size=len(tokenizer), pad_token_id=0, **SIZES)
    return save(folder, seeded(getattr(transformers, kind), config), tokenizer)


def t5(folder: Path) -> str:
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = sentence_piece()
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return save(folder, seeded(T5ForConditionalGeneration, config), tokenizer)


def bart(folder: Path) -> str:
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = sentence_piece()
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=24,
        decoder_ffn_dim=24, max_position_embeddings=64, pad_token_id=0, bos_token_id=0,
        eos_token_id=1, decoder_start_token_id=1, forced_eos_token_id=None,
    )  # fmt: skip
    return save(folder, seeded(BartForConditionalGeneration, config), tokenizer)


def vit(folder: Path, kind: str = "ViTForImageClassification", **settings: Any) -> str:
    import transformers

    sizes = {**SIZES, "image_size": 12, "patch_size": 4, "num_labels": 3} | settings
    sizes.pop("max_position_embeddings")
    return save(folder, seeded(getattr(transformers, kind), transformers.ViTConfig(**sizes)))


def swin(folder: Path, image_size: int = 16) -> str:
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(
        image_size=image_size, patch_size=2, embed_dim=8, depths=[2, 2], num_heads=[2, 4],
        window_size=2,
    )  # fmt: skip
    return save(folder, seeded(SwinForImageClassification, config))
