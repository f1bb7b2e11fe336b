// Package measure serves benchmarks whose figures are held against goals: the
// processor time of one thread, and means with their confidence intervals, so
// that a figure whose interval contains its goal is called undecided. It is
// test support and imports nothing of ours.
package measure

import (
	"fmt"
	"math"
)

// Interval is an estimate with its 95 % confidence interval.
type Interval struct{ Mid, Low, High float64 }

// String writes the estimate and, in brackets, the interval.
func (i Interval) String() string { return fmt.Sprintf("%.3f [%.3f, %.3f]", i.Mid, i.Low, i.High) }

// Verdict holds an interval against a goal that is not to be passed: "holds" or
// "fails" where all of it is on one side, else "undecided".
func (i Interval) Verdict(goal float64) string {
	switch {
	case i.High <= goal:
		return "holds"
	case i.Low > goal:
		return "fails"
	}
	return "undecided"
}

// Mean gives the mean of independent values, with Student's interval: infinitely
// wide for a single one.
func Mean(values []float64) Interval {
	n := float64(len(values))
	sum, squares := 0.0, 0.0
	for _, v := range values {
		sum += v
	}
	mean := sum / n
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	half := math.Inf(1)
	if n > 1 {
		half = student(len(values)-1) * math.Sqrt(squares/(n-1)/n)
	}
	return Interval{mean, mean - half, mean + half}
}

// GeometricMean gives that of independent ratios, with the interval of their
// logarithms' mean.
func GeometricMean(ratios []float64) Interval {
	logs := make([]float64, len(ratios))
	for i, r := range ratios {
		logs[i] = math.Log(r)
	}
	m := Mean(logs)
	return Interval{math.Exp(m.Mid), math.Exp(m.Low), math.Exp(m.High)}
}

// student is the 97.5 % quantile of Student's t with so many degrees of freedom,
// from the usual table; past it, from the first terms of its expansion in 1/df.
func student(df int) float64 {
	table := []float64{
		12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
		2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
	}
	if df <= len(table) {
		return table[df-1]
	}
	const z = 1.959964
	f := float64(df)
	return z + (z*z*z+z)/(4*f) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*f*f)
}
