"""rfanode features beside PyRadiomics, whole processes, CPU seconds (user + system) and peak memory, in one run.

    python reference/radiomics_peers.py --rfanode bin/rfanode --python VENV/bin/python [--data FOLDER] [--peers PYTHON] [--runs 3]

VENV holds PyRadiomics 3.0.1, made by tools/pyradiomics. Cases: spheres in a synthetic CT, and lung1 and lung2 of
PyRadiomics' source distribution where --data names their folder. Every program has one thread; of several runs the one
with the least CPU time counts, for each program. --peers names a Python with flash-radiomics 1.0.0, nyxus 0.11.0 and mirp
2.7.0 (and what they forget to ask for: SimpleITK, PyWavelets, pykwalify, six, h5py, tqdm, scikit-learn): they are run on the ball of 40 mm.
What they compute is not the same; how much it is stands beside the time.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]

PARAMS = """imageType: {Original: {}, LoG: {sigma: [1.0, 2.0, 3.0, 4.0, 5.0]}, Wavelet: {}}
featureClass: {shape: , firstorder: , glcm: , gldm: , glrlm: , glszm: , ngtdm: }
setting: {normalize: true, normalizeScale: 100, resampledPixelSpacing: [1, 1, 1], interpolator: sitkBSpline, binWidth: %g, label: 1}
"""

MAKE = r'''
import sys, numpy, SimpleITK as sitk
path, slices, thickness, radius = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
rng = numpy.random.default_rng(5)
shape = (slices, 512, 512)
image = numpy.empty(shape, numpy.int16)
centre = numpy.array([slices // 2 * thickness, 250 * .7, 260 * .7])
y, x = numpy.mgrid[0:512, 0:512] * .7
mask = numpy.zeros(shape, numpy.uint8)
for k in range(slices):
    d = numpy.sqrt((y - centre[1]) ** 2 + (x - centre[2]) ** 2 + (k * thickness - centre[0]) ** 2)
    inside = d <= radius
    mask[k] = inside
    body = ((y - 180) / 130) ** 2 + ((x - 180) / 165) ** 2 < 1
    smooth = numpy.where(body, -820 + 300 * numpy.sin(x / 9) * numpy.cos(y / 11), -1000) + inside * 700
    image[k] = smooth + rng.normal(0, 45, (512, 512))
for name, a in (("image", image), ("mask", mask)):
    out = sitk.GetImageFromArray(a)
    out.SetSpacing((.7, .7, thickness))
    sitk.WriteImage(out, "%s_%s.nii.gz" % (path, name))
'''

PEERS = {
    # The same interface as PyRadiomics, the same parameter file.
    "flash-radiomics": """
import sys
from flash_radiomics import featureextractor
e = featureextractor.RadiomicsFeatureExtractor(sys.argv[3])
f = e.execute(sys.argv[1], sys.argv[2])
print(sum(not k.startswith('diagnostics') for k in f), 'features')
""",
    # Definitions of its own; neither z-score nor filters; on the grid of the file.
    "nyxus": """
import sys, nyxus
n = nyxus.Nyxus3D(['*3D_ALL*'])
f = n.featurize_files([sys.argv[1]], [sys.argv[2]], True)
print(f.shape[1], 'columns')
""",
    # IBSI's definitions, resampled to 1 mm, bins of 25 HU; no filters, spatial statistics beside.
    "mirp": """
import sys
from mirp import extract_features
f = extract_features(image=sys.argv[1], mask=sys.argv[2], new_spacing=1.0, base_discretisation_method='fixed_bin_size', base_discretisation_bin_width=25.0, image_modality='CT')
print(f[0].shape[1], 'columns')
""",
}


def cpu(command, runs):
    """Least CPU seconds and most memory of some runs."""
    best, memory, out = float("inf"), 0, b""
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        p = subprocess.run(["/usr/bin/time", "-f", "%M"] + command, capture_output=True, env=dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS="1", GOMAXPROCS="1"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if p.returncode:
            sys.exit("%s\n%s" % (" ".join(command), p.stderr.decode()[-2000:]))
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        memory = max(memory, int(p.stderr.decode().split()[-1]) / 1024)
        out = p.stdout
    return best, memory, out


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--rfanode", required=True)
    a.add_argument("--python", required=True)
    a.add_argument("--data")
    a.add_argument("--peers", metavar="PYTHON")
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--bin-width", type=float, default=25)
    a = a.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        params = os.path.join(tmp, "p.yaml")
        with open(params, "w") as f:
            f.write(PARAMS % a.bin_width)
        cases = []
        for name, slices, thickness, radius in [("sphere 12 mm", 60, 5, 6), ("sphere 40 mm", 60, 5, 20), ("sphere 88 mm", 60, 5, 44), ("sphere 40 mm, 300 slices", 300, 1, 20)]:
            path = os.path.join(tmp, name.replace(" ", "").replace(",", "-"))
            subprocess.run([a.python, "-c", MAKE, path, str(slices), str(thickness), str(radius)], check=True)
            cases.append((name, path + "_image.nii.gz", path + "_mask.nii.gz"))
        if a.data:
            for name in ("lung1", "lung2"):
                cases.append((name, os.path.join(a.data, name + "_image.nrrd"), os.path.join(a.data, name + "_label.nrrd")))
        print("%-26s %9s %12s %12s %7s %9s %9s %10s" % ("case", "voxels", "rfanode s", "PyRad. s", "ratio", "MB", "PyRad. MB", "rel. error"))
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pyradiomics.py")
        for name, image, mask in cases:
            out = os.path.join(tmp, "out.json")
            ours = cpu([a.rfanode, "features", "--image", image, "--mask", mask, "--params", params, "--threads", "1", "-o", out], a.runs)
            theirs = cpu([a.python, script, "extract", image, mask, params], a.runs)
            result = json.load(open(out))["result"]
            reference = json.loads(theirs[2])
            worst = 0.0
            for key, value in reference.items():
                mine = result["features"][key]
                if (mine is None) != (value is None):
                    worst = float("inf")
                elif value is not None and abs(mine - value) > 1e-9:
                    worst = max(worst, abs(mine - value) / abs(value))
            print("%-26s %9d %12.2f %12.2f %7.1f %9.0f %9.0f %10.1e" % (name, result["region_voxels"], ours[0], theirs[0], theirs[0] / ours[0], ours[1], theirs[1], worst), flush=True)
        if a.peers:
            name, image, mask = cases[1]
            for peer, code in PEERS.items():
                command = [a.peers, "-c", code, image, mask, params]
                try:  # whether it runs at all
                    failed = subprocess.run(command, capture_output=True, timeout=600)
                    why = failed.stderr.decode().strip().splitlines()[-1:] if failed.returncode else []
                except subprocess.TimeoutExpired:
                    why = ["it takes more than 10 minutes"]
                if why:
                    print("%-26s not run: %s" % (peer, why[0][:120]))
                    continue
                seconds, memory, said = cpu(command, 1)
                print("%-26s %9s %12s %12.2f %7s %9s %9.0f   on %s: %s" % (peer, "", "", seconds, "", "", memory, name, said.decode().strip().splitlines()[-1]), flush=True)


main()
