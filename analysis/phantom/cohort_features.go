package phantom

import (
	"math"
	"strings"

	"rfanode/analysis/survival"
)

// The names of PyRadiomics 3.0: 14 of shape, and 93 that every image has.
const (
	shapeNames = `Elongation Flatness LeastAxisLength MajorAxisLength Maximum2DDiameterColumn Maximum2DDiameterRow Maximum2DDiameterSlice
		Maximum3DDiameter MeshVolume MinorAxisLength Sphericity SurfaceArea SurfaceVolumeRatio VoxelVolume`
	firstOrderNames = `10Percentile 90Percentile Energy Entropy InterquartileRange Kurtosis Maximum MeanAbsoluteDeviation Mean Median Minimum
		Range RobustMeanAbsoluteDeviation RootMeanSquared Skewness TotalEnergy Uniformity Variance`
	glcmNames = `Autocorrelation JointAverage ClusterProminence ClusterShade ClusterTendency Contrast Correlation DifferenceAverage
		DifferenceEntropy DifferenceVariance JointEnergy JointEntropy Imc1 Imc2 Idm Idmn Id Idn InverseVariance MaximumProbability SumEntropy
		SumSquares MCC SumAverage`
	glrlmNames = `GrayLevelNonUniformity GrayLevelNonUniformityNormalized GrayLevelVariance HighGrayLevelRunEmphasis LongRunEmphasis
		LongRunHighGrayLevelEmphasis LongRunLowGrayLevelEmphasis LowGrayLevelRunEmphasis RunEntropy RunLengthNonUniformity
		RunLengthNonUniformityNormalized RunPercentage RunVariance ShortRunEmphasis ShortRunHighGrayLevelEmphasis ShortRunLowGrayLevelEmphasis`
	glszmNames = `GrayLevelNonUniformity GrayLevelNonUniformityNormalized GrayLevelVariance HighGrayLevelZoneEmphasis LargeAreaEmphasis
		LargeAreaHighGrayLevelEmphasis LargeAreaLowGrayLevelEmphasis LowGrayLevelZoneEmphasis SizeZoneNonUniformity
		SizeZoneNonUniformityNormalized SmallAreaEmphasis SmallAreaHighGrayLevelEmphasis SmallAreaLowGrayLevelEmphasis ZoneEntropy
		ZonePercentage ZoneVariance`
	gldmNames = `DependenceEntropy DependenceNonUniformity DependenceNonUniformityNormalized DependenceVariance GrayLevelNonUniformity
		GrayLevelVariance HighGrayLevelEmphasis LargeDependenceEmphasis LargeDependenceHighGrayLevelEmphasis
		LargeDependenceLowGrayLevelEmphasis LowGrayLevelEmphasis SmallDependenceEmphasis SmallDependenceHighGrayLevelEmphasis
		SmallDependenceLowGrayLevelEmphasis`
	ngtdmNames = `Busyness Coarseness Complexity Contrast Strength`
)

// imageNames are the 13 filtered images after the original.
var imageNames = strings.Fields(`wavelet-LLL wavelet-LLH wavelet-LHL wavelet-LHH wavelet-HLL wavelet-HLH wavelet-HHL wavelet-HHH
	log-sigma-1-0-mm-3D log-sigma-2-0-mm-3D log-sigma-3-0-mm-3D log-sigma-4-0-mm-3D log-sigma-5-0-mm-3D`)

// baseNames are the names without the image, those of shape first.
func baseNames() []string {
	var out []string
	for _, c := range []struct{ class, names string }{{"shape", shapeNames}, {"firstorder", firstOrderNames}, {"glcm", glcmNames}, {"glrlm", glrlmNames},
		{"glszm", glszmNames}, {"gldm", gldmNames}, {"ngtdm", ngtdmNames}} {
		for _, n := range strings.Fields(c.names) {
			out = append(out, c.class+"_"+n)
		}
	}
	return out
}

// Parameters of the feature model.
const (
	latentFactors = 24
	filterFactors = 6
	twinShare     = .45 // names that measure what an earlier one does
	shapeCount    = 14
)

// loading of a name on the latent factors of the patient and on the factors of an image.
type loading struct{ latent, filter []float64 }

// unitLoading spreads a unit vector over a few of n factors.
func unitLoading(rng *survival.Rand, n, few int) []float64 {
	v := make([]float64, n)
	s := 0.0
	for _, k := range rng.Perm(n)[:few] {
		v[k] = rng.Normal()
		s += v[k] * v[k]
	}
	for k := range v {
		v[k] /= math.Sqrt(s)
	}
	return v
}

// loadings of all base names; size-like names load on the first factor, the lesion's size.
func loadings(seed uint64, names []string) []loading {
	rng := survival.NewRand(seed, 5)
	out := make([]loading, len(names))
	for k, name := range names {
		if k > 0 && rng.Float64() < twinShare {
			out[k] = out[rng.Intn(k)]
			continue
		}
		l := loading{unitLoading(rng, latentFactors, 3), unitLoading(rng, filterFactors, 3)}
		if k < shapeCount || strings.Contains(name, "Energy") || strings.HasSuffix(name, "NonUniformity") {
			for f := range l.latent {
				l.latent[f] *= .44
			}
			l.latent[0] += math.Copysign(.9, l.latent[0])
		}
		out[k] = l
	}
	return out
}

// features draws the 1,316 columns and returns the score (SD 1) that the informative ones carry.
func (c *Cohort) features(o CohortOptions) []float64 {
	names := baseNames()
	load := loadings(o.Seed, names)
	latent := c.latent(o.Seed)
	var base [][]float64 // before scale and offset
	for image := range len(imageNames) + 1 {
		rng := survival.NewRand(o.Seed, 6, uint64(image))
		factors := normals(rng, filterFactors, cohortSize)
		shared, filter, noise, prefix := .95, .18, .15, "original_"
		if image > 0 {
			prefix = imageNames[image-1] + "_"
			if strings.HasPrefix(prefix, "wavelet") {
				shared, filter, noise = .55, .75, .20
			}
		}
		for k, name := range names {
			if image > 0 && k < shapeCount {
				continue
			}
			v := make([]float64, cohortSize)
			for i := range v {
				v[i] = shared*mixFactors(load[k].latent, latent, i) + filter*mixFactors(load[k].filter, factors, i) + noise*rng.Normal()
			}
			base, c.FeatureNames = append(base, v), append(c.FeatureNames, prefix+name)
		}
	}
	score := c.inform(o, base)
	c.finishFeatures(o.Seed, base)
	return score
}

// latent factors of the patients; the first is the diameter.
func (c *Cohort) latent(seed uint64) [][]float64 {
	rng := survival.NewRand(seed, 7)
	f := normals(rng, latentFactors, cohortSize)
	d := c.column("diameter")
	mean, sd := survival.MeanSD(d)
	for i, v := range d {
		f[0][i] = (v - mean) / sd
	}
	return f
}

func normals(rng *survival.Rand, rows, n int) [][]float64 {
	out := make([][]float64, rows)
	for r := range out {
		out[r] = make([]float64, n)
		for i := range out[r] {
			out[r][i] = rng.Normal()
		}
	}
	return out
}

func mixFactors(weights []float64, factors [][]float64, i int) float64 {
	s := 0.0
	for f, w := range weights {
		if w != 0 {
			s += float64(w * factors[f][i])
		}
	}
	return s
}

// inform makes 11 columns carry a common signal, 2 first-order and 9 texture, 3 of the original image and 8 of the
// wavelets, as the paper selected, and returns their weighted sum with SD 1.
func (c *Cohort) inform(o CohortOptions, base [][]float64) []float64 {
	rng := survival.NewRand(o.Seed, 8)
	score := make([]float64, cohortSize)
	common := normals(rng, 1, cohortSize)[0]
	chosen := make(map[int]bool)
	pick := func(image, class string) int {
		var fits []int
		for j, n := range c.FeatureNames {
			firstOrder := strings.Contains(n, "_firstorder_")
			if strings.HasPrefix(n, image) && !strings.Contains(n, "_shape_") && firstOrder == (class == "firstorder") && !chosen[j] {
				fits = append(fits, j)
			}
		}
		return fits[rng.Intn(len(fits))]
	}
	for k := range 11 {
		image, class := "wavelet", "texture"
		if k < 3 {
			image = "original"
		}
		if k == 2 || k == 10 {
			class = "firstorder"
		}
		j := pick(image, class)
		chosen[j] = true
		w := .30 + .15*rng.Float64()
		if rng.Float64() < .5 {
			w = -w
		}
		for i := range base[j] {
			base[j][i] = .35*base[j][i] + math.Copysign(.62, w)*common[i] + .70*rng.Normal()
			score[i] += w * base[j][i]
		}
		c.Truth.Informative, c.Truth.Weights = append(c.Truth.Informative, c.FeatureNames[j]), append(c.Truth.Weights, w)
	}
	mean, sd := survival.MeanSD(score)
	for i := range score {
		score[i] = (score[i] - mean) / sd
	}
	if o.Weak {
		clear(score)
		c.Truth.Informative, c.Truth.Weights = nil, nil
	}
	return score
}

// finishFeatures shifts the external centre a little and gives every feature a scale, an offset and seven digits.
func (c *Cohort) finishFeatures(seed uint64, base [][]float64) {
	rng := survival.NewRand(seed, 9)
	for _, v := range base {
		shift, scale, offset := .08*rng.Normal(), math.Pow(10, -2+5*rng.Float64()), 2*rng.Normal()
		for i := range v {
			if c.Set[i] == "external" {
				v[i] += shift
			}
			v[i] = sevenDigits(scale * (v[i] + offset))
		}
	}
	c.Features = base
}

func sevenDigits(v float64) float64 {
	if v == 0 {
		return 0
	}
	p := 6 - int(math.Floor(math.Log10(math.Abs(v))))
	if p >= 0 {
		s := math.Pow(10, float64(p))
		return math.Round(v*s) / s
	}
	s := math.Pow(10, float64(-p))
	return math.Round(v/s) * s
}
