"""MIND-SSC in 60 bits, written straight from its definition with numpy, slowly: the reference of analysis/register.

Heinrich et al., "Towards realtime multimodal fusion for image-guided interventions using self-similarities", MICCAI
2013, and the quantisation of deeds. Writes the small cases that the Go test compares bit by bit:

    python reference/mind.py analysis/register/testdata/mind.json
"""
import json
import sys

import numpy as np

# Arrays are indexed [k, j, i]; shifts and offsets are given as (i, j, k).
SHIFTS = [(1, 1, 0), (-1, 1, 0), (0, -1, 1), (-1, 0, 1), (0, 1, 1), (1, 0, 1)]
CHANNELS = [
    (0, (0, -1, 0)), (0, (-1, 0, 0)), (1, (0, -1, 0)), (1, (1, 0, 0)),
    (2, (0, 0, -1)), (2, (0, 1, 0)), (3, (0, 0, -1)), (3, (1, 0, 0)),
    (4, (0, 0, -1)), (4, (0, -1, 0)), (5, (0, 0, -1)), (5, (-1, 0, 0)),
]
THRESHOLDS = [-np.log((t + 1.5) / 6) for t in range(5)]


def distance(image, shift):
    """Squared difference to the shifted image, 0 where that lies outside."""
    o, n, m = image.shape
    out = np.zeros(image.shape)
    for k in range(o):
        for j in range(n):
            for i in range(m):
                a, b, c = i + shift[0], j + shift[1], k + shift[2]
                if 0 <= a < m and 0 <= b < n and 0 <= c < o:
                    out[k, j, i] = (image[c, b, a] - image[k, j, i]) ** 2
    return out


def box(image, s):
    """Sum over the cube of side 2s+1, clipped at the border."""
    o, n, m = image.shape
    out = np.zeros(image.shape)
    for k in range(o):
        for j in range(n):
            for i in range(m):
                out[k, j, i] = image[max(0, k - s):k + s + 1, max(0, j - s):j + s + 1, max(0, i - s):i + s + 1].sum()
    return out


def descriptor(image, s):
    image = image.astype(float)
    boxes = [box(distance(image, tuple(s * c for c in t)), s) for t in SHIFTS]
    o, n, m = image.shape
    codes = []
    for k in range(o):
        for j in range(n):
            for i in range(m):
                d = []
                for which, off in CHANNELS:
                    a, b, c = i + s * off[0], j + s * off[1], k + s * off[2]
                    # An offset out of the image is read at the voxel itself.
                    inside = 0 <= a < m and 0 <= b < n and 0 <= c < o
                    d.append(boxes[which][(c, b, a) if inside else (k, j, i)])
                e = np.array(d) - min(d)
                d = e / max(e.mean(), 1e-6)
                code = 0
                for channel, value in enumerate(d):
                    level = sum(t > value for t in THRESHOLDS)
                    code |= ((1 << level) - 1) << (5 * channel)
                codes.append(code)
    return codes


def main():
    rng = np.random.default_rng(20130922)
    cases = []
    for (m, n, o), s, kind in [((9, 7, 8), 1, "noise"), ((11, 8, 9), 2, "noise"), ((12, 10, 9), 3, "noise"), ((5, 4, 3), 3, "noise"), ((10, 9, 8), 1, "steps")]:
        image = rng.integers(0, 3525, (o, n, m))
        if kind == "steps":  # constant air beside tissue: distances of 0 and ties
            image = np.where(np.arange(m) < m // 2, 0, image // 900 * 50 + 1000)
        cases.append({"size": [m, n, o], "step": s, "image": image.ravel().tolist(), "codes": [str(c) for c in descriptor(image, s)]})
    with open(sys.argv[1], "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")


main()
