package callgraph

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

func TestDump(t *testing.T) {
	b, err := os.ReadFile(os.Getenv("DUMP"))
	if err != nil {
		t.Skip()
	}
	m, err := wasmbin.Parse(b, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := Analyze(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Funcs {
		f := g.Func(uint32(i))
		if strings.Contains(f.Name, os.Getenv("NAME")) {
			fmt.Printf("%d %s size=%d ins=%d loops=%d depth=%d sites=%d work=%.2g freq=%.2g rec=%v addr=%v\n", i, f.Name, f.Size, f.Instructions, f.Loops, f.LoopDepth, f.CallSites, f.Work, g.freq[i], f.Recursive, f.AddressTaken)
		}
	}
}
