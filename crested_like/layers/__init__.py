"""Serializable Keras layers and activations, written with ``keras.ops`` alone.

Imported as soon as keras is, so that ``keras.models.load_model`` finds them by name.
"""

from crested_like.layers.activations import gelu_erf, gelu_sigmoid, gelu_tanh
from crested_like.layers.attention import MultiheadAttention, SomeAttention
from crested_like.layers.blockwise import Blockwise
from crested_like.layers.cook_toom import CookToomConv1D
from crested_like.layers.features import FeatureProbability
from crested_like.layers.gating import SwishGate
from crested_like.layers.int8 import (
    Int8Conv1D,
    Int8Dense,
    Int8MultiheadAttention,
    Int8RotaryAttention,
    Int8SelfAttention,
)
from crested_like.layers.lora import Lora, LoraMultiheadAttention, LoraRotaryAttention, LoraSelfAttention
from crested_like.layers.pooling import AttentionPool1D, SlicedMaxPool1D
from crested_like.layers.rotary import RotaryAttention
from crested_like.layers.scaling import ChannelAffine, ChannelScale
from crested_like.layers.self_attention import SelfAttention
from crested_like.layers.tokens import LearnedPositions, TokenEmbedding, ZeroPadding
from crested_like.layers.unfolded import UnfoldedConv1D
from crested_like.layers.upsampling import SeparableUpsampling1D

__all__ = [
    "AttentionPool1D",
    "Blockwise",
    "ChannelAffine",
    "ChannelScale",
    "CookToomConv1D",
    "FeatureProbability",
    "Int8Conv1D",
    "Int8Dense",
    "Int8MultiheadAttention",
    "Int8RotaryAttention",
    "Int8SelfAttention",
    "LearnedPositions",
    "Lora",
    "LoraMultiheadAttention",
    "LoraRotaryAttention",
    "LoraSelfAttention",
    "MultiheadAttention",
    "RotaryAttention",
    "SelfAttention",
    "SeparableUpsampling1D",
    "SlicedMaxPool1D",
    "SomeAttention",
    "SwishGate",
    "TokenEmbedding",
    "UnfoldedConv1D",
    "ZeroPadding",
    "gelu_erf",
    "gelu_sigmoid",
    "gelu_tanh",
]
