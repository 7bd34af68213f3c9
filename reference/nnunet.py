"""What nnU-Net's own predictor, scikit-image and TotalSegmentator's spacing make of small cases: the reference of
analysis/segment/nnunet.

    pip install nnunetv2==2.8.1 torch==2.15.0 scikit-image==0.26.0 scipy==1.17.1 SimpleITK==2.5.7 onnx==1.23.2 onnxruntime==1.32.0
    python reference/nnunet.py analysis/segment/nnunet/testdata
    python reference/nnunet.py --threshold analysis/testdata/threshold-model

Networks are U-Nets of 4 to 16 features with random weights, whose last layer is shifted until every class appears; they
segment nothing. One image (random blobs in an exactly zero frame) serves all cases with a spacing of its own for each.
Between them the cases cover: three-dimensional splines, one axis resampled apart, transposed axes, no resampling,
padding by an odd number of voxels, a tile step of 0.8, mirroring over some axes, two folds, regions.
"""
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import SimpleITK as sitk
import skimage
import torch
from importlib.metadata import version
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

PATCH = [16, 24, 24]
LABELS = {"background": 0, "tissue": 1, "spot": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": 2}

# name: spacing of the image z,y,x, spacing of the model along its axes, and what else is particular
CASES = {
    "isotropic": dict(image=[1.1, 0.9, 1.0], model=[1.4, 1.2, 1.3], step=0.8),
    "transposed": dict(image=[5.0, 0.9, 1.0], model=[1.3, 2.5, 1.2], transpose=[1, 0, 2]),
    "same": dict(image=[1.5, 1.5, 1.5], model=[1.5, 1.5, 1.5], mirror=[0, 2]),
    "padded": dict(image=[4.0, 0.7, 0.7], model=[6.2, 1.5, 1.5]),
    "regions": dict(image=[3.0, 1.0, 1.0], model=[2.0, 1.6, 1.6], regions=True),
    "folds": dict(image=[2.0, 1.2, 1.2], model=[1.5, 1.5, 1.5], folds=2, mirror=[0, 1, 2]),
}


def plans(model, transpose=(0, 1, 2), **_):
    arch = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 3, "features_per_stage": [4, 8, 16], "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * 3, "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
            "n_conv_per_stage": [1, 1, 1], "n_conv_per_stage_decoder": [1, 1], "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}},
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"]}
    resample = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    base = {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2, "patch_size": PATCH,
        "median_image_size_in_voxels": [30.0, 40.0, 40.0], "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {**resample, "order": 3}, "resampling_fn_seg_kwargs": {**resample, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape", "resampling_fn_probabilities_kwargs": {**resample, "order": 1},
        "architecture": arch, "batch_dice": True}
    back = [list(transpose).index(a) for a in range(3)]
    return {
        "dataset_name": "Dataset901_Reference", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose), "transpose_backward": back,
        # the second configuration inherits, so that reading it must follow the chain
        "configurations": {"base": base, "3d_fullres": {"inherits_from": "base", "spacing": model}},
        "experiment_planner_used": "ExperimentPlanner", "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {
            "max": 3071.0, "mean": -320.0, "median": -500.0, "min": -1024.0, "percentile_00_5": -1010.0, "percentile_99_5": 300.0, "std": 410.0}}}


def dataset(regions=False, **_):
    d = {"channel_names": {"0": "CT"}, "labels": REGIONS if regions else LABELS, "numTraining": 1, "file_ending": ".nii.gz", "name": "Reference"}
    if regions:
        d["regions_class_order"] = [1, 2]
    return d


def picture():
    r = np.random.default_rng(5)
    a = gaussian_filter(r.standard_normal((22, 36, 40)), 2.0)
    a = -400 + 500 * a / a.std()
    a = (np.round(np.clip(a, -1024, 1200) / 16) * 16 + 4).astype(np.int16)
    a[:2], a[:, -3:], a[:, :, :1] = 0, 0, 0
    return a


def write_image(array, spacing, path):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing[::-1]])
    sitk.WriteImage(image, str(path), True)


def train(folder, seed, p, d):
    """A training folder of one more fold, with random weights."""
    torch.manual_seed(seed)
    arch = p["configurations"]["base"]["architecture"]
    heads = 2 if "regions_class_order" in d else 3
    net = get_network_from_plans(arch["network_class_name"], arch["arch_kwargs"], arch["_kw_requires_import"], 1, heads, deep_supervision=False)
    fold = sum(1 for f in folder.glob("fold_*"))
    (folder / f"fold_{fold}").mkdir()
    return net, folder / f"fold_{fold}" / "checkpoint_final.pth"


def save(net, path, mirror):
    torch.save({"network_weights": net.state_dict(), "trainer_name": "nnUNetTrainer", "init_args": {"configuration": "3d_fullres"},
                "inference_allowed_mirroring_axes": mirror}, path)


def balance(net, data, stretch=4):
    """Shifts and stretches the last layer until every class appears."""
    layer = net.decoder.seg_layers[-1]
    with torch.no_grad():
        x = torch.from_numpy(data)[None]
        pad = [max(0, n - s) for n, s in zip(PATCH, x.shape[2:])]
        x = torch.nn.functional.pad(x, (0, pad[2], 0, pad[1], 0, pad[0]))[:, :, :PATCH[0], :PATCH[1], :PATCH[2]]
        out = net.eval()(x)[0].flatten(1)
        scale = stretch / out.std(1)
        layer.weight *= scale[:, None, None, None, None]
        layer.bias.copy_((layer.bias - out.mean(1)) * scale)


def predictor_of(folder, folds, step, mirror):
    p = nnUNetPredictor(tile_step_size=step, use_gaussian=True, use_mirroring=mirror, perform_everything_on_device=False,
                        device=torch.device("cpu"), allow_tqdm=False)
    p.initialize_from_trained_model_folder(str(folder), list(range(folds)), "checkpoint_final.pth")
    return p


def run(out, name, case, image):
    folds, step, mirror = case.get("folds", 1), case.get("step", 0.5), case.get("mirror")
    p, d = plans(**case), dataset(**case)
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp) / "model"
        folder.mkdir()
        (folder / "plans.json").write_text(json.dumps(p, indent=1))
        (folder / "dataset.json").write_text(json.dumps(d, indent=1))
        for seed in range(folds):
            net, path = train(folder, 10 + seed + 100 * list(CASES).index(name), p, d)
            save(net, path, mirror)
            pred = predictor_of(folder, sum(1 for _ in folder.glob("fold_*")), step, False)
            file = pathlib.Path(tmp) / "image_0000.nii.gz"
            write_image(image, case["image"], file)
            data, _, props = pred.configuration_manager.preprocessor_class(verbose=False).run_case(
                [str(file)], None, pred.plans_manager, pred.configuration_manager, pred.dataset_json)
            balance(net, data)
            save(net, path, mirror)
        target = out / name
        shutil.rmtree(target, ignore_errors=True)
        exporter = pathlib.Path(__file__).parent.parent / "tools" / "export_nnunet.py"
        subprocess.run([sys.executable, exporter, folder, target, "--name", "rfanode-reference-" + name, "--version", "1", "--orientation", "LPS",
                        "--training", "random weights: segments nothing"], check=True, stdout=subprocess.DEVNULL)
        pred = predictor_of(folder, folds, step, mirror is not None)
        data, props = pred.plans_manager.image_reader_writer_class().read_images([str(file)])
        pred.predict_single_npy_array(data, props, None, str(pathlib.Path(tmp) / "seg"), False)
        seg = sitk.ReadImage(str(pathlib.Path(tmp) / "seg.nii.gz"))
        sitk.WriteImage(sitk.Cast(seg, sitk.sitkUInt8), str(target / "seg.nii.gz"), True)
        labels = sitk.GetArrayFromImage(seg)
        counts = [int((labels == k).sum()) for k in range(3)]
        assert min(counts) > 200, (name, counts)
        print(name, counts)
        return {"spacing_zyx": case["image"], "step": step, "mirror": mirror is not None, "counts": counts, "preprocessed_size": list(data.shape[1:])}


def small(r):
    """Single steps: resize of scikit-image, starts of tiles, weights of a tile, the sigmoid's threshold."""
    resizes = []
    for shape, new, order in [((5, 6, 7), (8, 9, 5), 3), ((6, 7), (11, 4), 3), ((9,), (23,), 3), ((4, 5, 6), (7, 5, 3), 1), ((1, 8), (1, 3), 3)]:
        a = np.round(r.normal(0, 300, shape)).astype(float)
        b = resize(a, new, order, mode="edge", anti_aliasing=False)
        resizes.append({"in": list(shape), "out": list(new), "order": order, "values": a.ravel().tolist(), "result": b.ravel().tolist()})
    starts = []
    for _ in range(200):
        patch = int(r.integers(8, 160))
        size = int(patch + r.integers(0, 400))
        step = float(r.choice([0.3, 0.5, 0.8, 1.0]))
        starts.append([size, patch, step, compute_steps_for_sliding_window((size,), (patch,), step)[0]])
    gaussians = []
    for patch in ([16, 24, 24], [9, 14, 31], [48, 64, 40]):
        g = compute_gaussian(tuple(patch), sigma_scale=1 / 8, value_scaling_factor=10, dtype=torch.float16, device=torch.device("cpu")).numpy()
        gaussians.append({"patch": patch, "sha256": hashlib.sha256(g.tobytes()).hexdigest(), "middle": g[patch[0] // 2, patch[1] // 2].astype(float).tolist()})
    halves = torch.from_numpy(np.arange(1, 2000, dtype=np.uint16).view(np.float16))
    above = (torch.sigmoid(halves.float()) > 0.5).numpy()
    return {"resize": resizes, "tile_starts": starts, "gaussian": gaussians, "sigmoid_threshold_bits": int(np.argmax(above)) + 1}


class Threshold(torch.nn.Module):
    """A network in form only: "dense" where the smoothed image is above -350 HU."""

    def __init__(self, mean, std):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 2, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1))
            self.conv.bias.copy_(torch.tensor([(-350 - mean) / std, 0.0]))

    def forward(self, x):
        return self.conv(x)


def threshold_model(out):
    """A model folder whose answer can be foreseen, for tests of what is done with a model's masks."""
    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tools"))
    import export_nnunet as exporter

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    p = plans([1.5, 1.5, 1.5])
    patch = [48, 48, 48]
    p["configurations"]["base"]["patch_size"] = patch
    (out / "plans.json").write_text(json.dumps(p, indent=1))
    (out / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "dense": 1}, "file_ending": ".nii.gz"}))
    i = p["foreground_intensity_properties_per_channel"]["0"]
    net = Threshold(i["mean"], i["std"]).eval()
    exporter.onnx_of(net, patch, out / "fold_0.onnx")
    r = np.random.default_rng(1)
    x = np.zeros((1, 1, *patch), np.float32)
    x[0, 0, :, 0, 0] = r.integers(-8, 8, patch[0]) / 4
    index = np.sort(r.choice(2 * 48**3, 1000, replace=False))
    torch_answer, _ = exporter.answers(net, out / "fold_0.onnx", x)
    np.savez_compressed(out / "selfcheck.npz", input=x, index=index, logits_0=torch_answer.ravel()[index])
    (out / "rfanode-model.json").write_text(json.dumps({
        "schema": exporter.SCHEMA, "name": "rfanode-threshold", "version": "1", "configuration": "3d_fullres",
        "folds": [{"k": 0, "file": "fold_0.onnx", "sha256": exporter.sha256(out / "fold_0.onnx")}],
        "plans_sha256": exporter.sha256(out / "plans.json"), "dataset_sha256": exporter.sha256(out / "dataset.json"),
        "input_name": "input", "output_name": "logits", "channels": 1, "heads": 2, "patch_size": patch, "mirror_axes": None,
        "tile_step": 0.5, "array_orientation": "RAS", "orientation_source": "operator", "wrapper": None,
        "selfcheck": {"file": "selfcheck.npz", "sha256": exporter.sha256(out / "selfcheck.npz"), "max_abs_diff_torch_ort": 0},
        "training": {"what": "a threshold: no trained network"}}, indent=1) + "\n")


def main():
    if sys.argv[1] == "--threshold":
        return threshold_model(pathlib.Path(sys.argv[2]))
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    image = picture()
    write_image(image, [1, 1, 1], out / "image.nii.gz")
    made_by = {p: version(p) for p in ("nnunetv2", "torch", "scikit-image", "scipy", "numpy", "SimpleITK", "onnx", "onnxruntime")}
    result = {"made_by": made_by, "cases": {}}
    for name, case in CASES.items():
        result["cases"][name] = run(out, name, case, image)
    result.update(small(np.random.default_rng(9)))
    (out / "reference.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
