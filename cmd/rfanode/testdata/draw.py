"""Draws on a CT as a radiologist's viewer would: writes a DICOM SEG with highdicom. Usage:
draw.py SERIES MASK.nii.gz OUT.dcm LABEL GROW_MM [FRAME_OF_REFERENCE_UID]. It prints the volume drawn, in mL."""
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid
from scipy import ndimage

series, mask, out, label, grow = sys.argv[1:6]
images = [pydicom.dcmread(p) for p in Path(series).rglob("*.dcm")]
row, col = (np.array(images[0].ImageOrientationPatient[i:i + 3], float) for i in (0, 3))
images.sort(key=lambda d: np.dot(np.cross(row, col), np.array(d.ImagePositionPatient, float)))
first, last = (np.array(images[i].ImagePositionPatient, float) for i in (0, -1))
step = (last - first) / (len(images) - 1)
grid = sitk.Image(images[0].Columns, images[0].Rows, len(images), sitk.sitkUInt8)
spacing = [float(images[0].PixelSpacing[1]), float(images[0].PixelSpacing[0]), float(np.linalg.norm(step))]
grid.SetOrigin(first)
grid.SetSpacing(spacing)
grid.SetDirection(np.stack([row, col, step / np.linalg.norm(step)], 1).ravel())
pixels = sitk.GetArrayFromImage(sitk.Resample(sitk.ReadImage(mask), grid, sitk.Transform(), sitk.sitkNearestNeighbor)) > 0
if float(grow) > 0:
    pixels = ndimage.distance_transform_edt(~pixels, spacing[::-1]) <= float(grow)
if len(sys.argv) > 6:
    for d in images:
        d.FrameOfReferenceUID = sys.argv[6]
seg = hd.seg.Segmentation(
    images, pixels.astype(np.uint8), "BINARY",
    [hd.seg.SegmentDescription(1, label, codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Neoplasm, hd.seg.SegmentAlgorithmTypeValues.MANUAL)],
    generate_uid(), 300, generate_uid(), 1, "Viewer Inc", "Viewer", "1.0", "7", content_creator_name="Reader^One")
seg.save_as(out)
print(pixels.sum() * np.prod(spacing) / 1000)
