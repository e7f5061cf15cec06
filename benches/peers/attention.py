"""Causal attention, written two ways: which is faster depends on the processor and the dtype, so a peer tries both before it starts."""

import time

import torch
import torch.nn.functional as F


def fused(queries, keys, values):
    """[batch, heads, time, head], with `kv_heads` of keys and values."""
    grouped = queries.shape[1] != keys.shape[1]
    return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=grouped)


def two_products(time, dtype):
    """The same as two matrix products with a softmax between, for sequences of `time`."""
    mask = torch.full((time, time), -torch.inf, dtype=dtype).triu(1)

    def attend(queries, keys, values):
        group = queries.shape[1] // keys.shape[1]
        if group > 1:
            keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
        scores = (queries * queries.shape[-1] ** -0.5) @ keys.mT + mask
        return torch.softmax(scores, -1, dtype) @ values

    return attend


def fastest(shape, batch, length, dtype):
    """The faster of the two, forwards and backwards, on `batch` sequences of `length`."""
    head = shape["width"] // shape["heads"]
    heads = [shape["heads"], shape["kv_heads"], shape["kv_heads"]]
    inputs = [torch.randn(batch, length, count, head, dtype=dtype, requires_grad=True) for count in heads]
    ways = [fused, two_products(length, dtype)]
    return min(ways, key=lambda attend: min(seconds(attend, inputs) for _ in range(5)))


def seconds(attend, inputs):
    start = time.process_time()
    attend(*(part.transpose(1, 2) for part in inputs)).sum().backward()
    return time.process_time() - start
