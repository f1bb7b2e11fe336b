package runner

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/rewrite"
)

// word is a mask that lives here.
type word uint64

func (w *word) Type() engine.ValType { return engine.I64 }
func (w *word) Mutable() bool        { return true }
func (w *word) Get() uint64          { return uint64(*w) }
func (w *word) Set(v uint64) error   { *w = word(v); return nil }

// masks stands for an instance of which only the masks are asked for.
type masks struct {
	engine.Instance
	words []*word
}

func (m *masks) Global(name string) (engine.Global, bool) {
	i := int(name[0] - '0')
	return m.words[i], i < len(m.words)
}

// TestACandidateIsArmedAsLongAsNobodyDisarmsIt holds the masks against the
// obvious rule, with more candidates than there are bits.
func TestACandidateIsArmedAsLongAsNobodyDisarmsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "candidates")
		words := min((n+63)/64, rewrite.MaxMasks)
		out, in := &rewrite.Output{}, &masks{}
		for i := range words {
			out.Masks = append(out.Masks, string(rune('0'+i)))
			in.words = append(in.words, new(word))
		}
		for k := range n {
			out.Candidates = append(out.Candidates, rewrite.Candidate{K: k, Mask: k / 64 % words, Bit: uint(k % 64)})
		}
		a, err := newArming(&guest{out: out, inst: in})
		if err != nil {
			t.Fatal(err)
		}
		off := map[[2]int]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, who, on := rapid.IntRange(0, n-1).Draw(t, "k"), rapid.IntRange(0, 1).Draw(t, "who"), rapid.Bool().Draw(t, "on")
				a.set(k, silencer(1<<who), on)
				off[[2]int{k, who}] = !on
			},
			"": func(t *rapid.T) {
				want := make([]uint64, words)
				for k, c := range out.Candidates {
					if !off[[2]int{k, 0}] && !off[[2]int{k, 1}] {
						want[c.Mask] |= 1 << c.Bit
					}
				}
				used := make([]uint64, words) // bits of no candidate may be anything
				for _, c := range out.Candidates {
					used[c.Mask] |= 1 << c.Bit
				}
				for i, w := range in.words {
					if uint64(*w)&used[i] != want[i] {
						t.Fatalf("mask %d is %x, want %x", i, *w, want[i])
					}
				}
			},
		})
	})
}
