package main

import (
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link/shape"
)

const (
	// autoPhotos is the least with which something can be learnt and used: the
	// first photo is timed here, and a first attempt costs one more.
	autoPhotos = 3
	// autoSize is what the detector's pictures are scaled to, in pixels.
	autoSize = "160"
)

// autoWays are runs that decide for themselves, one after the other: what one has
// learnt of the program the next one knows. In the last one the clone is gone.
func autoWays() ([]*demoWay, error) {
	var ways []*demoWay
	for _, link := range []string{"wifi", "3g", "none"} {
		p, err := shape.Load(link)
		if err != nil {
			return nil, err
		}
		name := "auto, " + link
		if p.Cut {
			name = "auto, clone gone"
		}
		ways = append(ways, &demoWay{
			name: name, slug: "auto-" + link, engine: "interpreter", where: device.WhereAuto,
			photos: autoPhotos, auto: true, link: &p,
		})
	}
	return ways, nil
}

// sameOutputs reports whether all runs printed the same lines; the last one ran
// on the device alone.
func sameOutputs(ways []*demoWay) bool {
	for _, w := range ways {
		if len(w.output) == 0 || !slices.Equal(w.output, ways[0].output) {
			return false
		}
	}
	return true
}

// decisions prints what moved, and why or why not.
func (d *demo) decisions(ways []*demoWay, same bool) {
	w := tabwriter.NewWriter(d.a.stdio.out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "\n\tphotos\tseconds\tsent\treceived\tmoved to the clone\twhy")
	for _, way := range ways {
		t := way.res.Report.Totals
		moves, why := "-", "nothing was worth a decision"
		if c := telling(&way.res.Report); c != nil {
			why = shorten(c.Function) + ": " + c.Reason
		}
		if t.CallsClone > 0 {
			moves = moved(way.res)
		}
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%s\t%s\t%s\t%s\n", way.name, way.photos, way.seconds, sizeOrNone(t.BytesUp), sizeOrNone(t.BytesDown), moves, why)
	}
	_ = w.Flush()
	if same {
		d.say("\nOutputs of these: equal, every line.")
	} else {
		d.say("\nOutputs of these: DIFFERENT.")
	}
}

// telling is the call that explains a run best: the longest that moved; without
// one the longest of which both sites' costs were weighed; or else the longest.
func telling(r *device.Report) (best *device.CallReport) {
	rank := func(c *device.CallReport) int {
		switch {
		case c.Where == device.WhereClone:
			return 2
		case c.Term != "":
			return 1
		}
		return 0
	}
	for i := range r.Calls {
		c := &r.Calls[i]
		if best == nil || rank(c) > rank(best) || rank(c) == rank(best) && c.Seconds > best.Seconds {
			best = c
		}
	}
	return best
}
