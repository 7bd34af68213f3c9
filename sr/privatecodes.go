package sr

import "github.com/suyashkumar/dicom/pkg/tag"

// The private coding scheme, declared in every object that uses it (PS3.3 C.12.1.1.7). DICOM has no codes for ablation
// zones, coverage or margins: the nearest ones mean radiotherapy volumes or diffusion measures. A meaning never changes
// for a value.
const (
	privateScheme             = "99RFANODE"
	privateSchemeName         = "rfanode ablation assessment codes"
	privateSchemeOrganization = "rfanode"
)

func private(value, meaning string) Code { return Code{value, privateScheme, meaning} }

var (
	// findings
	codeAssessment = private("ABLASSESS", "Ablation margin and prognosis assessment")
	codePTV        = private("PTV5", "Ablation target: tumor plus 5 mm margin")
	codeUncovered  = private("UNCOV", "Target not covered by ablation zone")

	// target coverage; method codes say the grid or the formula
	codeTCR             = private("TCR", "3D target coverage ratio")
	codeTCRMethod       = private("TCRM", "vol(PTV and PTZ) / vol(PTV)")
	codeTCRLow          = private("TCRLO", "3D target coverage ratio, lower limit of uncertainty")
	codeTCRHigh         = private("TCRHI", "3D target coverage ratio, upper limit of uncertainty")
	codeTCRLung         = private("TCRLUNG", "Target coverage ratio, target clipped to lung")
	codeTCRLungMethod   = private("TCRLUNGM", "vol(PTV and lung and PTZ) / vol(PTV and lung)")
	codeTCR10           = private("TCR10", "Target coverage ratio, 10 mm margin")
	codeTCR10Method     = private("TCR10M", "Target coverage ratio, 10 mm margin, 1 mm grid")
	codeUncoveredVolume = private("UNCOVVOL", "Uncovered target volume")

	// margins
	codeMAM       = private("MAM", "Minimal ablative margin")
	codeMAMMethod = private("MAMM", "Minimum signed distance, GTR surface to PTZ surface")
	codeMAMP5     = private("MAMP5", "5th percentile of ablative margin")
	codeMAMLung   = private("MAMLUNG", "Minimal ablative margin, surface over 5 mm from pleura")
	codeShares    = [4]Code{
		private("MHLT0", "Tumor surface share, margin < 0 mm"),
		private("MH0TO5", "Tumor surface share, margin 0 to < 5 mm"),
		private("MH5TO10", "Tumor surface share, margin 5 to < 10 mm"),
		private("MHGE10", "Tumor surface share, margin >= 10 mm"),
	}

	// registration
	codeRegDice  = private("REGDICE", "Lung Dice after registration")
	codeRegFold  = private("REGFOLD", "Share of folded voxels (Jacobian <= 0)")
	codeRegError = private("REGERR", "Estimated registration error near the lesion")

	// prognosis
	codeRelativeHazard     = private("RELHAZ", "Relative hazard of local tumor progression")
	codeRelativeHazardLow  = private("RELHAZLO", "Relative hazard of local tumor progression, lower 95 % limit")
	codeRelativeHazardHigh = private("RELHAZHI", "Relative hazard of local tumor progression, upper 95 % limit")
	codeModelStatus        = private("MODELST", "Model status")

	// evaluations and their values
	codeCoverageClass   = private("COVCLASS", "Ablation coverage class")
	codeComplete        = private("COVFULL", "Complete coverage")
	codeInsufficient    = private("COVINS", "Insufficient coverage")
	codeReview          = private("REVIEW", "Human review")
	codeReviewRequired  = private("REVREQ", "Review required (reason in Comment)")
	codeNoReview        = private("REVNO", "No review flag")
	codeIntendedUse     = private("USE", "Intended use")
	codeResearchUseOnly = private("RUO", RUO)
	codeOtherAlgorithm  = private("ALGOTHER", "Other algorithm family")
)

// modelStatus are the values of "Model status" by the word that analysis.Prognosis.Status uses.
var modelStatus = map[string]Code{
	"UNVALIDATED": private("UNVALIDATED", "Not validated at this site"),
	"SITEVAL":     private("SITEVAL", "Validated at this site"),
}

// codingSchemes is the Coding Scheme Identification Sequence that declares the private scheme.
func codingSchemes() *dataset {
	d := &dataset{}
	d.put(tag.CodingSchemeDesignator, privateScheme)
	d.put(tag.CodingSchemeName, privateSchemeName)
	d.put(tag.CodingSchemeResponsibleOrganization, privateSchemeOrganization)
	return d
}
