"""Recurrent layers written out step by step in float64, from the textbook's formulas alone."""

import torch


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def lstm_step(x, h, c, w, n):
    pre = x @ w["ih"].T + h @ w["hh"].T + w["b"]
    i, f, g, o = (pre[:, k * n : (k + 1) * n] for k in range(4))
    i, f, g, o = sigmoid(i), sigmoid(f), torch.tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * torch.tanh(c)
    if w["hr"] is not None:
        h = h @ w["hr"].T
    gates = dict(input_gate=i, forget_gate=f, cell_gate=g, output_gate=o)
    return {"hidden": h, "cell": c, **gates}


def gru_step(x, h, c, w, n):
    a, b = x @ w["ih"].T + w["b_ih"], h @ w["hh"].T + w["b_hh"]
    r, z = sigmoid((a + b)[:, :n]), sigmoid((a + b)[:, n : 2 * n])
    new = torch.tanh(a[:, 2 * n :] + r * b[:, 2 * n :])
    return dict(hidden=(1 - z) * new + z * h, reset_gate=r, update_gate=z, new_gate=new)


def tanh_step(x, h, c, w, n):
    return {"hidden": torch.tanh(x @ w["ih"].T + h @ w["hh"].T + w["b"])}


def relu_step(x, h, c, w, n):
    return {"hidden": (x @ w["ih"].T + h @ w["hh"].T + w["b"]).clamp(min=0)}


STEP = {"LSTM": lstm_step, "GRU": gru_step, "RNN_TANH": tanh_step, "RNN_RELU": relu_step}


def weights(module, suffix):
    def get(name):
        value = getattr(module, f"{name}{suffix}", None)
        return None if value is None else value.detach().double()

    w = {"ih": get("weight_ih"), "hh": get("weight_hh"), "hr": get("weight_hr")}
    zero = w["ih"].new_zeros(len(w["ih"]))
    bias = lambda name: zero if get(name) is None else get(name)  # noqa: E731
    w |= {"b_ih": bias("bias_ih"), "b_hh": bias("bias_hh")}
    w["b"] = w["b_ih"] + w["b_hh"]
    return w


def run(module, x, lengths, h0, c0):
    """Return {(layer, reverse, signal): (batch, steps, n)} for a float64 module.

    x is (batch, steps, inputs); h0 and c0 are (layers × directions, batch, n).
    """
    batch, n_steps, _ = x.shape
    step, n = STEP[module.mode], module.hidden_size
    directions = 2 if module.bidirectional else 1
    found = {}
    for layer in range(module.num_layers):
        outputs = []
        for reverse in range(directions):
            w = weights(module, f"_l{layer}{'_reverse' if reverse else ''}")
            row = layer * directions + reverse
            kept = {}
            for b in range(batch):
                h = h0[row, b : b + 1]
                c = None if c0 is None else c0[row, b : b + 1]
                order = range(int(lengths[b]))
                for t in reversed(order) if reverse else order:
                    values = step(x[b : b + 1, t], h, c, w, n)
                    h, c = values["hidden"], values.get("cell")
                    for name, value in values.items():
                        kept.setdefault(name, x.new_zeros(batch, n_steps, value.shape[1]))[b, t] = (
                            value[0]
                        )
            found |= {(layer, bool(reverse), name): value for name, value in kept.items()}
            outputs.append(kept["hidden"])
        x = torch.cat(outputs, -1)
    return found


def site(layer, reverse, signal, module):
    return f"{module}/l{layer}{'_reverse' if reverse else ''}/{signal}"
