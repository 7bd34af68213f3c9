"""Turns DeepSurv networks trained in PyTorch into a model bundle that `rfanode model verify` accepts.

    from export_deepsurv import write_bundle
    write_bundle("bundle", nets, features, raw, time, event, bundle_id="site-2026-1")

nets: modules that map x [n, d] to (log_risk [n, 1] or [n]) or (log_risk, attention, weighted); features: a list of dicts in
the networks' order with name, source (clinical, tcr, radiomics), mean, sd and, as needed, unit, coding, tcr_cut; raw: one
dict of values a training patient, by feature name (sex as {"code": "M"} under "sex", the coverage ratio under "tcr").
Pickles are never part of a bundle. Needs torch, numpy and, with dynamo=True, onnx and onnxscript. With a folder as its only
argument the script writes a small made-up bundle, which the project's tests read.
"""
import hashlib
import json
import os
import sys

import numpy as np
import torch


def value(f, row):
    if f["source"] == "tcr":
        t = row["tcr"]["value"]
        return float(t >= f["tcr_cut"]) if f.get("tcr_cut") else t
    if f.get("coding"):
        return float(f["coding"][row["sex" if f["name"] == "male" else f["name"]]["code"]])
    return row[f["name"]]["value"]


def breslow(time, event, f):
    t = np.unique(time)
    risk = np.array([np.exp(f[time >= u]).sum() for u in t])
    d = np.array([event[time == u].sum() for u in t])
    return t, np.cumsum(d / risk), np.array([(time >= u).sum() for u in t])


def strip(path):
    """Removes the stack traces that the new exporter writes into the file: they name folders of the machine."""
    import onnx

    m = onnx.load(path)
    for part in [m, m.graph, *m.graph.node, *m.graph.input, *m.graph.output, *m.graph.value_info, *m.graph.initializer]:
        if hasattr(part, "metadata_props"):
            del part.metadata_props[:]
        if hasattr(part, "doc_string"):
            part.doc_string = ""
    onnx.save(m, path)


def write_bundle(folder, nets, features, raw, time, event, bundle_id, horizons=(12, 24, 36), dynamo=False, vectors=8, **provenance):
    os.makedirs(folder, exist_ok=True)
    time, event = np.asarray(time, float), np.asarray(event, float)
    v = np.array([[value(f, r) for f in features] for r in raw])
    for k, f in enumerate(features):
        f |= {"min": v[:, k].min(), "max": v[:, k].max(), "median": float(np.median(v[:, k]))}
        f.setdefault("missing", "refuse")
    x = (v - [f["mean"] for f in features]) / [f["sd"] for f in features]
    members, risks = [], []
    for k, net in enumerate(nets):
        net = net.float().eval()
        name = f"member-{k:02d}.onnx"
        with torch.no_grad():
            out = net(torch.tensor(x, dtype=torch.float32))
        gated = isinstance(out, tuple)
        names = ["log_risk", "attention", "weighted"][: len(out) if gated else 1]
        example = torch.zeros(2, len(features))
        options = dict(input_names=["x"], output_names=names, opset_version=18 if dynamo else 17)
        if dynamo:
            torch.onnx.export(net, (example,), f"{folder}/{name}", dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},), external_data=False, **options)
            strip(f"{folder}/{name}")
        else:
            torch.onnx.export(net, (example,), f"{folder}/{name}", dynamo=False, dynamic_axes={n: {0: "n"} for n in ["x", *names]}, **options)
        members.append({"file": name, "sha256": hashlib.sha256(open(f"{folder}/{name}", "rb").read()).hexdigest(), "seed": k})
        net = net.double()
        with torch.no_grad():
            out = net(torch.tensor(x))
        risks.append((out[0] if gated else out).numpy().reshape(-1))
        net.float()
    f = np.mean(risks, 0)
    centre = float(f.mean())
    f -= centre
    t, h, n = breslow(time, event, f)
    surv = lambda lr: {str(u): float(np.exp(-h[t <= u][-1] * np.exp(lr)) if (t <= u).any() else 1.0) for u in horizons}
    bundle = {
        "schema": "rfa-survival/1", "id": bundle_id, "version": "1", "kind": "deepsurv", "endpoint": "LTP", "competing": "censored", "time_unit": "month",
        "members": members, "features": features, "extraction": {"settings_sha256": "", "normalise": False}, "cox": {"names": [], "coef": [], "cov": [], "ties": "efron", "firth": False},
        "log_risk_center": centre, "baseline": {"method": "breslow", "source": "train", "gamma": 1.0, "max_time": float(t[n >= 10][-1]), "time": t.tolist(), "cumhaz": h.tolist(), "n_at_risk": n.tolist()},
        "horizons": list(horizons), "training": {"n": len(raw), "events": int(event.sum()), "software": f"torch {torch.__version__}", "rng": "torch"}, "performance": {},
        "provenance": {"paper_doi": "10.13929/j.issn.1003-3289.2026.03.004", "data_sha256": hashlib.sha256(v.tobytes()).hexdigest(), "intended_use": "research use only", "status": "research", **provenance},
        "test_vectors": [{"raw": raw[i], "x": x[i].tolist(), "log_risk": float(f[i]), "surv": surv(f[i])} for i in range(min(vectors, len(raw)))],
    }
    json.dump(bundle, open(f"{folder}/model.json", "w"), indent=1)


def example(folder):
    """Two made-up bundles of untrained networks, by the old and the new exporter."""
    from torch import nn

    class Net(nn.Module):
        def __init__(self, d, h, gate):
            super().__init__()
            self.d, self.gate = d, gate
            self.w1, self.w2, self.stem = nn.Linear(d, 3), nn.Linear(3, d), nn.Linear(d, h)
            self.a, self.b, self.norm, self.out = nn.Linear(h, h), nn.Linear(h, h), nn.BatchNorm1d(h), nn.Linear(h, 1, bias=False)
            self.norm.running_mean += 0.1
            self.drop = nn.Dropout(0.2)

        def forward(self, x):
            z = self.w2(torch.tanh(self.w1(x)))
            a = torch.softmax(z, -1) if self.gate == "softmax" else torch.sigmoid(z)
            w = a * x * self.d if self.gate == "softmax" else a * x
            h = torch.relu(self.norm(self.stem(w)))
            h = torch.relu(h + self.b(self.drop(torch.relu(self.a(h)))))
            return self.out(h)[:, 0] if self.gate == "sigmoid" else self.out(h), a, w

    rng = np.random.default_rng(5)
    n = 60
    raw = [{"sex": {"code": "M" if rng.random() < 0.5 else "F"}, "fib": {"value": round(float(rng.uniform(2, 5)), 1), "unit": "g/L"}, "tcr": {"value": float(min(1, round(rng.uniform(0.8, 1.2), 3)))}} for _ in range(n)]
    features = [{"name": "male", "source": "clinical", "coding": {"M": 1, "F": 0}, "mean": 0, "sd": 1}, {"name": "fib", "source": "clinical", "unit": "g/L", "mean": 3.4, "sd": 0.8},
                {"name": "tcr1", "source": "tcr", "tcr_cut": 1, "mean": 0, "sd": 1}]
    torch.manual_seed(1)
    nets = [Net(3, 5, "softmax"), Net(3, 5, "sigmoid")]
    time, event = np.round(rng.uniform(1, 60, n), 1), rng.random(n) < 0.5
    for name, dynamo in (("legacy", False), ("dynamo", True)):
        write_bundle(f"{folder}/torch-{name}", nets, [dict(f) for f in features], raw, time, event, f"torch-{name}", horizons=(12, 24), dynamo=dynamo)


if __name__ == "__main__":
    example(sys.argv[1])
