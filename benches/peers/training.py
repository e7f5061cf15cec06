"""Training: AdamW with clipping on one batch, in f32 or with bf16 autocast over f32 weights."""

import torch
import torch.nn.functional as F

import attention
import decoder


def start(case, compiled, bf16):
    """The function that does so many steps."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    model = decoder.Decoder(case, dtype)
    settings = case.shape["optimizer"]
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    norms = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": settings["weight_decay"]}, {"params": norms, "weight_decay": 0.0}]
    betas = (settings["beta1"], settings["beta2"])
    adamw = torch.optim.AdamW(groups, lr=settings["learning_rate"], betas=betas, eps=settings["epsilon"], fused=True)
    tokens, targets = case.tensors["tokens"].long(), case.tensors["targets"].long()
    attend = attention.fastest(case.shape, *tokens.shape, dtype)

    def loss_of(tokens, targets):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(tokens, attend)
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    if compiled:
        loss_of = torch.compile(loss_of, dynamic=False)

    def steps(count):
        losses = []
        for _ in range(count):
            loss = loss_of(tokens, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip"])
            adamw.step()
            adamw.zero_grad()
            losses.append(loss.item())
        return {"tokens": count * tokens.numel(), "losses": losses}

    return steps
