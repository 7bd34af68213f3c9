// Package register finds where a point of one chest CT lies in another: fixed is the CT after the ablation, moving the
// one before it, and every transform maps a point of fixed to its point of moving, LPS mm.
//
// It follows deeds (Heinrich et al., IEEE TMI 32(7):1239, 2013, and MICCAI 2013 for the descriptor): blocks of the
// image, described by MIND-SSC self-similarity in 60 bits a voxel, are compared with all displacements of a dense set by
// counting bits. Linear fits one affine to the lungs. Deformable starts from it and finds a Field, for images, lungs and
// landmarks. Local fits an affine to the lung that surrounds an ablation zone and leaves the zone itself out: near a zone
// every method that compares intensities inflates the old tumour until it fills the zone, so that only the surroundings
// can say where the tumour was.
//
// Both volumes may have any orientation, spacing and scan range. Results do not depend on the number of threads. The
// package knows nothing of DICOM, and of lungs and zones only the masks it is given.
package register
