package callgraph

import "math/bits"

// Inside gives for every candidate the other candidates that direct calls from
// it lead to, by rising index. While a candidate's call is on a clone they run
// there with it: there is no nested migration.
func (g *Graph) Inside(s Selection) map[uint32][]uint32 {
	n := len(g.m.Funcs)
	bit := make(map[uint32]int, len(s))
	for k, c := range s {
		bit[c.Index] = k
	}
	words := (len(s) + 63) / 64
	rows := make([][]uint64, n) // nil: no candidate
	succ := g.directEdges()
	components(succ, func(members []uint32) {
		var row []uint64
		for _, v := range members {
			if k, ok := bit[v]; ok {
				row = with(row, words)
				row[k/64] |= 1 << (k % 64)
			}
			for _, w := range succ[v] {
				if rows[w] == nil {
					continue
				}
				row = with(row, words)
				for i, set := range rows[w] {
					row[i] |= set
				}
			}
		}
		for _, v := range members {
			rows[v] = row
		}
	})
	out := make(map[uint32][]uint32, len(s))
	for _, c := range s {
		for i, set := range rows[c.Index] {
			for ; set != 0; set &= set - 1 {
				if other := s[i*64+bits.TrailingZeros64(set)].Index; other != c.Index {
					out[c.Index] = append(out[c.Index], other)
				}
			}
		}
	}
	return out
}

func with(row []uint64, words int) []uint64 {
	if row == nil {
		return make([]uint64, words)
	}
	return row
}

// directEdges gives the functions that each function calls by name.
func (g *Graph) directEdges() [][]uint32 {
	succ := make([][]uint32, len(g.m.Funcs))
	for i := g.m.ImportedFuncs; int(i) < len(succ); i++ {
		for _, c := range g.code.Of(g.m, i).Calls {
			if !c.Indirect {
				succ[i] = append(succ[i], c.Target)
			}
		}
	}
	return succ
}
