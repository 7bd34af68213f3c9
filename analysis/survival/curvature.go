package survival

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// curvature keeps the Hessian of covariates that have been active, at the weights of one moment. On large problems the
// exact Hessian of k covariates (n k^2 operations) costs far more than a step of coordinate descent on it (k^2), and the
// weights change little from one lambda to the next: a Hessian that is slightly old still gives good directions, while
// gradients and optimality are always those of the moment.
type curvature struct {
	at   breslow   // weights of the moment
	slot []int     // of a covariate, -1 if it has none
	who  []int     // covariates by slot
	h    []float64 // p x p, by slot
	p    int
}

const (
	exactWork   = 4_000_000 // n k^2 up to which the Hessian is computed at every step
	maxSlots    = 6000      // covariates for which p x p numbers are kept (288 MB)
	weightDrift = 0.25      // mean relative change of the weights after which the Hessian is computed anew
	gramStripe  = 256       // subjects at a time, so that the columns of a batch stay in the first-level cache
	gramBatch   = 16        // new columns at a time
)

// large says whether the kept Hessian is to be used.
func (s *lassoState) large() bool {
	k := float64(len(s.work))
	return s.n > 1000 && s.n*k*k > exactWork && len(s.z) <= maxSlots
}

// keptDirection finds delta from the kept Hessian.
func (s *lassoState) keptDirection(lambda float64) {
	if s.kept == nil {
		s.kept = &curvature{p: len(s.z), h: make([]float64, len(s.z)*len(s.z)), slot: make([]int, len(s.z))}
		s.kept.take(s.b)
	} else if s.kept.moved(s.b) {
		s.kept.take(s.b)
	}
	c := s.kept
	c.admit(s.z, s.work, s.n)
	k := len(c.who)
	q := quadraticL1{h: c.h, k: k, stride: c.p, lambda: lambda * s.alpha, ridge: lambda * (1 - s.alpha), r: make([]float64, k), beta: make([]float64, k), delta: make([]float64, k), tol: s.tol / 10, rough: 0.02}
	for _, j := range s.work {
		a := c.slot[j]
		q.beta[a] = s.beta[j]
		q.r[a] = s.score[j]
		q.coordinates = append(q.coordinates, a)
	}
	slices.Sort(q.coordinates)
	q.solve()
	for _, j := range s.work {
		s.delta[j] = q.delta[c.slot[j]]
	}
}

// take forgets the Hessian and keeps the weights of now.
func (c *curvature) take(b *breslow) {
	c.at = *b
	c.at.w, c.at.haz, c.at.sums = slices.Clone(b.w), slices.Clone(b.haz), slices.Clone(b.sums)
	c.who = c.who[:0]
	for j := range c.slot {
		c.slot[j] = -1
	}
}

// moved: the diagonal of the Hessian by the linear predictor has changed too much on average.
func (c *curvature) moved(b *breslow) bool {
	sum, diff := 0.0, 0.0
	for i, w := range b.w {
		v, old := w*b.haz[i], c.at.w[i]*c.at.haz[i]
		sum += old
		diff += math.Abs(v - old)
	}
	return diff > weightDrift*sum
}

// admit computes the rows of covariates that have none yet, in batches: every column is read once for a batch.
func (c *curvature) admit(z [][]float64, work []int, n float64) {
	var fresh []int
	for _, j := range work {
		if c.slot[j] < 0 {
			fresh = append(fresh, j)
			c.slot[j] = len(c.who)
			c.who = append(c.who, j)
		}
	}
	for from := 0; from < len(fresh); from += gramBatch {
		batch := fresh[from:min(from+gramBatch, len(fresh))]
		ax := make([][]float64, gramBatch) // Hessian by the linear predictor times the new columns; the rest stays 0
		for k := range ax {
			ax[k] = make([]float64, len(z[batch[0]]))
			if k < len(batch) {
				c.at.apply(z[batch[k]], ax[k], n)
			}
		}
		g := make([]float64, len(c.who)*gramBatch)
		for lo := 0; lo < len(ax[0]); lo += gramStripe {
			hi := min(lo+gramStripe, len(ax[0]))
			for a, j := range c.who {
				col := z[j][lo:hi]
				for k := 0; k < len(batch); k += 4 {
					products(col, ax[k][lo:hi], ax[k+1][lo:hi], ax[k+2][lo:hi], ax[k+3][lo:hi], g[a*gramBatch+k:a*gramBatch+k+4])
				}
			}
		}
		for k, j := range batch {
			b := c.slot[j]
			for a := range c.who {
				c.h[a*c.p+b], c.h[b*c.p+a] = g[a*gramBatch+k], g[a*gramBatch+k]
			}
		}
	}
}

// dotAll sets scores of the covariates from the gradient, four at a time.
func dotAll(z [][]float64, set []int, grad, score []float64) {
	var g [4]float64
	k := 0
	for ; k+4 <= len(set) && len(grad) > 1000; k += 4 {
		g = [4]float64{}
		products(grad, z[set[k]], z[set[k+1]], z[set[k+2]], z[set[k+3]], g[:])
		for i, v := range g {
			score[set[k+i]] = v
		}
	}
	for _, j := range set[k:] {
		score[j] = floats.Dot(z[j], grad)
	}
}
