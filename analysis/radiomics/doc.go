// Package radiomics computes the features of PyRadiomics 3.0.1 (van Griethuysen et al., Cancer Res. 77, 2017) from an
// image and a region of interest: the same names, the same settings, the same values to rounding. In a case the region
// is the ablation zone and the profile "default": z-score × 100, 1 mm, bin width 25, original image, LoG 1–5 mm and
// wavelet, 1316 values.
//
// The order of work is PyRadiomics': z-score over the whole image; image and mask onto one grid, cropped to the box of
// the region and a margin; shape on the mask; each filter on the crop; grey levels by bins inside the region; features.
// Numbers follow the arithmetic of its parts (ITK's B-spline and recursive Gaussian, PyWavelets' stationary transform),
// in the same order where a last bit can move a voxel into another bin. What differs from PyRadiomics is only what fails
// there: a value that does not exist is kept under its name, as NaN with a reason.
//
// Units: spacing and lengths in mm, values of the image as they are (HU for CT). Arrays z,y,x with x fastest.
package radiomics
