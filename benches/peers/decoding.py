"""Greedy decoding with a preallocated key/value cache."""

import torch
import torch.nn.functional as F

import attention
import decoder


def start(case, compiled, bf16):
    """The function that answers all prompts so many times."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    model = decoder.Decoder(case, dtype).to(dtype).requires_grad_(False)
    prompts, new = case.tensors["prompts"].long(), case.shape["new"]
    batch, prompt = prompts.shape
    held = prompt + new
    # Keys lie transposed: [batch, kv_heads, head, time]; values as they come: [batch, kv_heads, time, head].
    sizes = [(batch, layer.kv_heads, layer.head, held) for layer in model.layers]
    caches = [(torch.zeros(size, dtype=dtype), torch.zeros(size, dtype=dtype).mT.contiguous()) for size in sizes]

    def feed(tokens, begin, end):
        """The best token after `tokens` [batch, time], which take the positions from `begin` to `end`: [batch]."""
        x = F.embedding(tokens, model.embedding)
        cosines, sines = model.cosines[begin:end], model.sines[begin:end]
        for layer, (cached_keys, cached_values) in zip(model.layers, caches):
            queries, keys, values = (part.transpose(1, 2) for part in layer.project(x, cosines, sines))
            cached_keys[:, :, :, begin:end] = keys.mT
            cached_values[:, :, begin:end] = values
            if begin == 0:
                mixed = attention.fused(queries, keys, values)
            else:
                mixed = attend(queries, cached_keys[:, :, :, :end], cached_values[:, :, :end])
            x = layer.rest(x, mixed.transpose(1, 2))
        return model.head(x[:, -1]).argmax(-1)

    if compiled:
        feed = torch.compile(feed, dynamic=True)

    @torch.inference_mode()
    def answers(count):
        for _ in range(count):
            tokens = [feed(prompts, 0, prompt)]
            for position in range(prompt, prompt + new - 1):
                tokens.append(feed(tokens[-1][:, None], position, position + 1))
        return {"tokens": count * batch * new, "answers": torch.stack(tokens, 1).tolist()}

    return answers


def attend(queries, keys, values):
    """Attention of one query a sequence: two products, up to six times as fast here as `scaled_dot_product_attention`."""
    batch, heads, _, head = queries.shape
    grouped = (queries * head**-0.5).view(batch, keys.shape[1], -1, head)
    return (torch.softmax(grouped @ keys, -1) @ values).view(batch, heads, 1, head)
