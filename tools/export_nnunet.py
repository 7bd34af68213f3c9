#!/usr/bin/env python3
"""Exports a trained nnU-Net v2 model for rfanode: run it once, where the weights are.

    pip install nnunetv2==2.8.1 torch onnx onnxruntime SimpleITK
    python export_nnunet.py RESULTS/Dataset…/nnUNetTrainer__nnUNetPlans__3d_fullres OUT --name lung-nodules --version 1.0

RESULTS… is a training folder of nnU-Net (plans.json, dataset.json, fold_K/checkpoint_final.pth), OUT a new folder with
all that rfanode needs: plans.json and dataset.json unchanged, fold_K.onnx, selfcheck.npz (what the network answers to a
random patch; rfanode repeats it when it loads the model) and rfanode-model.json. Nothing of it is needed again after.

nnU-Net shows its network the array as the reader gives it. Unless the reader always turns images to RAS, only the
training images say how they lay: name one with --training-image, or say it with --orientation (three letters towards
which the array's x, y, z grow, e.g. LPS for axial DICOM slices, RAS for what TotalSegmentator feeds). A wrong
orientation segments the wrong side of the body without any error, so this program never guesses.

For a task of TotalSegmentator add --wrapper-spacing 1.5 1.5 1.5 --orientation RAS (and --crop-labels … if the task
crops to the lungs). Checkpoints are Python pickles: open only those that you trust.
"""
import argparse
import hashlib
import json
import pathlib
import shutil
import sys
from datetime import datetime, timezone

import numpy as np

SCHEMA = "rfanode-nnunet/1"
LIMIT = 1e-3  # largest difference of PyTorch and ONNX Runtime; rfanode holds its own answers to the same
PLACES = 4096  # voxels of the answer that the self-check keeps, drawn at random: a wrong network differs everywhere
OPSET = 17


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path, help="training folder of one configuration")
    p.add_argument("out", type=pathlib.Path, help="folder to make; must not exist")
    p.add_argument("--name", required=True, help="name that stands in every result")
    p.add_argument("--version", required=True, help="version that stands in every result")
    p.add_argument("--folds", nargs="+", default=None, help="folds to average, e.g. 0 1 2 3 4, or all; left out: all there are")
    p.add_argument("--checkpoint", default="checkpoint_final.pth")
    p.add_argument("--orientation", help="three letters towards which x, y, z of the training arrays grow")
    p.add_argument("--training-image", help="an image as it was given to the training: its orientation is taken")
    p.add_argument("--tile-step", type=float, default=0.5)
    p.add_argument("--wrapper-spacing", nargs=3, type=float, metavar="MM", help="spacing of x, y, z that TotalSegmentator resamples to first")
    p.add_argument("--wrapper-order", type=int, default=1, choices=(0, 1, 3), help="its spline order: 1 from release 2.18 on, 3 in 1.5.6")
    p.add_argument("--crop-labels", nargs="*", default=[], help="labels the task crops to")
    p.add_argument("--crop-margin", type=float, default=20, metavar="MM")
    p.add_argument("--training", default="", help="what it was trained on, in a sentence")
    p.add_argument("--training-n", type=int, default=0, help="number of training images")
    p.add_argument("--licence", default="")
    p.add_argument("--validation", default="", help="how good it was found to be, on what")
    return p.parse_args()


def fail(message):
    sys.exit("export_nnunet.py: " + message)


def load(args):
    """The predictor with its network and the weights of every fold. Strict loading proves that the network is right."""
    import torch
    from nnunetv2.inference import predict_from_raw_data as module
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    find = module.recursive_find_trainer_class_by_name

    def find_or_base(name, *more):
        try:
            return find(name, *more)
        except Exception:  # trainers of other packages: most change the schedule only, not the network
            print(f"trainer {name} is not installed here: its network is built as nnUNetTrainer does; the weights must fit exactly")
            return nnUNetTrainer

    module.recursive_find_trainer_class_by_name = find_or_base
    predictor = module.nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    folds = args.folds
    if folds is None:
        folds = predictor.auto_detect_available_folds(str(args.model), args.checkpoint)
    folds = [f if f == "all" else int(f) for f in folds]
    predictor.initialize_from_trained_model_folder(str(args.model), folds, args.checkpoint)
    first = torch.load(args.model / f"fold_{folds[0]}" / args.checkpoint, map_location="cpu", weights_only=False)
    return predictor, folds, first


def refuse(predictor, plans, configuration):
    """What rfanode refuses is refused here already, where it can be changed."""
    c = predictor.configuration_manager
    if len(c.patch_size) != 3:
        fail(f"configuration {configuration} is not three-dimensional")
    if c.previous_stage_name is not None:
        fail(f"configuration {configuration} is the second stage of a cascade: export 3d_fullres or 3d_lowres")
    if list(c.normalization_schemes) != ["CTNormalization"]:
        fail(f"normalisation {c.normalization_schemes}: one CT channel with CTNormalization is supported")
    if any(c.use_mask_for_norm):
        fail("use_mask_for_norm is set")
    for key in ("resampling_fn_data", "resampling_fn_probabilities"):
        name = c.configuration[key]
        if name != "resample_data_or_seg_to_shape":
            fail(f"{key} is {name}: only resample_data_or_seg_to_shape is supported")


def orientation(args, plans):
    reader = plans["image_reader_writer"]
    if reader.endswith("WithReorient"):
        return "RAS", "reader"
    if args.orientation and args.training_image:
        fail("give --orientation or --training-image, not both")
    if args.training_image:
        import SimpleITK as sitk

        r = sitk.ImageFileReader()
        r.SetFileName(args.training_image)
        r.ReadImageInformation()
        return sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(r.GetDirection()), "training image"
    if args.orientation:
        o = args.orientation.upper()
        if sorted("LRPASI".index(c) // 2 if c in "LRPASI" else 9 for c in o) != [0, 1, 2]:
            fail(f"--orientation {args.orientation}: three letters such as RAS or LPS")
        return o, "operator"
    fail(f"the reader {reader} keeps the order of the file: say with --training-image or --orientation how the training images lay")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def onnx_of(network, patch, path):
    import torch

    torch.onnx.export(network, (torch.randn(1, 1, *patch),), str(path), input_names=["input"], output_names=["logits"],
                      opset_version=OPSET, dynamo=False, dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}})


def answers(network, path, patch):
    import onnxruntime
    import torch

    with torch.inference_mode():
        torch_answer = network(torch.from_numpy(patch)).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (ort_answer,) = session.run(["logits"], {"input": patch})
    return torch_answer, ort_answer


def main():
    args = arguments()
    if args.out.exists():
        fail(f"{args.out} exists already")
    import nnunetv2  # noqa: F401  an early, plain failure where it is missing
    import onnxruntime
    import torch
    from importlib.metadata import version

    predictor, folds, checkpoint = load(args)
    plans = json.loads((args.model / "plans.json").read_text())
    configuration = checkpoint["init_args"]["configuration"]
    refuse(predictor, plans, configuration)
    array_orientation, source = orientation(args, plans)
    heads = predictor.label_manager.num_segmentation_heads
    patch_size = [int(n) for n in predictor.configuration_manager.patch_size]
    mirror = checkpoint.get("inference_allowed_mirroring_axes")

    args.out.mkdir(parents=True)
    for name in ("plans.json", "dataset.json"):
        shutil.copyfile(args.model / name, args.out / name)
    random = np.random.default_rng(20260324)
    # Values in steps of 1/16 are exact in every precision and take little space.
    patch = (np.round(random.standard_normal((1, 1, *patch_size)) * 16) / 16).astype(np.float32)
    count = heads * int(np.prod(patch_size))
    index = np.sort(random.choice(count, size=min(PLACES, count), replace=False)).astype(np.int64)
    check, entries, worst = {"input": patch, "index": index}, [], 0.0
    for i, (k, weights) in enumerate(zip(folds, predictor.list_of_parameters)):
        predictor.network.load_state_dict(weights)  # strict
        predictor.network.eval()
        path = args.out / f"fold_{k}.onnx"
        onnx_of(predictor.network, patch_size, path)
        torch_answer, ort_answer = answers(predictor.network, path, patch)
        if torch_answer.shape != (1, heads, *patch_size) or ort_answer.shape != torch_answer.shape:
            fail(f"fold {k} answers {torch_answer.shape}, not {(1, heads, *patch_size)}")
        difference = float(np.abs(torch_answer - ort_answer).max())
        print(f"fold {k}: PyTorch and ONNX Runtime differ by {difference:.2g}, answers from {torch_answer.min():.2f} to {torch_answer.max():.2f}")
        if not difference <= LIMIT:
            fail(f"fold {k}: PyTorch and ONNX Runtime differ by {difference}, at most {LIMIT} is allowed")
        worst = max(worst, difference)
        check[f"logits_{i}"] = torch_answer.ravel()[index]
        entries.append({"k": k, "file": path.name, "sha256": sha256(path)})
    np.savez_compressed(args.out / "selfcheck.npz", **check)

    wrapper = None
    if args.wrapper_spacing:
        wrapper = {"kind": "totalsegmentator", "spacing": args.wrapper_spacing, "order": args.wrapper_order, "integer": True,
                   "crop_labels": args.crop_labels, "crop_margin_mm": args.crop_margin}
    sidecar = {
        "schema": SCHEMA, "name": args.name, "version": args.version,
        "dataset_name": plans.get("dataset_name", ""), "plans_name": plans.get("plans_name", ""),
        "configuration": configuration, "trainer": checkpoint["trainer_name"], "folds": entries,
        "plans_sha256": sha256(args.out / "plans.json"), "dataset_sha256": sha256(args.out / "dataset.json"),
        "input_name": "input", "output_name": "logits", "channels": 1, "heads": heads, "patch_size": patch_size,
        "mirror_axes": None if mirror is None else [int(a) for a in mirror], "tta": False, "tile_step": args.tile_step,
        "array_orientation": array_orientation, "orientation_source": source, "wrapper": wrapper,
        "opset": OPSET, "torch": torch.__version__, "nnunetv2": version("nnunetv2"), "onnxruntime": onnxruntime.__version__,
        "exported_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "selfcheck": {"file": "selfcheck.npz", "sha256": sha256(args.out / "selfcheck.npz"), "max_abs_diff_torch_ort": worst},
        "training": {"n": args.training_n, "what": args.training, "licence": args.licence, "validation": args.validation},
    }
    (args.out / "rfanode-model.json").write_text(json.dumps(sidecar, indent=1, ensure_ascii=False) + "\n")
    print(f"{args.out}: copy this folder to the node and name it under [segment] in rfanode.toml; `rfanode check` verifies it")


if __name__ == "__main__":
    main()
