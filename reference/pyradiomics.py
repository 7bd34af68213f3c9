"""Reference values for analysis/radiomics, computed by PyRadiomics itself.

Made with Python 3.11, pyradiomics 3.0.1, SimpleITK 2.5.7, numpy 1.26.4, PyWavelets 1.9.0; for LBP 3-D scipy 1.14.1 and
trimesh 5.2.0. tools/pyradiomics installs them in .cache/pyradiomics and unpacks the images of PyRadiomics' source
distribution (lung1, lung2, brain1, brain2, breast1) in .cache/pyradiomics-data.

Usage:

    .cache/pyradiomics/bin/python reference/pyradiomics.py images DATA OUT [IMAGE ...]   OUT/<image>.json.gz for each of the five images
    .cache/pyradiomics/bin/python reference/pyradiomics.py phantoms OUT                  OUT/phantoms.json.gz, for images made by rule
    .cache/pyradiomics/bin/python reference/pyradiomics.py random OUT SEED N             OUT/random.json.gz, N random phantoms and settings
    .cache/pyradiomics/bin/python reference/pyradiomics.py wavelets OUT                  OUT/wavelets.txt, the filters of PyWavelets
    .cache/pyradiomics/bin/python reference/pyradiomics.py extract IMAGE MASK PARAMS     one case, JSON on standard output

A file holds, for each run, its name, the parameters (as a parameter file has them) and the values by name; null where
PyRadiomics gave NaN. The rule of the phantoms is written twice: here and in analysis/radiomics/phantom_test.go.
"""

import gzip
import json
import logging
import math
import os
import sys

import numpy
import SimpleITK as sitk

# The script has the name of the package it calls.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import radiomics  # noqa: E402
from radiomics import featureextractor  # noqa: E402

radiomics.setVerbosity(logging.ERROR)
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

PAPER = {"Original": {}, "LoG": {"sigma": [1.0, 2.0, 3.0, 4.0, 5.0]}, "Wavelet": {}}
NONLINEAR = {"Original": {}, "Wavelet": {}, "Square": {}, "SquareRoot": {}, "Logarithm": {}, "Exponential": {}, "Gradient": {}}
FEW = {"Original": {}, "LoG": {"sigma": [2.0]}}
MM1 = {"resampledPixelSpacing": [1, 1, 1], "interpolator": "sitkBSpline"}
Z = {"normalize": True, "normalizeScale": 100}


def run(name, images, **setting):
    return {"name": name, "params": {"imageType": images, "setting": dict(setting, label=setting.get("label", 1))}}


# What every one of the five images is run with, then what only some are.
RUNS = [
    run("default", PAPER, binWidth=25, **Z, **MM1),
    run("paper-literal", PAPER, binWidth=25, normalize=True, normalizeScale=1, **MM1),
    run("fine", PAPER, binWidth=5, **Z, **MM1),
    run("hu", PAPER, binWidth=25, **MM1),
    run("binCount", PAPER, binCount=32, **Z, **MM1),
    run("nonlinear", NONLINEAR, binWidth=25, **Z, **MM1),
    run("no-resampling", {"Original": {}, "Wavelet": {}, "Square": {}, "SquareRoot": {}, "Logarithm": {}, "Exponential": {}, "Gradient": {}}, binWidth=25),
    run("linear", FEW, binWidth=10, interpolator="sitkLinear", resampledPixelSpacing=[2, 2, 2], padDistance=8, **Z),
    run("weighted", {"Original": {}}, binWidth=10, weightingNorm="euclidean", distances=[1, 2], gldm_a=1, **Z, **MM1),
    run("force2D", {"Original": {}, "Wavelet": {}}, binWidth=10, force2D=True, force2Ddimension=0, resampledPixelSpacing=[1, 1, 0], interpolator="sitkBSpline", **Z),
    run("resegmented", FEW, binWidth=10, resegmentRange=[-2, 2], resegmentMode="sigma", removeOutliers=3, voxelArrayShift=300, **Z, **MM1),
]
ONLY = {
    "breast1": [
        run("LoG-no-resampling", PAPER, binWidth=5),
        run("pre-cropped", PAPER, binWidth=5, preCrop=True, padDistance=3),
        run("LBP3D", {"LBP3D": {}}, binWidth=0.5, **Z, **MM1),
        run("asymmetric", {"Original": {}}, binWidth=5, symmetricalGLCM=False, **MM1),
        run("haar-2-levels", {"Wavelet": {"wavelet": "haar", "level": 2, "start_level": 1}}, binWidth=10, **Z, **MM1),
        run("bior-db", {"Wavelet": {"wavelet": "bior2.4"}}, binWidth=10, **Z, **MM1),
    ],
    "lung1": [run("LoG-no-resampling", {"LoG": {"sigma": [1.0, 3, 5.0]}}, binWidth=25), run("LBP3D", {"LBP3D": {}}, binWidth=0.5, **Z, **MM1)],
}


def extract(image, mask, params):
    extractor = featureextractor.RadiomicsFeatureExtractor(params)
    extractor.addProvenance(False)
    out = {}
    for name, value in extractor.execute(image, mask).items():
        value = float(value)
        out[name] = None if math.isnan(value) else value
    return out


def params_of(r):
    # shape2D is on by default when no classes are named; it is no part of what is compared.
    classes = {c: [] for c in ["shape", "firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm"]}
    return dict(r["params"], featureClass=classes)


def write(path, runs):
    with gzip.GzipFile(path, "wb", mtime=0) as f:
        f.write(json.dumps({"made_with": versions(), "runs": runs}, separators=(",", ":")).encode())


def versions():
    import pywt
    import scipy
    return {"pyradiomics": radiomics.__version__, "SimpleITK": sitk.Version_VersionString(), "numpy": numpy.__version__, "PyWavelets": pywt.__version__, "scipy": scipy.__version__}


def images(data, out, names):
    for name in names or ["lung1", "lung2", "brain1", "brain2", "breast1"]:
        runs = []
        for r in RUNS + ONLY.get(name, []):
            image = sitk.ReadImage(os.path.join(data, name + "_image.nrrd"))
            mask = sitk.ReadImage(os.path.join(data, name + "_label.nrrd"))
            runs.append(dict(r, values=extract(image, mask, params_of(r))))
            print(name, r["name"], len(runs[-1]["values"]), file=sys.stderr, flush=True)
        write(os.path.join(out, name + ".json.gz"), runs)


def noise(seed, n):
    """n numbers of 0 … 2^31-1: the upper bits of a linear congruential generator (Knuth's MMIX constants)."""
    out = numpy.empty(n, dtype=numpy.int64)
    s = seed
    for i in range(n):
        s = (s * 6364136223846793005 + 1442695040888963407) % 2**64
        out[i] = s >> 33
    return out


def phantom(spec):
    """A textured box of whole numbers and an ellipsoid with a bite out of it, both from integers alone."""
    nx, ny, nz = spec["size"]
    z, y, x = numpy.meshgrid(numpy.arange(nz), numpy.arange(ny), numpy.arange(nx), indexing="ij")
    v = 40 * ((x // 3 + y // 4 + z // 2) % 7) + noise(spec["seed"], nx * ny * nz).reshape(nz, ny, nx) % spec["noise"] - 500
    cx, cy, cz = spec["centre"]
    rx, ry, rz = spec["radius"]
    inside = ((2 * x - cx) * ry * rz) ** 2 + ((2 * y - cy) * rx * rz) ** 2 + ((2 * z - cz) * rx * ry) ** 2 <= (2 * rx * ry * rz) ** 2
    bite = (2 * x - cx > rx // 2) & (2 * y - cy > ry // 2)
    mask = inside & ~bite
    if spec.get("float"):
        v = v.astype(numpy.float32) / numpy.float32(8)
    elif spec.get("double"):
        v = v.astype(numpy.float64) / 8
    else:
        v = v.astype(numpy.int16)
    return place(v, spec), place(mask.astype(numpy.uint8) * spec.get("label", 1), dict(spec, **spec.get("mask", {})))


def place(array, spec):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spec["spacing"])
    image.SetOrigin(spec["origin"])
    image.SetDirection(spec.get("direction", [1, 0, 0, 0, 1, 0, 0, 0, 1]))
    return image


def spec(**change):
    s = {"size": [34, 30, 22], "spacing": [0.7, 0.7, 1.25], "origin": [-30.5, 12.25, 100.0], "seed": 1, "noise": 120, "centre": [33, 29, 21], "radius": [11, 9, 6]}
    return dict(s, **change)


OBLIQUE = [0.9659258262890683, 0.0, 0.25881904510252074, 0.0, 1.0, 0.0, -0.25881904510252074, 0.0, 0.9659258262890683]
PHANTOMS = [
    (spec(), ["default", "paper-literal", "fine", "hu", "binCount", "nonlinear", "no-resampling", "linear", "weighted", "force2D", "resegmented", "LBP3D", "LoG-no-resampling", "pre-cropped", "asymmetric", "haar-2-levels", "bior-db"]),
    (spec(direction=[-1, 0, 0, 0, 1, 0, 0, 0, -1], spacing=[0.5, 0.75, 2.5], seed=2), ["fine", "hu", "no-resampling"]),
    (spec(direction=OBLIQUE, seed=3), ["fine", "hu"]),
    (spec(centre=[4, 29, 40], radius=[9, 9, 9], seed=4), ["fine", "no-resampling", "LoG-no-resampling", "nonlinear"]),
    (spec(radius=[11, 9, 1], centre=[33, 29, 21], size=[34, 30, 3], seed=5), []),
    (spec(radius=[9, 9, 1], centre=[33, 29, 22], seed=6), ["fine", "no-resampling"]),
    (spec(radius=[2, 2, 2], seed=7), ["fine", "hu"]),
    (spec(**{"float": True}, seed=8), ["fine", "hu", "no-resampling", "binCount-hu", "haar-2-levels-hu"]),
    (spec(double=True, seed=9), ["fine", "hu"]),
    (spec(mask={"origin": [-30.1, 12.5, 100.5], "spacing": [0.7, 0.7, 1.2]}, seed=10), ["fine", "corrected"]),
    (spec(label=3, seed=11), ["label-3"]),
    (spec(noise=1, radius=[3, 3, 2], centre=[33, 29, 21], seed=12), ["fine", "coarse-hu"]),
    (spec(noise=9000, seed=13), ["fine", "levels"]),
    (spec(noise=12, seed=15), ["LBP3D", "LBP3D-hu"]),
    (spec(**{"float": True}, noise=9, seed=16), ["LBP3D-hu", "LBP3D-nearest"]),
    (spec(size=[33, 29, 5], centre=[32, 28, 4], radius=[11, 9, 2], seed=14, spacing=[1.0, 1.0, 1.0]), ["fine", "hu"]),
]
MORE = [
    run("binCount-hu", PAPER, binCount=32, **MM1),
    run("haar-2-levels-hu", {"Wavelet": {"wavelet": "db3", "level": 2}}, binWidth=5, **MM1),
    run("corrected", FEW, binWidth=10, correctMask=True),
    run("label-3", FEW, binWidth=10, label=3, **MM1),
    run("coarse-hu", FEW, binWidth=1000, **MM1),
    run("levels", {"Original": {}}, binWidth=10),
    run("LBP3D-hu", {"LBP3D": {}}, binWidth=0.5, **MM1),
    run("LBP3D-nearest", {"LBP3D": {"binWidth": 0.5}}, binWidth=25, resampledPixelSpacing=[0.5, 0.5, 0], interpolator="sitkNearestNeighbor"),
]


def phantoms(out):
    byname = {r["name"]: r for r in RUNS + ONLY["breast1"] + MORE}
    runs = []
    for s, names in PHANTOMS:
        for n in names:
            image, mask = phantom(s)
            runs.append(dict(byname[n], phantom=s, values=extract(image, mask, params_of(byname[n]))))
            print("seed", s["seed"], n, len(runs[-1]["values"]), file=sys.stderr, flush=True)
    write(os.path.join(out, "phantoms.json.gz"), runs)


def random_run(rng, n):
    """A phantom of random size, grid and texture, and random settings."""
    from scipy.spatial.transform import Rotation
    size = [rng.randint(12, 44), rng.randint(12, 44), rng.randint(6, 34)]
    x = rng.choice([0.5, 0.75, 0.7, 0.703125, 0.9765625, 1.0, 0.6269531, 0.8])
    spacing = [x, rng.choice([x, x, x, 0.5, 0.8, 1.25]), rng.choice([1.0, 1.25, 2.0, 2.5, 3.0, 5.0, 0.625])]
    direction = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    kind = rng.random()
    if kind < 0.25:
        direction = [rng.choice([-1, 1]), 0, 0, 0, rng.choice([-1, 1]), 0, 0, 0, rng.choice([-1, 1])]
    elif kind < 0.5:
        direction = Rotation.from_rotvec([rng.uniform(-0.4, 0.4) for _ in range(3)]).as_matrix().ravel().tolist()
    s = spec(size=size, spacing=spacing, direction=direction, origin=[round(rng.uniform(-300, 300), rng.choice([0, 2, 6])) for _ in range(3)], seed=1000 + n,
             noise=rng.choice([5, 60, 200, 900]), centre=[rng.randint(4, 2 * d - 6) for d in size], radius=[rng.randint(2, max(3, d // 3)) for d in size])
    kind = rng.random()
    if kind < 0.25:
        s["float" if kind < 0.15 else "double"] = True
    setting = {"binWidth": rng.choice([1, 5, 10, 25, 25, 0.5])}
    if rng.random() < 0.6:
        setting.update(normalize=True, normalizeScale=rng.choice([1, 10, 100]))
        if setting["normalizeScale"] == 1:
            setting["binWidth"] = rng.choice([0.1, 0.25])
    if rng.random() < 0.25:
        setting["binCount"] = rng.choice([8, 32, 64])
    if rng.random() < 0.75:
        setting.update(resampledPixelSpacing=rng.choice([[1, 1, 1], [1, 1, 1], [2, 2, 2], [0.5, 0.5, 0], [1.5, 1.5, 1.5], [0, 0, 1]]),
                       interpolator=rng.choice(["sitkBSpline"] * 4 + ["sitkLinear", "sitkNearestNeighbor"]), padDistance=rng.choice([5, 5, 0, 8]))
    elif rng.random() < 0.4:
        setting["preCrop"] = True
    for chance, more in [(0.1, [{"removeOutliers": 2}]), (0.15, [{"force2D": True, "force2Ddimension": d} for d in range(3)]),
                         (0.2, [{"weightingNorm": w} for w in ("euclidean", "manhattan", "infinity", "no_weighting")]), (0.15, [{"distances": d} for d in ([1, 2], [2], [3, 1])]),
                         (0.15, [{"gldm_a": 1}, {"gldm_a": 2}]), (0.1, [{"symmetricalGLCM": False}]), (0.1, [{"voxelArrayShift": 1000}]),
                         (0.15, [{"resegmentRange": r, "resegmentMode": "sigma"} for r in ([-2, 2], [-3])])]:
        if rng.random() < chance:
            setting.update(rng.choice(more))
    chosen = {"Original": {}}
    for image, settings in [("LoG", [{"sigma": [1.0, 3.0]}, {"sigma": [2.0, 5.0]}, {"sigma": [0.8]}]), ("Wavelet", [{}, {}, {"wavelet": "db4"}, {"wavelet": "bior1.3", "level": 2}]),
                            ("Square", [{}]), ("SquareRoot", [{}]), ("Logarithm", [{}]), ("Exponential", [{}]), ("Gradient", [{}, {"gradientUseSpacing": False}]), ("LBP3D", [{"binWidth": 0.5}])]:
        if rng.random() < 0.45:
            chosen[image] = rng.choice(settings)
    return dict(run("random-%d" % n, chosen, **setting), phantom=s)


def random_runs(out, seed, count):
    import random
    rng = random.Random(seed)
    runs = []
    while len(runs) < count:
        r = random_run(rng, len(runs))
        try:
            runs.append(dict(r, values=extract(*phantom(r["phantom"]), params_of(r))))
        except Exception as e:  # a region that PyRadiomics refuses: another
            print(e, file=sys.stderr)
    write(os.path.join(out, "random.json.gz"), runs)


def wavelets(out):
    """The filters as float64 and, where they are not its rounding, those that PyWavelets takes for float32 images."""
    import pywt
    with open(os.path.join(out, "wavelets.txt"), "w") as f:
        for name in pywt.wavelist(kind="discrete"):
            w = pywt.Wavelet(name)
            n = len(w.dec_lo)
            impulse = numpy.zeros(4 * n, numpy.float32)
            impulse[2 * n] = 1
            answer = pywt.swt(impulse, name, level=1)[0]
            for which, taps, single in [("lo", w.dec_lo, answer[0]), ("hi", w.dec_hi, answer[1])]:
                f.write("%s %s %s\n" % (name, which, " ".join(repr(float(c)) for c in taps)))
                single = single[2 * n - n // 2:][:n]
                if (single != numpy.array(taps, numpy.float32)).any():
                    f.write("%s %s32 %s\n" % (name, which, " ".join(repr(float(c)) for c in single)))


def main(args):
    if len(args) >= 3 and args[0] == "images":
        images(args[1], args[2], args[3:])
    elif len(args) == 2 and args[0] == "phantoms":
        phantoms(args[1])
    elif len(args) == 4 and args[0] == "random":
        random_runs(args[1], int(args[2]), int(args[3]))
    elif len(args) == 2 and args[0] == "wavelets":
        wavelets(args[1])
    elif len(args) == 4 and args[0] == "extract":
        print(json.dumps(extract(args[1], args[2], args[3])))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
