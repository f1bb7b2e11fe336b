package callgraph

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// Lookup finds a function by INDEX, or by NAME in the name section or among the
// exports. The error of an unknown name lists names that are near it.
func (g *Graph) Lookup(ref string) (uint32, error) {
	if n, err := strconv.ParseUint(ref, 10, 32); err == nil {
		if n >= uint64(len(g.m.Funcs)) {
			return 0, fmt.Errorf("function %s does not exist: the module has functions 0 to %d", ref, len(g.m.Funcs)-1)
		}
		return uint32(n), nil
	}
	found := map[uint32]bool{}
	for i, name := range g.m.Names() {
		if name == ref {
			found[i] = true
		}
	}
	for _, e := range g.m.Exports {
		if e.Kind == wasmbin.KindFunc && e.Name == ref {
			return e.Index, nil // unique by the format's own rule
		}
	}
	switch len(found) {
	case 0:
		return 0, g.unknown(ref)
	case 1:
		for i := range found {
			return i, nil
		}
	}
	var list []string
	for i := range found {
		list = append(list, strconv.FormatUint(uint64(i), 10))
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return 0, fmt.Errorf("the name %q is that of functions %s: give an index", ref, strings.Join(list, ", "))
}

func (g *Graph) unknown(ref string) error {
	names := map[string]bool{}
	for _, n := range g.m.Names() {
		names[n] = true
	}
	for _, e := range g.m.Exports {
		if e.Kind == wasmbin.KindFunc {
			names[e.Name] = true
		}
	}
	near := nearest(ref, names, 5)
	switch {
	case len(names) == 0:
		return fmt.Errorf("no function is named %q: the module has no names, give an index", ref)
	case len(near) == 0:
		return fmt.Errorf("no function is named %q: clonecloud inspect lists the functions", ref)
	}
	return fmt.Errorf("no function is named %q; near it: %s", ref, strings.Join(near, ", "))
}

// nearest gives at most n names that contain ref, or are contained in it, or
// differ from it by few edits.
func nearest(ref string, names map[string]bool, n int) []string {
	type scored struct {
		name string
		d    int
	}
	var list []scored
	low := strings.ToLower(ref)
	for name := range names {
		l := strings.ToLower(name)
		diff := utf8.RuneCountInString(l) - utf8.RuneCountInString(low)
		bound := max(2, len(ref)/3)
		switch {
		case l == "":
		case strings.Contains(l, low) || (len(l) >= 3 && strings.Contains(low, l)):
			list = append(list, scored{name, max(diff, -diff)})
		case max(diff, -diff) <= bound:
			if d := edits(low, l); d <= bound {
				list = append(list, scored{name, d})
			}
		}
	}
	slices.SortFunc(list, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.d, b.d), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, s := range list[:min(n, len(list))] {
		out = append(out, s.name)
	}
	return out
}

// edits is the Levenshtein distance in bytes; long names are cut, it is a hint.
func edits(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
