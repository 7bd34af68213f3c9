// Package sr turns findings into the DICOM objects a radiologist's viewer shows, and reads them back:
//
//   - the report: Comprehensive 3D SR, TID 1500 "Measurement Report" (PS3.16), readable sentences first;
//   - the segmentations: BINARY Segmentation objects on the CT's own grid (PS3.3 A.51, C.8.20), one in the frame of the
//     post CT (deformed tumour, target, ablation zone, uncovered target), one in the frame of the pre CT (tumour);
//   - the summary picture: a Secondary Capture (PS3.3 A.8.1) a lesion, for viewers that show neither SR nor SEG.
//
// Build makes all of them; the same series, findings and options give the same bytes and the same identifiers. The
// package knows nothing of how objects are sent, and computes nothing about the lesion: every number comes from
// analysis.Findings.
//
//	build.go         Options, Object, Build
//	identity.go      unique identifiers, series numbers, what each object references
//	dataset.go       data elements, encoding of a Part 10 file
//	header.go        patient, study, series, equipment modules
//	code.go          Code, the coded concepts of the standards; privatecodes.go: ours, 99RFANODE
//	segment.go       the segments of the lesions; segmentation.go: the Segmentation object
//	content.go       content items of an SR tree; templates.go: the TIDs; report.go: the SR object
//	sentences.go     the report in words
//	capture.go       the Secondary Capture object
//	summary.go       the picture: layout; plane.go, draw.go, text.go: its parts
//	read*.go         readers for our own objects
package sr
