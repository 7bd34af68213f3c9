"""Reference values for analysis/volume: SciPy's distance transform, Gaussian, resampling, labelling and hole filling on
a small grid that the Go test builds by the same arithmetic. Writes analysis/volume/testdata/scipy.json.

    pip install numpy==2.4.6 scipy==1.17.1
    python reference/volume.py
"""
import json
import pathlib

import numpy as np
import scipy
from scipy import ndimage

SIZE = (13, 11, 9)  # i, j, k
SPACING = (0.7, 0.9, 2.5)


def values():
    """The test volume, array [k, j, i]: 100 sin(0.9 i) + 50 cos(0.7 j) + 30 sin(1.3 k) + (7 i + 5 j + 3 k) mod 11."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in SIZE[::-1]), indexing="ij")
    return 100 * np.sin(0.9 * i) + 50 * np.cos(0.7 * j) + 30 * np.sin(1.3 * k) + (7 * i + 5 * j + 3 * k) % 11


def pattern():
    """The test pattern, array [k, j, i]: (7 i i + 5 j j + 3 k k + i j k) mod 10, for masks with holes and islands."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in SIZE[::-1]), indexing="ij")
    return (7 * i * i + 5 * j * j + 3 * k * k + i * j * k) % 10


def rounded(a):
    return [round(float(x), 5) for x in np.ravel(a)]


def main():
    v = values()
    m = v > 40
    porous = pattern() < 7
    scattered = pattern() < 2
    spacing = SPACING[::-1]
    sigma = [1.1 / s for s in spacing]
    coarse = (5, 4, 6)  # i, j, k
    start, step = (1.3, 0.4, 0.6), (2.1, 2.3, 1.2)  # in voxels of the source
    smooth = ndimage.gaussian_filter(v, [0.45 * t if t > 1.3 else 0 for t in step[::-1]], mode="nearest", truncate=4)
    kk, jj, ii = np.meshgrid(*(start[a] + step[a] * np.arange(coarse[a]) for a in (2, 1, 0)), indexing="ij")
    resampled = ndimage.map_coordinates(smooth, [kk, jj, ii], order=1, mode="nearest")
    ball = ndimage.distance_transform_edt(~m, sampling=spacing)
    full = np.ones((3, 3, 3))
    out = {
        "source": f"reference/volume.py, numpy {np.__version__}, scipy {scipy.__version__}",
        "size": SIZE,
        "spacing": SPACING,
        "distance": rounded(ball),
        "dilate_2_6": [int(x) for x in np.ravel(ball <= 2.6)],
        "erode_1_2": [int(x) for x in np.ravel(ndimage.distance_transform_edt(m, sampling=spacing) > 1.2)],
        "smooth_1_1": rounded(ndimage.gaussian_filter(v, sigma, mode="nearest", truncate=4)),
        "coarse": {"size": coarse, "start": start, "step": step, "values": rounded(resampled)},
        "components_6": sorted(int(n) for n in np.bincount(ndimage.label(scattered)[0].ravel())[1:]),
        "components_26": sorted(int(n) for n in np.bincount(ndimage.label(scattered, full)[0].ravel())[1:]),
        "filled": [int(x) for x in np.ravel(ndimage.binary_fill_holes(porous))],
        "filled_in_slices": [int(x) for s in porous for x in np.ravel(ndimage.binary_fill_holes(s))],
    }
    path = pathlib.Path(__file__).parent.parent / "analysis" / "volume" / "testdata" / "scipy.json"
    path.write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
