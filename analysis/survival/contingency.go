package survival

import (
	"math"
	"slices"
)

// ChiSquareResult is Pearson's test of a table of counts.
type ChiSquareResult struct {
	Test
	SmallExpected float64 // share of cells with an expected count below 5
}

// ChiSquare is Pearson's test of independence without Yates' correction; rows or columns without counts are left out.
func ChiSquare(counts [][]int) ChiSquareResult {
	t := withoutEmpty(counts)
	rows, cols, n := margins(t)
	x, small := 0.0, 0
	for i, r := range t {
		for j, o := range r {
			e := float64(rows[i]) * float64(cols[j]) / float64(n)
			if e < 5 {
				small++
			}
			x += (float64(o) - e) * (float64(o) - e) / e
		}
	}
	df := (len(rows) - 1) * (len(cols) - 1)
	return ChiSquareResult{chi2Test(x, df), float64(small) / float64(len(rows)*len(cols))}
}

func withoutEmpty(counts [][]int) [][]int {
	var keep []int
	for j := range counts[0] {
		for i := range counts {
			if counts[i][j] > 0 {
				keep = append(keep, j)
				break
			}
		}
	}
	var out [][]int
	for _, r := range counts {
		var row []int
		s := 0
		for _, j := range keep {
			row = append(row, r[j])
			s += r[j]
		}
		if s > 0 {
			out = append(out, row)
		}
	}
	return out
}

func margins(t [][]int) (rows, cols []int, n int) {
	rows, cols = make([]int, len(t)), make([]int, len(t[0]))
	for i, r := range t {
		for j, c := range r {
			rows[i] += c
			cols[j] += c
			n += c
		}
	}
	return rows, cols, n
}

// fisherTables bounds the enumeration; beyond it FisherExact samples tables.
const (
	fisherTables = 3_000_000
	fisherDraws  = 100_000
)

// FisherExact is the probability, under fixed margins, of a table no more likely than the observed one (R's
// fisher.test, relative tolerance 1e-7). Tables too many to enumerate are sampled, seeded; exact tells which.
func FisherExact(counts [][]int) (p float64, exact bool) {
	t := withoutEmpty(counts)
	rows, cols, n := margins(t)
	if len(rows) < 2 || len(cols) < 2 {
		return 1, true
	}
	logFact := make([]float64, n+1)
	for k := 1; k <= n; k++ {
		logFact[k] = logFact[k-1] + math.Log(float64(k))
	}
	constant := -logFact[n]
	for _, m := range append(slices.Clone(rows), cols...) {
		constant += logFact[m]
	}
	observed := constant
	for _, r := range t {
		for _, c := range r {
			observed -= logFact[c]
		}
	}
	e := enumeration{rows: slices.Clone(rows), cols: cols, logFact: logFact, limit: observed + 1e-7}
	e.column(0, constant)
	if e.seen <= fisherTables {
		return min(1, e.sum), true
	}
	return sampleFisher(rows, cols, logFact, constant, observed+1e-7), false
}

// enumeration sums the probabilities of all tables that are no more likely than the observed one.
type enumeration struct {
	rows, cols []int // rows: what is left to place
	logFact    []float64
	limit, sum float64
	seen       int
}

func (e *enumeration) column(j int, logP float64) {
	if e.seen > fisherTables {
		return
	}
	if j == len(e.cols)-1 {
		e.seen++
		for _, r := range e.rows {
			logP -= e.logFact[r]
		}
		if logP <= e.limit {
			e.sum += math.Exp(logP)
		}
		return
	}
	e.cell(j, 0, e.cols[j], logP)
}

// cell places what is left of column j in the rows from i on.
func (e *enumeration) cell(j, i, left int, logP float64) {
	if i == len(e.rows)-1 {
		if left <= e.rows[i] {
			e.rows[i] -= left
			e.column(j+1, logP-e.logFact[left])
			e.rows[i] += left
		}
		return
	}
	for v := 0; v <= min(left, e.rows[i]) && e.seen <= fisherTables; v++ {
		e.rows[i] -= v
		e.cell(j, i+1, left-v, logP-e.logFact[v])
		e.rows[i] += v
	}
}

func sampleFisher(rows, cols []int, logFact []float64, constant, limit float64) float64 {
	var labels []int
	for j, c := range cols {
		for range c {
			labels = append(labels, j)
		}
	}
	rng := NewRand(1, uint64(len(labels)))
	hits := 0
	cell := make([]int, len(cols))
	for range fisherDraws {
		rng.Shuffle(labels)
		logP, at := constant, 0
		for _, r := range rows {
			clear(cell)
			for range r {
				cell[labels[at]]++
				at++
			}
			for _, c := range cell {
				logP -= logFact[c]
			}
		}
		if logP <= limit {
			hits++
		}
	}
	return float64(hits+1) / float64(fisherDraws+1)
}
