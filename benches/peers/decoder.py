"""A Llama-style decoder as a PyTorch user would write it for speed: projections that read the same input are one product."""

import json

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn


class Case:
    """What our side wrote: the shape, the weights by Hugging Face's names, and the tokens to work on."""

    def __init__(self, path):
        with safe_open(path, "pt") as file:
            self.shape = json.loads(file.metadata()["case"])
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}

    def weight(self, *names):
        """One weight, or several stacked along their outputs."""
        return torch.cat([self.tensors[f"model.{name}.weight"] for name in names])


class Layer(nn.Module):
    def __init__(self, case, index):
        super().__init__()
        shape = case.shape
        self.heads, self.kv_heads = shape["heads"], shape["kv_heads"]
        self.head = shape["width"] // self.heads
        self.epsilon = shape["norm_epsilon"]

        def weight(*names):
            return nn.Parameter(case.weight(*(f"layers.{index}.{name}" for name in names)))

        self.input_norm = weight("input_layernorm")
        self.output_norm = weight("post_attention_layernorm")
        self.qkv = weight("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        self.out = weight("self_attn.o_proj")
        self.gate_up = weight("mlp.gate_proj", "mlp.up_proj")
        self.down = weight("mlp.down_proj")

    def project(self, x, cosines, sines):
        """Queries, keys and values of `x` [batch, time, width], rotated: [batch, time, heads, head]."""
        x = F.rms_norm(x, x.shape[-1:], self.input_norm, self.epsilon)
        heads = F.linear(x, self.qkv).unflatten(-1, (-1, self.head))
        rotated, values = heads.split([self.heads + self.kv_heads, self.kv_heads], dim=2)
        rotated = rotate(rotated, cosines, sines)
        queries, keys = rotated.split([self.heads, self.kv_heads], dim=2)
        return queries, keys, values

    def rest(self, x, mixed):
        """The residual stream after attention's result `mixed` [batch, time, heads, head] and the feed-forward part."""
        x = x + F.linear(mixed.flatten(2), self.out)
        normed = F.rms_norm(x, x.shape[-1:], self.output_norm, self.epsilon)
        gate, up = F.linear(normed, self.gate_up).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down)

    def forward(self, x, cosines, sines, attend):
        queries, keys, values = (part.transpose(1, 2) for part in self.project(x, cosines, sines))
        return self.rest(x, attend(queries, keys, values).transpose(1, 2))


class Decoder(nn.Module):
    def __init__(self, case, dtype=torch.float32):
        super().__init__()
        self.embedding = nn.Parameter(case.weight("embed_tokens"))
        self.layers = nn.ModuleList(Layer(case, index) for index in range(case.shape["layers"]))
        self.norm = nn.Parameter(case.weight("norm"))
        self.epsilon = case.shape["norm_epsilon"]
        cosines, sines = rotations(case.shape)
        self.register_buffer("cosines", cosines.to(dtype))
        self.register_buffer("sines", sines.to(dtype))

    def head(self, x):
        return F.linear(F.rms_norm(x, x.shape[-1:], self.norm, self.epsilon), self.embedding)

    def forward(self, tokens, attend):
        """Logits of `tokens` [batch, time], with one of the ways of `attention`."""
        time = tokens.shape[1]
        x = F.embedding(tokens, self.embedding)
        for layer in self.layers:
            x = layer(x, self.cosines[:time], self.sines[:time], attend)
        return self.head(x)


def rotations(shape):
    """Cosines and sines of each position's angles, for `rotate`: [context, 1, head]."""
    half = shape["width"] // shape["heads"] // 2
    frequencies = shape["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(shape["context"], dtype=torch.float64)[:, None] * frequencies
    sines = torch.cat((-angles.sin(), angles.sin()), -1)
    cosines = torch.cat((angles.cos(), angles.cos()), -1)
    return cosines[:, None].float(), sines[:, None].float()


def rotate(x, cosines, sines):
    """Rotary positions on the pairs (i, i + head / 2); `roll` swaps the halves and is the fastest of the ways tried."""
    return torch.addcmul(x * cosines, x.roll(x.shape[-1] // 2, -1), sines)
