package rewrite_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// interval is an estimate with its 95 % confidence interval.
type interval struct{ mid, low, high float64 }

func (i interval) String() string { return fmt.Sprintf("%.3f [%.3f, %.3f]", i.mid, i.low, i.high) }

// verdict holds an interval against a goal that it should not pass.
func (i interval) verdict(goal float64) string {
	switch {
	case i.high <= goal:
		return "holds"
	case i.low > goal:
		return "fails"
	}
	return "undecided"
}

// geometric gives the geometric mean of independent ratios, with Student's
// interval of their logarithms.
func geometric(ratios []float64) interval {
	n := float64(len(ratios))
	sum, squares := 0.0, 0.0
	for _, r := range ratios {
		sum += math.Log(r)
	}
	mean := sum / n
	for _, r := range ratios {
		squares += (math.Log(r) - mean) * (math.Log(r) - mean)
	}
	half := math.Inf(1)
	if n > 1 {
		half = student(len(ratios)-1) * math.Sqrt(squares/(n-1)/n)
	}
	return interval{math.Exp(mean), math.Exp(mean - half), math.Exp(mean + half)}
}

// student is the 97.5 % quantile of Student's t with so many degrees of freedom,
// from the usual table; past it, from the first terms of its expansion.
func student(df int) float64 {
	table := []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086}
	if df <= len(table) {
		return table[df-1]
	}
	const z = 1.959964
	f := float64(df)
	return z + (z*z*z+z)/(4*f) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*f*f)
}

func TestIntervalsHoldTheMeanAndNarrowWithTheirSample(t *testing.T) {
	for _, c := range []struct {
		name   string
		ratios []float64
		goal   float64
		want   string
	}{
		{"equal ratios have no width", slices.Repeat([]float64{1.02}, 4), 1.03, "holds"},
		{"a wide sample decides nothing", []float64{0.9, 1.1, 0.95, 1.1}, 1.03, "undecided"},
		{"a narrow one above the goal fails", []float64{1.05, 1.051, 1.052}, 1.03, "fails"},
		{"one ratio decides nothing", []float64{1}, 1.03, "undecided"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := geometric(c.ratios)
			if got := i.verdict(c.goal); got != c.want {
				t.Errorf("%v against %v: %s, not %s", i, c.goal, got, c.want)
			}
			if i.low > i.mid || i.mid > i.high {
				t.Errorf("%v is no interval", i)
			}
		})
	}
	if got := student(21); math.Abs(got-2.080) > 0.001 { // the table's next entry
		t.Errorf("t of 21 degrees of freedom is 2.080, not %.3f", got)
	}
	// 1.96 +- one standard error of 100 ratios.
	var many []float64
	for i := range 100 {
		many = append(many, math.Exp(0.01*float64(i%2*2-1)))
	}
	if i := geometric(many); math.Abs(i.high-math.Exp(1.984*0.01*math.Sqrt(100.0/99)/10)) > 1e-5 {
		t.Errorf("100 ratios of 0.99 and 1.01 give %v", i)
	}
}
