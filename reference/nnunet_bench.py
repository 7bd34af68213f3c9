"""nnU-Net's own predictor and rfanode on the same network and the same CT, one after the other in one run: processor
time, peak memory, and whether the label maps agree.

    pip install nnunetv2==2.8.1 torch==2.15.0 SimpleITK==2.5.7 onnx==1.23.2 onnxruntime==1.32.0
    python reference/nnunet_bench.py --rfanode bin/rfanode [--ct CT.nii.gz] [--patch 128 128 128] [--spacing 3 3 3]

The network is the U-Net that nnU-Net plans for a large patch (six stages, 32 to 320 features, 31 million weights), with
random weights; without --ct the image is random blobs of 512 x 512 x 60 voxels, 0.7 x 0.7 x 5 mm. Both programs read
the CT from its file, use two threads and the model's settings (no mirroring, step 0.5); everything counts, the start of
the program and the reading of the weights too. Targets: 0.7 of the time, half of the memory.

Random weights leave the classes nearly level everywhere, so that the last bits in which PyTorch and ONNX Runtime differ
decide some voxels. --same-runtime lets nnU-Net's predictor compute its network in ONNX Runtime too; all that is left to
differ then is rfanode's own work, and no voxel may.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import SimpleITK as sitk

TARGET_TIME, TARGET_MEMORY = 0.7, 0.5

PREDICT = """
import sys, torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
if __name__ == "__main__":
    model, image, out, step, mirror, onnx = sys.argv[1:7]
    torch.set_num_threads(2)
    p = nnUNetPredictor(tile_step_size=float(step), use_mirroring=mirror == "1", perform_everything_on_device=False,
                        device=torch.device("cpu"), allow_tqdm=False)
    p.initialize_from_trained_model_folder(model, (0,), "checkpoint_final.pth")
    if onnx:
        import onnxruntime

        class Same(torch.nn.Module):
            session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])

            def load_state_dict(self, *_):
                pass

            def forward(self, x):
                return torch.from_numpy(self.session.run(None, {"input": x.numpy()})[0])

        p.network = Same()
    data, props = p.plans_manager.image_reader_writer_class().read_images([image])
    p.predict_single_npy_array(data, props, None, out, False)
"""


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rfanode", default="bin/rfanode")
    p.add_argument("--ct", help="CT as .nii.gz")
    p.add_argument("--patch", nargs=3, type=int, default=[128, 128, 128])
    p.add_argument("--spacing", nargs=3, type=float, default=[3.0, 3.0, 3.0], help="of the model, z y x")
    p.add_argument("--step", type=float, default=0.5)
    p.add_argument("--mirror", action="store_true", help="both mirror: eight times the time")
    p.add_argument("--same-runtime", action="store_true", help="nnU-Net's network in ONNX Runtime: compare label maps, not times")
    p.add_argument("--crop", default="none", choices=("none", "lungs"), help="what rfanode alone does beside")
    return p.parse_args()


def training_folder(folder, patch, spacing, image):
    import json

    import torch

    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    import nnunet as cases

    p, d = cases.plans(spacing), cases.dataset()
    base = p["configurations"]["base"]
    base["patch_size"] = patch
    arch = base["architecture"]["arch_kwargs"]
    stages = 6
    arch.update(n_stages=stages, features_per_stage=[32, 64, 128, 256, 320, 320], kernel_sizes=[[3, 3, 3]] * stages,
                strides=[[1, 1, 1]] + [[2, 2, 2]] * (stages - 1), n_conv_per_stage=[2] * stages, n_conv_per_stage_decoder=[2] * (stages - 1))
    folder.mkdir()
    (folder / "plans.json").write_text(json.dumps(p, indent=1))
    (folder / "dataset.json").write_text(json.dumps(d, indent=1))
    net, path = cases.train(folder, 1, p, d)
    # a piece of the image, normalised, to bring out every class
    a = sitk.GetArrayFromImage(sitk.ReadImage(str(image))).astype(np.float32)
    mid = [n // 2 for n in a.shape]
    piece = a[tuple(slice(max(0, m - q // 2), m + q // 2) for m, q in zip(mid, patch))]
    piece = (np.clip(piece, -1010, 300) + 320) / 410
    cases.PATCH = [min(64, n) for n in patch]
    cases.balance(net, piece[None], stretch=1)
    cases.save(net, path, [0, 1, 2])


def measured(command):
    """User and system seconds, wall seconds and peak memory in MB of a program and those it starts."""
    began = time.time()
    p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    text = p.stderr.read()
    _, status, used = os.wait4(p.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed:\n{text[-2000:]}")
    return used.ru_utime + used.ru_stime, time.time() - began, used.ru_maxrss / 1024


def main():
    args = arguments()
    here = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        image = args.ct
        if image is None:
            from scipy.ndimage import gaussian_filter

            a = gaussian_filter(np.random.default_rng(2).standard_normal((60, 512, 512)).astype(np.float32), (1, 4, 4))
            i = sitk.GetImageFromArray((-400 + 500 * a / a.std()).astype(np.int16))
            i.SetSpacing((0.7, 0.7, 5.0))
            image = str(tmp / "ct.nii.gz")
            sitk.WriteImage(i, image)
        training_folder(tmp / "model", args.patch, args.spacing, image)
        export = [sys.executable, here.parent / "tools" / "export_nnunet.py", tmp / "model", tmp / "exported", "--name", "bench", "--version", "1"]
        # The bench compares programs, not orientations: the file's own order is declared.
        exported = subprocess.run(export + ["--training-image", image], capture_output=True, text=True)
        if exported.returncode:
            sys.exit(exported.stderr[-2000:])
        # A bare folder: the self-check of a whole one is a further patch, paid when a node starts and not for every CT.
        bare = tmp / "bare"
        bare.mkdir()
        for name, to in (("plans.json", "plans.json"), ("dataset.json", "dataset.json"), ("fold_0.onnx", "model.onnx")):
            (tmp / "exported" / name).rename(bare / to)
        (tmp / "predict.py").write_text(PREDICT)
        theirs = measured([sys.executable, str(tmp / "predict.py"), str(tmp / "model"), image, str(tmp / "theirs"), str(args.step), str(int(args.mirror)),
                           str(bare / "model.onnx") if args.same_runtime else ""])
        ours = measured([args.rfanode, "segment", image, "--model", str(bare), "-o", str(tmp / "ours.nii.gz"), "--step", str(args.step),
                         "--crop", args.crop] + ["--mirror"] * args.mirror)
        a, b = (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp / n))) for n in ("theirs.nii.gz", "ours.nii.gz"))
    dice = [2 * ((a == k) & (b == k)).sum() / max(1, (a == k).sum() + (b == k).sum()) for k in (1, 2)]
    size = " x ".join(map(str, a.shape[::-1]))
    print(f"CT {size}, patch {args.patch}, spacing {args.spacing} mm, step {args.step}, mirroring {args.mirror}, rfanode crops: {args.crop}")
    for name, (cpu, wall, memory) in (("nnU-Net", theirs), ("rfanode", ours)):
        print(f"{name:8} {cpu:8.1f} CPU s  {wall:8.1f} s wall  {memory:8.0f} MB")
    for what, ratio, target in (("time", ours[0] / theirs[0], TARGET_TIME), ("memory", ours[2] / theirs[2], TARGET_MEMORY)):
        print(f"{what}: {ratio:.2f} of nnU-Net's, target {target}: {'reached' if ratio <= target else 'MISSED'}")
    print("Dice of the labels: " + ", ".join(f"{d:.6f}" for d in dice) + f"; {int((a != b).sum())} of {a.size} voxels differ")


if __name__ == "__main__":
    main()
