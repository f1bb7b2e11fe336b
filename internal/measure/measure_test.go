package measure

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestAnIntervalOnOneSideOfTheGoalDecides(t *testing.T) {
	for _, c := range []struct {
		name   string
		ratios []float64
		want   string
	}{
		{"equal ratios have no width", slices.Repeat([]float64{1.02}, 4), "holds"},
		{"a wide sample decides nothing", []float64{0.9, 1.1, 0.95, 1.1}, "undecided"},
		{"a narrow one above the goal fails", []float64{1.05, 1.051, 1.052}, "fails"},
		{"one ratio decides nothing", []float64{1}, "undecided"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := GeometricMean(c.ratios)
			if got := i.Verdict(1.03); got != c.want {
				t.Errorf("%v against 1.03: %s, not %s", i, got, c.want)
			}
			if i.Low > i.Mid || i.Mid > i.High {
				t.Errorf("%v is no interval", i)
			}
		})
	}
}

func TestIntervalsAreStudents(t *testing.T) {
	// Mean 3, standard deviation sqrt(2.5), 4 degrees of freedom.
	got, half := Mean([]float64{1, 2, 3, 4, 5}), 2.776*math.Sqrt(2.5/5)
	if got.Mid != 3 || math.Abs(got.High-3-half) > 1e-9 || math.Abs(3-got.Low-half) > 1e-9 {
		t.Errorf("1 to 5 give %v, not 3 +- %.3f", got, half)
	}
	for df, want := range map[int]float64{1: 12.706, 20: 2.086, 21: 2.080, 30: 2.042, 120: 1.980} {
		if got := student(df); math.Abs(got-want) > 0.001 {
			t.Errorf("%d degrees of freedom: %.3f, not %.3f", df, got, want)
		}
	}
}

func TestThreadTimeRisesWithWork(t *testing.T) {
	began, at := ThreadTime(), time.Now()
	for ThreadTime() == began {
		if time.Since(at) > 10*time.Second {
			t.Fatal("no processor time in 10 s of work")
		}
	}
}
