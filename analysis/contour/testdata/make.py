"""Makes, with programs that are not ours (highdicom, pydicom), a small oblique CT and contours on it, with the masks that
they must become. Usage: make.py DIR. It writes ct/*.dcm, the objects, *.mask (bytes, z,y,x) and expect.json."""
import json
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from highdicom.seg import SegmentDescription, Segmentation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

out = Path(sys.argv[1])
(out / "ct").mkdir(parents=True)
NX, NY, NZ = 64, 48, 24
SX, SY, SZ = 0.8, 0.9, 2.5
angle = np.deg2rad(12)
ROW = np.array([np.cos(angle), np.sin(angle), 0.0])
COL = np.array([-np.sin(angle), np.cos(angle), 0.0])
COL = COL * np.cos(0.1) + np.array([0, 0, np.sin(0.1)])
ROW, COL = np.round(ROW, 9), np.round(COL, 9)
NORMAL = np.cross(ROW, COL)
ORIGIN = np.array([-20.0, 10.0, -100.0])
FRAME, STUDY, SERIES = generate_uid(), generate_uid(), generate_uid()
expect = []


def point(i, j, k):
    return ORIGIN + ROW * SX * i + COL * SY * j + NORMAL * SZ * k


def ct():
    images = []
    for k in range(NZ):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid()
        d.PatientID, d.PatientName, d.PatientBirthDate, d.PatientSex = "PID-1", "Secret^Name", "", "O"
        d.IssuerOfPatientID = "HOSPITAL"
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = STUDY, SERIES, FRAME
        d.StudyID = d.AccessionNumber = d.ReferringPhysicianName = d.PositionReferenceIndicator = ""
        d.StudyDate = d.SeriesDate = d.AcquisitionDate = d.ContentDate = "20240301"
        d.StudyTime = d.SeriesTime = d.AcquisitionTime = d.ContentTime = "090000"
        d.Modality, d.Manufacturer, d.PatientPosition = "CT", "test", "HFS"
        d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.SeriesNumber, d.InstanceNumber = 2, k + 1
        d.ImagePositionPatient = [f"{x:.9f}"[:16] for x in point(0, 0, k)]
        d.ImageOrientationPatient = [f"{x:.9f}" for x in (*ROW, *COL)]
        d.PixelSpacing, d.SliceThickness = [SY, SX], SZ
        d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = NY, NX, 1, "MONOCHROME2"
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
        d.RescaleIntercept, d.RescaleSlope = -1024, 1
        d.PixelData = np.full((NY, NX), 300, np.uint16).tobytes()
        d.save_as(out / "ct" / f"{k:03d}.dcm", enforce_file_format=True)
        images.append(d)
    return images


def ellipsoid(radii, centre=(32, 24, 12), shape=(NZ, NY, NX), at=None):
    """Share of each voxel inside an ellipsoid; radii in mm along the CT's axes, centre in its voxels."""
    n = 4
    offsets = (np.arange(n) + 0.5) / n - 0.5
    share = np.zeros(shape)
    for dz in offsets:
        for dy in offsets:
            for dx in offsets:
                k, j, i = np.meshgrid(*(np.arange(s) + o for s, o in zip(shape, (dz, dy, dx))), indexing="ij")
                if at is None:
                    v = np.stack([(i - centre[0]) * SX, (j - centre[1]) * SY, (k - centre[2]) * SZ])
                else:
                    p = at(i, j, k) - point(*centre)[:, None, None, None]
                    v = np.stack([np.tensordot(a, p, 1) for a in (ROW, COL, NORMAL)])
                share += sum((v[a] / radii[a]) ** 2 for a in range(3)) <= 1
    return share / n**3


def save(name, d, syntax=None):
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid()  # one object may be saved in several forms
    if syntax:
        d.file_meta.TransferSyntaxUID = syntax
    d.save_as(out / f"{name}.dcm", enforce_file_format=True)


def want(name, structure, mask=None, dice=1.0, label="", problem="", point=None, within=0.0):
    file = ""
    if mask is not None:
        file = f"{name}-{structure}.mask"
        (out / file).write_bytes(np.ascontiguousarray(mask, np.uint8).tobytes())
    expect.append({"object": f"{name}.dcm", "structure": structure, "mask": file, "dice": dice, "label": label, "problem": problem,
                   "point": None if point is None else [float(x) for x in point], "within": within})


def describe(n, label, kind=None):
    return SegmentDescription(n, label, codes.SCT.MorphologicallyAbnormalStructure, kind or codes.SCT.Neoplasm,
                              hd.seg.SegmentAlgorithmTypeValues.MANUAL)


def segmentation(images, pixels, kind, labels, **more):
    return Segmentation(images, pixels, kind, [describe(n + 1, l) for n, l in enumerate(labels)], generate_uid(), 300, generate_uid(), 1,
                        "Viewer Inc", "Viewer", "1.0", "7", content_creator_name="Doctor^Who", **more)


images = ct()
tumour = ellipsoid((9, 8, 11)) >= 0.5
zone = ellipsoid((14, 13, 20), (30, 25, 12)) >= 0.5

# Binary, overlapping segments, one of them empty; then with its frames in another order.
empty = np.zeros_like(tumour)
binary = segmentation(images, np.stack([tumour, zone, empty], -1).astype(np.uint8), "BINARY", ["GTR", "PTZ", "nothing"])
save("binary", binary)
want("binary", 1, tumour, label="GTR")
want("binary", 2, zone, label="PTZ")
want("binary", 3, problem="empty", label="nothing")
frames = binary.pixel_array
order = np.random.default_rng(1).permutation(len(frames))
binary.PerFrameFunctionalGroupsSequence = Sequence([binary.PerFrameFunctionalGroupsSequence[i] for i in order])
bits = np.packbits(frames[order].reshape(-1).astype(np.uint8), bitorder="little").tobytes()
binary.PixelData = bits + b"\0" * (len(bits) % 2)
save("shuffled", binary)
want("shuffled", 1, tumour)
want("shuffled", 2, zone)
save("implicit", binary, ImplicitVRLittleEndian)
want("implicit", 2, zone)

# One segment, whose identification and position groups stand once.
one = segmentation(images, tumour.astype(np.uint8)[..., None], "BINARY", ["only"])
shared = one.SharedFunctionalGroupsSequence[0]
assert "SegmentIdentificationSequence" in shared  # highdicom does so
save("shared", one)
want("shared", 1, tumour)

share = ellipsoid((9, 8, 11))
fractional = segmentation(images, share[..., None].astype(np.float32), "FRACTIONAL", ["fraction"], max_fractional_value=200)
save("fractional", fractional)
want("fractional", 1, np.round(share * 200) >= 100)
fractional.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)  # RLE
save("rle", fractional)
want("rle", 1, np.round(share * 200) >= 100)
labelmap = segmentation(images, np.where(tumour, 1, np.where(zone, 2, 0)).astype(np.uint8), "LABELMAP", ["inner", "outer"])
save("labelmap", labelmap)
want("labelmap", 1, tumour)
want("labelmap", 2, zone & ~tumour)

save("deflated", binary, "1.2.840.10008.1.2.1.99")
want("deflated", 2, zone)


def on_grid(name, origin, row, col, spacing, shape, dice, mask=None, exact=False):
    """A segmentation on a grid of its own; spacing and shape along row, column, slice."""
    normal = np.cross(row, col)
    at = lambda i, j, k: (origin[:, None, None, None] + row[:, None, None, None] * spacing[0] * i + col[:, None, None, None] * spacing[1] * j
                          + normal[:, None, None, None] * spacing[2] * k)
    pixels = ellipsoid((9, 8, 11), shape=shape[::-1], at=at) >= 0.5 if mask is None else mask
    positions = [hd.PlanePositionSequence("PATIENT", [float(x) for x in origin + normal * spacing[2] * k]) for k in range(shape[2])]
    seg = segmentation(images, pixels.astype(np.uint8)[..., None], "BINARY", ["own grid"],
                       plane_positions=positions, plane_orientation=hd.PlaneOrientationSequence("PATIENT", [float(x) for x in (*row, *col)]),
                       pixel_measures=hd.PixelMeasuresSequence([spacing[1], spacing[0]], spacing[2], spacing[2]))
    save(name, seg)
    want(name, 1, tumour, dice)


on_grid("finer", point(5, 5, 2), ROW, COL, (0.4, 0.45, 1.25), (110, 84, 40), 0.985)
on_grid("coarser", point(2, 2, 1), ROW, COL, (1.6, 1.8, 5.0), (30, 22, 11), 0.94)
tilt = np.deg2rad(25)
row2 = ROW * np.cos(tilt) + NORMAL * np.sin(tilt)
on_grid("rotated", point(32, 24, 12) - row2 * 20 - COL * 16 - np.cross(row2, COL) * 18, row2, COL, (0.5, 0.5, 0.5), (80, 64, 72), 0.98)
on_grid("reversed", point(NX - 1, NY - 1, NZ - 1), -ROW, COL * -1, (SX, SY, SZ), (NX, NY, NZ), 1.0, mask=None)
expect.pop()  # planes run along row × column, which two reversals leave as it is: put the stack where the CT's is
on_grid("reversed", point(NX - 1, NY - 1, 0), -ROW, -COL, (SX, SY, SZ), (NX, NY, NZ), 1.0, mask=tumour[:, ::-1, ::-1])
on_grid("upside-down", point(NX - 1, 0, NZ - 1), -ROW, COL, (SX, SY, SZ), (NX, NY, NZ), 1.0, mask=tumour[::-1, :, ::-1])
on_grid("outside", point(32, 24, 60), ROW, COL, (SX, SY, SZ), (10, 10, 3), 1.0, mask=np.ones((3, 10, 10)))
expect[-1].update(problem="outside the scan", mask="")

# Structure sets.


def structure_set(name, rois, frame=FRAME, patient="PID-1", implicit=True):
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid()
    d.SpecificCharacterSet = "ISO_IR 192"
    d.PatientID, d.PatientName, d.PatientBirthDate, d.PatientSex = patient, "Secret^Name", "", "O"
    d.StudyInstanceUID, d.SeriesInstanceUID, d.Modality = STUDY, generate_uid(), "RTSTRUCT"
    d.StructureSetLabel, d.StructureSetDate, d.StructureSetTime = "drawn", "20240302", "101112"
    d.Manufacturer, d.OperatorsName = "Planner", "Doctor^Who"
    series, study, ref = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = SERIES
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = images[0].SOPClassUID, images[0].SOPInstanceUID
    series.ContourImageSequence = Sequence([image])
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", STUDY
    study.RTReferencedSeriesSequence = Sequence([series])
    ref.FrameOfReferenceUID, ref.RTReferencedStudySequence = frame, Sequence([study])
    d.ReferencedFrameOfReferenceSequence = Sequence([ref])
    d.StructureSetROISequence, d.ROIContourSequence, d.RTROIObservationsSequence = Sequence(), Sequence(), Sequence()
    for n, (label, contours) in enumerate(rois, 1):
        roi, contour, observation = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ReferencedFrameOfReferenceUID, roi.ROIName, roi.ROIGenerationAlgorithm = n, frame, label, "MANUAL"
        contour.ReferencedROINumber = n
        contour.ContourSequence = Sequence()
        for kind, points in contours:
            item = Dataset()
            item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
            item.ContourData = [f"{x:.4f}" for p in points for x in p]
            contour.ContourSequence.append(item)
        observation.ObservationNumber, observation.ReferencedROINumber, observation.RTROIInterpretedType, observation.ROIInterpreter = n, n, "GTV", ""
        d.StructureSetROISequence.append(roi)
        d.ROIContourSequence.append(contour)
        d.RTROIObservationsSequence.append(observation)
    d.save_as(out / f"{name}.dcm", enforce_file_format=True)


def loop(radius, k, centre=(32, 24), n=180):
    """A circle, mm, in the slice at index k (any number)."""
    a = np.arange(n) * 2 * np.pi / n
    return [point(centre[0] + radius * np.cos(x) / SX, centre[1] + radius * np.sin(x) / SY, k) for x in a]


def box(i0, i1, j0, j1, k):
    """The outline of whole pixels i0…i1, j0…j1."""
    return [point(i, j, k) for i, j in ((i0 - .5, j0 - .5), (i1 + .5, j0 - .5), (i1 + .5, j1 + .5), (i0 - .5, j1 + .5))]


def ball(ks, radius=10.0):
    return [("CLOSED_PLANAR", loop(np.sqrt(radius**2 - ((k - 12) * SZ) ** 2), k)) for k in ks if abs(k - 12) * SZ < radius - 0.2]


sphere = ellipsoid((10, 10, 10)) >= 0.5
boxes = np.zeros_like(tumour)
boxes[8:12, 10:31, 10:41] = 1
boxes[8:12, 15:21, 15:26] = 0
boxes[8:12, 33:36, 45:50] = 1
holes = [c for k in range(8, 12) for c in (("CLOSED_PLANAR", box(10, 40, 10, 30, k)), ("CLOSED_PLANAR", box(15, 25, 15, 20, k)),
                                           ("CLOSED_PLANAR", box(45, 49, 33, 35, k)))]
outer, inner = box(10, 40, 10, 30, 8), box(15, 25, 15, 20, 8)
keyhole = [("CLOSED_PLANAR", [point(*p, k) for p in ((9.5, 9.5), (40.5, 9.5), (40.5, 30.5), (9.5, 30.5), (9.5, 17), (14.5, 17), (14.5, 20.5),
                                                     (25.5, 20.5), (25.5, 14.5), (14.5, 14.5), (14.5, 17), (9.5, 17))]) for k in range(8, 12)]
ring = boxes.copy()
ring[:, 33:36, 45:50] = 0
coronal = []
for y in np.arange(-9.6, 9.7, 0.8):
    r = np.sqrt(100 - y**2)
    coronal.append(("CLOSED_PLANAR", [point(32 + r * np.cos(a) / SX, 24 + y / SY, 12 + r * np.sin(a) / SZ) for a in np.arange(90) * 2 * np.pi / 90]))
mark = point(20.25, 15.5, 7.3)
structure_set("struct", [
    ("holes", holes), ("keyhole", keyhole), ("结节", ball(range(NZ))), ("every second slice", ball(range(0, NZ, 2))),
    ("between slices", ball(np.arange(0.4, NZ))), ("thin", ball(np.arange(0, NZ, 0.2))), ("coronal", coronal),
    ("mark", [("POINT", [mark])]), ("nothing", []), ("beyond", [("CLOSED_PLANAR", loop(5, 40))]), ("half", [("CLOSED_PLANAR", loop(9, k, (0, 24))) for k in range(9, 14)]),
])
want("struct", 1, boxes, label="holes")
want("struct", 2, ring)
want("struct", 3, sphere, 0.975, label="结节")
sparse = sphere.copy()
sparse[:10] = sparse[15:] = 0  # nothing is added beyond the first and the last contour
want("struct", 4, sparse, 0.97)
want("struct", 5, sphere, 0.95)  # the last contour stands for half a slice that the ball does not fill: 2 % of it
want("struct", 6, sphere, 0.98)
want("struct", 7, sphere, 0.975)
want("struct", 8, label="mark", point=mark, within=0.001)
want("struct", 9, problem="empty")
want("struct", 10, problem="outside the scan")
want("struct", 11, problem="outside the scan")
structure_set("explicit", [("circle", ball(range(NZ)))], implicit=False)
want("explicit", 1, sphere, 0.975)
structure_set("other-frame", [("circle", ball(range(NZ)))], frame=generate_uid())
want("other-frame", 1, problem="frame of reference")
structure_set("other-patient", [("circle", ball(range(NZ)))], patient="PID-2")
want("other-patient", 1, problem="other patient")

# Reports: a point in the patient, a length and a circle on an image.
from highdicom.sr import (  # noqa: E402
    Comprehensive3DSR, ImageRegion, ImageRegion3D, Measurement, MeasurementReport, ObservationContext, ObserverContext, PersonObserverIdentifyingAttributes,
    PlanarROIMeasurementsAndQualitativeEvaluations, TrackingIdentifier, GraphicTypeValues, GraphicTypeValues3D, SourceImageForRegion)

k = 9
source = SourceImageForRegion(images[k].SOPClassUID, images[k].SOPInstanceUID)


def group(label, region):
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(generate_uid(), label), referenced_region=region, finding_type=codes.SCT.Nodule,
        measurements=[Measurement(name=codes.SCT.Length, value=12.5, unit=codes.UCUM.Millimeter)])


observer = ObserverContext(codes.DCM.Person, PersonObserverIdentifyingAttributes("Doctor^Who"))
report = MeasurementReport(
    observation_context=ObservationContext(observer_person_context=observer), procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
    imaging_measurements=[
        group("tumor in space", ImageRegion3D(GraphicTypeValues3D.POINT, np.array([mark]), FRAME)),
        group("tumor on image", ImageRegion(GraphicTypeValues.CIRCLE, np.array([[20.5, 16.5], [25.5, 16.5]]), source)),
        group("closed", ImageRegion(GraphicTypeValues.POLYLINE, np.array([[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]), source)),
    ])
sr = Comprehensive3DSR(evidence=images, content=report[0], series_number=9, series_instance_uid=generate_uid(), sop_instance_uid=generate_uid(),
                       instance_number=1, manufacturer="Viewer Inc")
save("report", sr)
want("report", 1, label="tumor in space", point=mark, within=0.001)
want("report", 2, label="tumor on image", point=point(20, 16, k), within=0.01)
want("report", 3, label="closed", point=point(14.5, 14.5, k), within=0.01)



def item(relationship, kind, concept=None, children=(), **values):
    d = Dataset()
    d.RelationshipType, d.ValueType = relationship, kind
    if concept:
        d.ConceptNameCodeSequence = Sequence([coded(*concept)])
    for key, value in values.items():
        setattr(d, key, value)
    if children:
        d.ContentSequence = Sequence(children)
    return d


def coded(value, scheme, meaning):
    d = Dataset()
    d.CodeValue, d.CodingSchemeDesignator, d.CodeMeaning = value, scheme, meaning
    return d


# As OHIF writes it (dcmjs, adapters of Cornerstone3D): the length hangs from its number, and the finding is free text.
ohif = pydicom.dcmread(out / "report.dcm")
ohif.SOPInstanceUID = ohif.file_meta.MediaStorageSOPInstanceUID = generate_uid()
ohif.Manufacturer = "OHIF"
reference = Dataset()
reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = images[k].SOPClassUID, images[k].SOPInstanceUID
image = item("SELECTED FROM", "IMAGE", ReferencedSOPSequence=Sequence([reference]))
scoord = item("INFERRED FROM", "SCOORD", GraphicType="POLYLINE", GraphicData=[12.0, 20.0, 18.0, 24.0], children=[image])
measured = Dataset()
measured.MeasurementUnitsCodeSequence, measured.NumericValue = Sequence([coded("mm", "UCUM", "millimeter")]), "6.1"
number = item("CONTAINS", "NUM", ("410668003", "SCT", "Length"), children=[scoord], MeasuredValueSequence=Sequence([measured]))
length = item("CONTAINS", "CONTAINER", ("125007", "DCM", "Measurement Group"), ContinuityOfContent="SEPARATE", children=[
    item("HAS OBS CONTEXT", "TEXT", ("112039", "DCM", "Tracking Identifier"), TextValue="Cornerstone3DTools@^0.1.0:Length"),
    item("HAS OBS CONTEXT", "UIDREF", ("112040", "DCM", "Tracking Unique Identifier"), UID=generate_uid()),
    item("CONTAINS", "CODE", ("121071", "DCM", "Finding"), ConceptCodeSequence=Sequence([coded("CORNERSTONEFREETEXT", "CST4", "tumour")])), number])
for top in ohif.ContentSequence:
    if top.ConceptNameCodeSequence[0].CodeValue == "126010":
        top.ContentSequence = Sequence([length])
for name, sop_class in (("ohif", ohif.SOPClassUID), ("ohif-enhanced", "1.2.840.10008.5.1.4.1.1.88.22"), ("ohif-comprehensive", "1.2.840.10008.5.1.4.1.1.88.33")):
    ohif.SOPClassUID = ohif.file_meta.MediaStorageSOPClassUID = sop_class
    save(name, ohif)
    want(name, 1, label="Cornerstone3DTools@^0.1.0:Length", point=point(14.5, 21.5, k), within=0.01)

(out / "expect.json").write_text(json.dumps(expect, ensure_ascii=False))
