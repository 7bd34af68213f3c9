"""The network of analysis/survival in PyTorch float64: outputs, attention, loss, gradients and 50 Adam steps of the two
gates and of the published SELU network, on a small synthetic set. Writes the reference of the Go test; with --time it
prints CPU seconds an epoch and for an ensemble with early stopping, one thread.

    pip install torch
    python reference/deepsurv.py analysis/survival/testdata/deepsurv.json
    python reference/deepsurv.py --time 109 4 32
"""
import json
import sys
import time as clock

import torch
from torch import nn

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


class Residual(nn.Module):
    def __init__(self, d, h, ha, gate, drop=0.0):
        super().__init__()
        self.gate, self.d, self.drop = gate, d, nn.Dropout(drop)
        self.w1, self.w2, self.stem = nn.Linear(d, ha), nn.Linear(ha, d), nn.Linear(d, h)
        self.r1, self.r2 = (nn.ModuleDict({"a": nn.Linear(h, h), "b": nn.Linear(h, h)}) for _ in range(2))
        self.out = nn.Linear(h, 1, bias=False)

    def forward(self, x):
        z = self.w2(torch.tanh(self.w1(x)))
        a = torch.softmax(z, 1) if self.gate == "softmax" else torch.sigmoid(z)
        w = self.d * a * x if self.gate == "softmax" else a * x
        h = torch.relu(self.stem(w))
        for r in (self.r1, self.r2):
            h = torch.relu(h + r["b"](self.drop(torch.relu(r["a"](h)))))
        return self.out(h)[:, 0], a, w


class Selu(nn.Module):
    def __init__(self, d, widths):
        super().__init__()
        self.l1, self.l2, self.out = nn.Linear(d, widths[0]), nn.Linear(widths[0], widths[1]), nn.Linear(widths[1], 1, bias=False)

    def forward(self, x):
        return self.out(torch.selu(self.l2(torch.selu(self.l1(x)))))[:, 0], None, None


def loss(f, t, e, ties):
    if ties:  # every tied event has the whole risk set
        risk = torch.stack([torch.logsumexp(f[t >= u], 0) for u in t[e]])
        return (risk - f[e]).sum() / e.sum()
    order = torch.argsort(t, descending=True, stable=True)
    return -(f - torch.logcumsumexp(f[order], 0)[torch.argsort(order)])[e].sum() / e.sum()


def squares(net, only_output):
    return sum((p**2).sum() for n, p in net.named_parameters() if n.endswith("weight") and (not only_output or n == "out.weight"))


def numbers(params):
    return {n: p.detach().tolist() for n, p in params}


def describe(net, x, t, e, lam, ties, only_output):
    r = {"lambda_l2": lam, "init": numbers(net.named_parameters())}
    f, a, w = net(x)
    cox = loss(f, t, e, ties)
    (cox + lam * squares(net, only_output)).backward()
    r |= {"log_risk": f.tolist(), "cox_loss": cox.item(), "l2": squares(net, only_output).item()}
    if a is not None:
        r |= {"attention": a.tolist(), "weighted": w.tolist()}
    r["grad"] = {n: p.grad.tolist() for n, p in net.named_parameters()}
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(50):
        adam.zero_grad()
        (loss(net(x)[0], t, e, ties) + lam * squares(net, only_output)).backward()
        adam.step()
    f = net(x)[0]
    r["adam"] = {"lr": 0.01, "steps": 50, "loss_after": (loss(f, t, e, ties) + lam * squares(net, only_output)).item(),
                 "params": numbers(net.named_parameters()), "log_risk": f.tolist()}
    return r


def synthetic(n, d, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    t = -torch.log(torch.rand(n, generator=g)) * torch.exp(-x[:, 0] + 0.5 * x[:, 1] * x[:, 0])
    c = 2 * torch.rand(n, generator=g)
    return x, torch.minimum(t, c), t <= c


def timing(n, d, h):
    torch.set_default_dtype(torch.float32)
    x, t, e = synthetic(n, d, 1)
    order = torch.argsort(t, descending=True)
    x, e = x[order].float(), e[order]
    t = t[order]

    def fit(seed, epochs, patience):
        torch.manual_seed(seed)
        net = Residual(d, h, 8, "softmax", 0.2)
        adam = torch.optim.Adam(net.parameters(), lr=1e-3)
        held = torch.arange(n) % 5 == 0
        cox = lambda f, ev: -(f - torch.logcumsumexp(f, 0))[ev].sum() / ev.sum()
        best, at = 1e9, 0
        for k in range(epochs):
            net.train(), adam.zero_grad()
            (cox(net(x[~held])[0], e[~held]) + 1e-2 * squares(net, False)).backward()
            adam.step()
            if patience:
                net.eval()
                with torch.no_grad():
                    v = cox(net(x[held])[0], e[held]).item()
                if v < best - 1e-5:
                    best, at = v, k
                elif k - at >= patience:
                    break
        return k + 1

    fit(0, 5, 0)
    start = clock.process_time()
    k = fit(0, 200, 0)
    print(f"torch {torch.__version__}, n {n}, d {d}, h {h}: {(clock.process_time() - start) / k * 1e3:.3f} CPU ms an epoch")
    start = clock.process_time()
    k = sum(fit(s, 1000, 60) for s in range(8))
    print(f"8 seeds with early stop: {clock.process_time() - start:.2f} CPU s, {k} epochs")


if sys.argv[1] == "--time":
    timing(*map(int, sys.argv[2:5]))
    sys.exit()
torch.manual_seed(7)
n, d = 30, 3
x, t, e = synthetic(n, d, 3)
t = torch.ceil(t * 6) / 2  # ties
out = {"X_train": x.tolist(), "time": t.tolist(), "event": e.double().tolist()}
for gate in ("softmax", "sigmoid"):
    out[gate] = {"h": 6, "ha": 3} | describe(Residual(d, 6, 3, gate), x, t, e, 0.01, True, False)
u = t + torch.arange(n) * 1e-4  # no ties: their order is not defined where they are ignored
out["selu_time"] = u.tolist()
out["selu"] = describe(Selu(d, (7, 7)), x, u, e, 0.5, False, True)
json.dump(out, open(sys.argv[1], "w"))
