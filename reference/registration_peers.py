"""Landmark error, processor time and memory of registration, ours beside greedy, on the same images in one run.

Packages: picsl_greedy==1.4.0.3 SimpleITK==2.5.7 numpy

    python reference/registration_peers.py [--rfanode bin/rfanode] [--threads 2] [--spacing 2] CASE...

A CASE is a folder with fixed.nii.gz and moving.nii.gz (after and before the ablation) and points.csv, whose header is
post_x,post_y,post_z,pre_x,pre_y,pre_z (LPS mm); or a folder with DICOM series in post/ and pre/ and landmarks.csv with
the same header. `RFANODE_EXPORT=DIR go test ./analysis/register -run TestExportMoved` writes such cases.

Both programs get the same two images, resampled to an isotropic grid (--spacing, 0: as they are) before the clock
starts. Greedy (Yushkevich et al., affine with 12 degrees of freedom, then diffeomorphic, NCC 2x2x2) is not tuned, and no
lung mask is given to either, so this is no league table. Time and memory are those of the child process as the kernel
reports them. The exit status is 1 where a program failed.
"""
import argparse
import csv
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import SimpleITK as sitk

COLUMNS = ["post_x", "post_y", "post_z", "pre_x", "pre_y", "pre_z"]


def read_points(path):
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    if not rows or any(c not in rows[0] for c in COLUMNS):
        sys.exit(f"{path}: no points, or no header {','.join(COLUMNS)}")
    p = np.array([[float(r[c]) for c in COLUMNS] for r in rows])
    return p[:, :3], p[:, 3:]


def read_image(case, name, series):
    path = case / f"{name}.nii.gz"
    if path.exists():
        return sitk.ReadImage(str(path), sitk.sitkFloat32)
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(case / series))
    if not files:
        sys.exit(f"{case}: neither {path.name} nor a DICOM series in {series}/")
    return sitk.Cast(sitk.ReadImage(files), sitk.sitkFloat32)


def isotropic(image, spacing):
    """Trilinear, smoothed along axes that become coarser."""
    if spacing <= 0:
        return image
    for axis, old in enumerate(image.GetSpacing()):
        if spacing > 1.3 * old:
            image = sitk.RecursiveGaussian(image, sigma=0.45 * spacing, direction=axis)
    size = [int((n - 1) * s / spacing) + 1 for n, s in zip(image.GetSize(), image.GetSpacing())]
    return sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), [spacing] * 3,
                         image.GetDirection(), -1024.0, sitk.sitkFloat32)


def measured(command, log):
    """Runs a command; returns its exit status, CPU seconds and peak resident MB."""
    with open(log, "w") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def greedy_child(fixed, moving, out, threads):
    """Runs in a process of its own: registers and writes the total displacement field."""
    from picsl_greedy import Greedy3D

    os.chdir(out)
    g = Greedy3D()
    images, n = f"-i {fixed} {moving}", f"-threads {threads}"
    g.execute(f"{images} -a -dof 12 -m NCC 2x2x2 -n 60x40x0 -ia-identity -o g.mat {n}")
    g.execute(f"{images} -it g.mat -m NCC 2x2x2 -n 100x80x30 -s 2.0vox 0.7vox -o warp.nii.gz {n}")
    g.execute(f"-rf {fixed} -r warp.nii.gz g.mat -rc total.nii.gz {n}")


def through_field(path, points):
    """The points moved by a displacement field in LPS mm."""
    t = sitk.DisplacementFieldTransform(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkVectorFloat64))
    return np.array([t.TransformPoint(p.tolist()) for p in points])


def run_greedy(work, points, threads):
    command = [sys.executable, __file__, "--greedy-child", work / "fixed.nii.gz", work / "moving.nii.gz", work, str(threads)]
    status, cpu, rss = measured([str(c) for c in command], work / "greedy.log")
    if status != 0:
        return None, cpu, rss
    return through_field(work / "total.nii.gz", points), cpu, rss


def run_ours(rfanode, work, points):
    with open(work / "points.csv", "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["x", "y", "z"])
        w.writerows([[f"{v:.4f}" for v in p] for p in points])
    out = work / "ours.csv"
    with open(out, "w") as f:
        child = subprocess.Popen([rfanode, "register", str(work / "fixed.nii.gz"), str(work / "moving.nii.gz"),
                                  "--points", str(work / "points.csv")], stdout=f, stderr=open(work / "ours.log", "w"))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    cpu, rss = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    if child.returncode != 0:
        return None, cpu, rss
    with open(out, newline="") as f:
        moved = [[float(r[c]) for c in ("moved_x", "moved_y", "moved_z")] for r in csv.DictReader(f)]
    return np.array(moved), cpu, rss


def row(case, method, moved, truth, cpu, rss):
    if moved is None or len(moved) != len(truth):
        print(f"{case:28} {method:8} failed", flush=True)
        return False
    e = np.linalg.norm(moved - truth, axis=1)
    print(f"{case:28} {method:8} {e.mean():6.2f} {np.percentile(e, 95):6.2f} {e.max():6.2f} {cpu:8.1f} {rss:7.0f}", flush=True)
    return True


def main():
    if sys.argv[1:2] == ["--greedy-child"]:
        greedy_child(*sys.argv[2:6])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", type=pathlib.Path, metavar="CASE")
    parser.add_argument("--rfanode", default="bin/rfanode", help="our program (bin/rfanode); empty: leave it out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--spacing", type=float, default=2.0, help="mm of the grid of both programs; 0: as the images are")
    a = parser.parse_args()
    print(f"{'case':28} {'method':8} {'mean':>6} {'p95':>6} {'max':>6} {'CPU s':>8} {'RSS MB':>7}   (landmark error in mm)")
    good, total = True, {}
    for case in a.cases:
        csv_path = case / "points.csv"
        post, pre = read_points(csv_path if csv_path.exists() else case / "landmarks.csv")
        with tempfile.TemporaryDirectory() as tmp:
            work = pathlib.Path(tmp)
            for name, series in (("fixed", "post"), ("moving", "pre")):
                sitk.WriteImage(sitk.Cast(isotropic(read_image(case, name, series), a.spacing), sitk.sitkInt16), str(work / f"{name}.nii.gz"))
            row(case.name, "none", post, pre, 0, 0)
            runs = [("greedy", lambda: run_greedy(work, post, a.threads))]
            if a.rfanode:
                runs.append(("rfanode", lambda: run_ours(a.rfanode, work, post)))
            for method, run in runs:
                moved, cpu, rss = run()
                total[method] = total.get(method, 0) + cpu
                if not row(case.name, method, moved, pre, cpu, rss):
                    good = False
                    log = work / ("greedy.log" if method == "greedy" else "ours.log")
                    print("    " + log.read_text(errors="replace").strip()[-600:].replace("\n", "\n    "))
    if len(total) == 2 and good:
        print(f"CPU of rfanode / greedy: {total['rfanode'] / total['greedy']:.2f}")
    return 0 if good else 1


if __name__ == "__main__":
    # Child processes obey the same bound.
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "2")
    sys.exit(main())
