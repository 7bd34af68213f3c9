// Package segment finds, in a pair of chest CT volumes and without trained weights, the lungs, the tumour that was
// ablated (GTR, on the pre CT) and the ablation zone (PTZ, on the post CT). One CT alone cannot say which of its dense
// objects is the treated tumour; the change between the two, brought together by a linear registration, can. So the
// steps are: lungs ([FindLungs]) → change between the registered pair → zones → the nodule under each zone → the
// refinement of both → the reasons to hold ([Lesions]).
//
// It works through volumes and a transform only: it knows nothing of DICOM, of coverage or of the report. A stage that
// is unsure says so in Lesion.HoldReasons; a wrong result is worse than none.
//
// Units: Hounsfield units, mm, mL; points LPS; arrays z,y,x with x fastest.
package segment
