package radiomics

// classNames are the feature classes in PyRadiomics' order when a file names none.
var classNames = []string{"firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape"}

// featureNames are the features of each class that PyRadiomics computes when none is named, in its order of output.
var featureNames = map[string][]string{
	"shape": {"Elongation", "Flatness", "LeastAxisLength", "MajorAxisLength", "Maximum2DDiameterColumn", "Maximum2DDiameterRow",
		"Maximum2DDiameterSlice", "Maximum3DDiameter", "MeshVolume", "MinorAxisLength", "Sphericity", "SurfaceArea", "SurfaceVolumeRatio",
		"VoxelVolume"},
	"firstorder": {"10Percentile", "90Percentile", "Energy", "Entropy", "InterquartileRange", "Kurtosis", "Maximum", "MeanAbsoluteDeviation",
		"Mean", "Median", "Minimum", "Range", "RobustMeanAbsoluteDeviation", "RootMeanSquared", "Skewness", "TotalEnergy", "Uniformity",
		"Variance"},
	"glcm": {"Autocorrelation", "ClusterProminence", "ClusterShade", "ClusterTendency", "Contrast", "Correlation", "DifferenceAverage",
		"DifferenceEntropy", "DifferenceVariance", "Id", "Idm", "Idmn", "Idn", "Imc1", "Imc2", "InverseVariance", "JointAverage",
		"JointEnergy", "JointEntropy", "MCC", "MaximumProbability", "SumAverage", "SumEntropy", "SumSquares"},
	"gldm": {"DependenceEntropy", "DependenceNonUniformity", "DependenceNonUniformityNormalized", "DependenceVariance",
		"GrayLevelNonUniformity", "GrayLevelVariance", "HighGrayLevelEmphasis", "LargeDependenceEmphasis",
		"LargeDependenceHighGrayLevelEmphasis", "LargeDependenceLowGrayLevelEmphasis", "LowGrayLevelEmphasis", "SmallDependenceEmphasis",
		"SmallDependenceHighGrayLevelEmphasis", "SmallDependenceLowGrayLevelEmphasis"},
	"glrlm": {"GrayLevelNonUniformity", "GrayLevelNonUniformityNormalized", "GrayLevelVariance", "HighGrayLevelRunEmphasis", "LongRunEmphasis",
		"LongRunHighGrayLevelEmphasis", "LongRunLowGrayLevelEmphasis", "LowGrayLevelRunEmphasis", "RunEntropy", "RunLengthNonUniformity",
		"RunLengthNonUniformityNormalized", "RunPercentage", "RunVariance", "ShortRunEmphasis", "ShortRunHighGrayLevelEmphasis",
		"ShortRunLowGrayLevelEmphasis"},
	"glszm": {"GrayLevelNonUniformity", "GrayLevelNonUniformityNormalized", "GrayLevelVariance", "HighGrayLevelZoneEmphasis", "LargeAreaEmphasis",
		"LargeAreaHighGrayLevelEmphasis", "LargeAreaLowGrayLevelEmphasis", "LowGrayLevelZoneEmphasis", "SizeZoneNonUniformity",
		"SizeZoneNonUniformityNormalized", "SmallAreaEmphasis", "SmallAreaHighGrayLevelEmphasis", "SmallAreaLowGrayLevelEmphasis",
		"ZoneEntropy", "ZonePercentage", "ZoneVariance"},
	"ngtdm": {"Busyness", "Coarseness", "Complexity", "Contrast", "Strength"},
}

// deprecated features are computed only when a file names them.
var deprecated = map[string][]string{
	"shape":      {"Compactness1", "Compactness2", "SphericalDisproportion"},
	"firstorder": {"StandardDeviation"},
}

// withdrawn features have a name in PyRadiomics but no value.
var withdrawn = map[string][]string{
	"glcm": {"Dissimilarity", "Homogeneity1", "Homogeneity2", "SumVariance"},
	"gldm": {"GrayLevelNonUniformityNormalized", "DependencePercentage"},
}

// features are those of a class to be computed, in the order of output.
func (c Class) features() []string {
	if len(c.Features) > 0 {
		return c.Features
	}
	return featureNames[c.Name]
}
