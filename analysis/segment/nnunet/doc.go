// Package nnunet runs trained nnU-Net v2 models on a CT through ONNX Runtime, without Python: a model folder (plans.json,
// dataset.json, one ONNX file a fold, the sidecar rfanode-model.json that tools/export_nnunet.py writes) and a volume in,
// a label for every voxel out. It follows Isensee et al., "nnU-Net: a self-configuring method for deep learning-based
// biomedical image segmentation", Nature Methods 2021, as its predictor of release 2.8.1 computes it, down to the half
// precision of its accumulators, because a rounding done elsewhere moves the border of a lesion. What it does not
// support it refuses by name ([UnsupportedError]); nothing is approximated.
//
// [Open] reads and verifies a folder, [Model.Segment] runs it: orientation → crop to what is not zero → normalisation →
// resampling → overlapping tiles through the network → weighted mean → resampling back, slice by slice → labels.
//
// The network itself runs in ONNX Runtime, a shared library that is found at run time (see [Library]) and needed only
// when a model is opened. A build without cgo has everything but the network and says so.
//
// Arrays of nnU-Net are z,y,x with x fastest; so are those of package volume, whose axes are named i, j, k from the
// fastest on. Spacing in mm, intensities in Hounsfield units.
package nnunet
