"""Reads the objects named on the command line with highdicom, an independent implementation, and prints as JSON what it
understood. Used by the tests of package sr."""
import hashlib
import json
import sys

import highdicom as hd
import numpy as np
import pydicom


def code(c):
    return [c.value, c.scheme_designator, c.meaning]


def report(path):
    doc = hd.sr.srread(path)
    out = {"comments": [], "groups": [], "class": type(doc).__name__}
    for g in doc.content.get_volumetric_roi_measurement_groups():
        finding = g.finding_type
        segment = g.referenced_segment if g.reference_type == hd.sr.CodedConcept("121191", "DCM", "Referenced Segment") else None
        out["groups"].append({
            "tracking_id": g.tracking_identifier, "tracking_uid": g.tracking_uid, "finding": code(finding),
            "sites": [code(s.value) for s in g.finding_sites],
            "laterality": [code(s.laterality) for s in g.finding_sites if s.laterality is not None],
            "segmentation": segment.referenced_sop_instance_uid if segment is not None else "",
            "segment": int(segment.referenced_segment_numbers[0]) if segment is not None else 0,
            "measurements": [[m.name.value, float(m.value), m.unit.value] for m in g.get_measurements()],
            "evaluations": [[e.name.value, e.value.value] for e in g.get_qualitative_evaluations()],
        })
        for item in g[0].ContentSequence:
            if item.ConceptNameCodeSequence[0].CodeValue == "121106":
                out["comments"].append(item.TextValue)
    return out


def segmentation(path):
    seg = hd.seg.segread(path)
    volume = seg.get_volume(combine_segments=False)
    array = volume.array
    out = {"frame_of_reference": seg.FrameOfReferenceUID, "segments": [], "spacing": [float(x) for x in volume.spacing],
           "voxel_ml": float(np.prod(volume.spacing)) / 1000}
    for n in seg.segment_numbers:
        d = seg.get_segment_description(n)
        planes = []
        for k in range(array.shape[0]):
            plane = np.ascontiguousarray(array[k, :, :, n - 1].astype(np.uint8))
            if plane.any():
                position = volume.map_indices_to_reference(np.array([[k, 0, 0]]))[0]
                planes.append({"position": [float(x) for x in position], "sha256": hashlib.sha256(plane.tobytes()).hexdigest()})
        out["segments"].append({
            "label": d.segment_label, "type": code(d.segmented_property_type), "category": code(d.segmented_property_category),
            "tracking_id": d.tracking_id, "tracking_uid": d.tracking_uid, "planes": planes,
            "voxels": int(array[..., n - 1].sum()),
            "lab": [int(x) for x in d.RecommendedDisplayCIELabValue],
        })
    return out


def image(path):
    ds = pydicom.dcmread(path)
    return {"shape": list(ds.pixel_array.shape), "sha256": hashlib.sha256(ds.pixel_array.tobytes()).hexdigest()}


result = {}
for path in sys.argv[1:]:
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    entry = {"patient_name": str(ds.PatientName), "charset": ds.SpecificCharacterSet, "series": ds.SeriesDescription}
    entry.update({"SR": report, "SEG": segmentation, "OT": image}[ds.Modality](path))
    result[path] = entry
json.dump(result, sys.stdout)
