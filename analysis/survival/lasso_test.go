package survival

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

type radiomicsCohort struct {
	y     Outcome
	x     [][]float64 // all 1316, train rows
	names []string
	folds []int
	kept  []int
}

func loadRadiomics(t testing.TB) (radiomicsCohort, string) {
	dir := shared(t)
	tb := readTable(t, filepath.Join(dir, "clinical.csv"))
	rad := readTable(t, filepath.Join(dir, "radiomics.csv.gz"))
	train := tb.where("set", "train")
	c := radiomicsCohort{y: tb.outcome(t, "time", "event").Pick(train), names: rad.header[1:]}
	for _, n := range c.names {
		c.x = append(c.x, PickValues(rad.floats(t, n), train))
	}
	c.folds = readTable(t, filepath.Join(dir, "foldid_train.csv")).ints(t, "foldid")
	c.kept = PearsonFilter(c.x, .9)
	return c, dir
}

// TestPearsonFilterCohort: the 468 features that the reference keeps, in order.
func TestPearsonFilterCohort(t *testing.T) {
	c, _ := loadRadiomics(t)
	sum := 0
	var names []string
	for _, j := range c.kept {
		sum += j
		names = append(names, c.names[j])
	}
	hash := sha256.Sum256([]byte(strings.Join(names, "\n")))
	if len(c.kept) != 468 || sum != 203302 || hex.EncodeToString(hash[:]) != "8cb93e0122eeb572184290c4dfe9c28a68a38210a04152020fd0725fb7b94e95" {
		t.Errorf("%d kept, index sum %d, hash %x", len(c.kept), sum, hash)
	}
}

// TestPearsonFilterRule: constants and what is not finite go; of twins the first stays; r of exactly the threshold goes.
func TestPearsonFilterRule(t *testing.T) {
	x := [][]float64{{1, 1, 1, 1}, {1, 2, 3, 4}, {2, 4, 6, 8}, {-1, -2, -3, -4}, {1, -1, 1, -1}, {1, math.NaN(), 2, 3}}
	if got := PearsonFilter(x, .9); len(got) != 2 || got[0] != 1 || got[1] != 4 {
		t.Errorf("kept %v, want 1 and 4", got)
	}
}

// checkKKT holds every fit of a path against the optimality conditions, computed here from scratch.
func checkKKT(t *testing.T, y Outcome, x [][]float64, p *Path, alpha float64, stride int) {
	t.Helper()
	b := newBreslow(y)
	n := y.Len()
	grad := make([]float64, n)
	for k := 0; k < len(p.Lambda); k += stride {
		beta := make([]float64, len(x))
		for i, j := range p.Coef[k].Index {
			beta[j] = p.Coef[k].Value[i] * p.SD[j]
		}
		eta := p.Coef[k].Score(x, p.Mean, n)
		b.gradient(PickValues(eta, b.idx), grad, float64(n))
		l1, l2 := p.Lambda[k]*alpha, p.Lambda[k]*(1-alpha)
		for j := range x {
			if p.SD[j] == 0 {
				continue
			}
			g := 0.0
			for r, i := range b.idx {
				g += grad[r] * (x[j][i] - p.Mean[j]) / p.SD[j]
			}
			g += l2 * beta[j]
			switch {
			case beta[j] != 0 && math.Abs(g+math.Copysign(l1, beta[j])) > 1e-6:
				t.Fatalf("lambda %d: active covariate %d has gradient %g, want %g", k, j, g, -math.Copysign(l1, beta[j]))
			case beta[j] == 0 && math.Abs(g) > l1*(1+1e-6):
				t.Fatalf("lambda %d: covariate %d is out with gradient %g over lambda %g", k, j, g, l1)
			}
		}
	}
}

// comparePath holds standardised coefficients against a converged glmnet.
func comparePath(t *testing.T, name string, p *Path, ref node, upto int) {
	t.Helper()
	lambdas, ratios := ref.get("lambda").nums(), ref.get("dev.ratio").nums()
	for k, fit := range ref.get("path").list() {
		if k >= upto || k >= len(p.Lambda) {
			break
		}
		near(t, name+" lambda", p.Lambda[k], lambdas[k], 2e-9) // glmnet spaces them by a rounded ratio
		near(t, name+" dev.ratio", p.DevRatio[k], ratios[k], 1e-5)
		want := make(map[int]float64)
		for i, j := range fit.get("idx0").nums() {
			want[int(j)] = fit.get("coef").nums()[i]
		}
		got := make(map[int]float64)
		for i, j := range p.Coef[k].Index {
			got[j] = p.Coef[k].Value[i]
			if _, ok := want[j]; !ok {
				want[j] = 0
			}
		}
		for j, w := range want {
			if math.Abs(got[j]-w)*p.SD[j] > 1e-4 {
				t.Errorf("%s: lambda %d covariate %d: %.8g, glmnet %.8g (standardised difference %.2g)", name, k, j, got[j], w, (got[j]-w)*p.SD[j])
			}
		}
	}
}

// TestLassoCohort: the paths on 468 filtered and on all 1316 features of 109 patients against glmnet run to convergence
// (thresh 1e-12; it is itself off at the end of the path), KKT everywhere, and the three measures of cross-validation.
func TestLassoCohort(t *testing.T) {
	c, dir := loadRadiomics(t)
	ref := readNode(t, filepath.Join(dir, "ref_glmnet_R.json"))
	var filtered [][]float64
	for _, j := range c.kept {
		filtered = append(filtered, c.x[j])
	}
	ctx := context.Background()
	cv, err := LassoCV(ctx, c.y, filtered, c.folds, GroupedDeviance, LassoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tight := ref.get("filtered_tight")
	near(t, "null deviance", cv.NullDeviance, tight.get("nulldev").num(), 2e-9)
	if len(cv.Lambda) != 100 {
		t.Errorf("%d lambdas, glmnet has 100", len(cv.Lambda))
	}
	comparePath(t, "filtered", cv.Path, tight, 40)
	checkKKT(t, c.y, filtered, cv.Path, 1, 7)
	nears(t, "cvm", cv.Mean[:40], tight.get("cvm").nums()[:40], 1e-5)
	nears(t, "cvsd", cv.SE[:40], tight.get("cvsd").nums()[:40], 1e-4)
	near(t, "lambda.min", cv.Lambda[cv.Min], .149751549912289, 2e-9)
	near(t, "lambda.1se", cv.Lambda[cv.OneSE], .330221745816512, 1e-12)
	if cv.Coef[cv.OneSE].Len() != 0 {
		t.Error("lambda.1se is the empty model in the reference")
	}
	want := PickValues(tight.get("min", "radscore").nums(), readTable(t, filepath.Join(dir, "clinical.csv")).where("set", "train"))
	for i, s := range cv.Coef[cv.Min].Score(filtered, nil, c.y.Len()) { // glmnet's score is not centred
		if math.Abs(s-want[i]) > 2e-5 {
			t.Errorf("radscore of %d: %g, glmnet %g", i, s, want[i])
			break
		}
	}
	all, err := Lasso(ctx, c.y, c.x, LassoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	comparePath(t, "all 1316", all, ref.get("all1316_tight"), 40)
	checkKKT(t, c.y, c.x, all, 1, 13)

	short := LassoOptions{Lambdas: cv.Lambda[:40]}
	un, err := LassoCV(ctx, c.y, filtered, c.folds, DevianceCV, short)
	if err != nil {
		t.Fatal(err)
	}
	nears(t, "ungrouped cvm", un.Mean, ref.get("filtered_ungrouped_tight", "cvm").nums()[:40], 1e-5)
	near(t, "ungrouped lambda.min", un.Lambda[un.Min], ref.get("filtered_ungrouped_tight", "lambda.min").num(), 2e-9)
	cc, err := LassoCV(ctx, c.y, filtered, c.folds, ConcordanceCV, short)
	if err != nil {
		t.Fatal(err)
	}
	nears(t, "C cvm", cc.Mean[:30], ref.get("filtered_C_tight", "cvm").nums()[:30], 1e-9)
	near(t, "C lambda.min", cc.Lambda[cc.Min], ref.get("filtered_C_tight", "lambda.min").num(), 2e-9)
	near(t, "C lambda.1se", cc.Lambda[cc.OneSE], ref.get("filtered_C_tight", "lambda.1se").num(), 2e-9)
	enet, err := Lasso(ctx, c.y, filtered, LassoOptions{Alpha: .5})
	if err != nil {
		t.Fatal(err)
	}
	comparePath(t, "elastic net", enet, ref.get("filtered_enet_alpha0.5_tight"), 40)
	checkKKT(t, c.y, filtered, enet, .5, 13)
}

// BenchmarkLassoPath: 109 patients, 1,316 features, 100 lambdas.
func BenchmarkLassoPath(b *testing.B) {
	c, _ := loadRadiomics(b)
	processor(b, func() {
		if _, err := Lasso(context.Background(), c.y, c.x, LassoOptions{NoStop: true}); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkLassoCV: the same with 10 folds.
func BenchmarkLassoCV(b *testing.B) {
	c, _ := loadRadiomics(b)
	processor(b, func() {
		if _, err := LassoCV(context.Background(), c.y, c.x, c.folds, GroupedDeviance, LassoOptions{NoStop: true}); err != nil {
			b.Fatal(err)
		}
	})
}

// TestLassoKeptHessian: with many subjects the Hessian is kept from step to step; the fits are optimal all the same, and
// those of the exact Hessian.
func TestLassoKeptHessian(t *testing.T) {
	y, x := benchmarkData(1500, 150)
	p, err := Lasso(context.Background(), y, x, LassoOptions{Count: 30})
	if err != nil {
		t.Fatal(err)
	}
	if last := p.Coef[len(p.Coef)-1].Len(); 1500*last*last < 2*exactWork {
		t.Fatalf("%d covariates at the end: the kept Hessian was not used", last)
	}
	checkKKT(t, y, x, p, 1, 3)
	e, err := Lasso(context.Background(), y, x, LassoOptions{Count: 30, Alpha: .5})
	if err != nil {
		t.Fatal(err)
	}
	checkKKT(t, y, x, e, .5, 5)
}
