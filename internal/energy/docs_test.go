package energy

import (
	"os"
	"strings"
	"testing"
)

func TestTheManualsProfileIsValidAndItListsAllThatAreBuiltIn(t *testing.T) {
	data, err := os.ReadFile("../../docs/ENERGY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```json\n")
	example, _, _ := strings.Cut(rest, "```")
	if p, err := Parse([]byte(example)); err != nil || len(p.CPU.Classes) != 2 {
		t.Errorf("%+v %v", p, err)
	}
	for _, name := range Names() {
		if !strings.Contains(string(data), "| `"+name+"` |") {
			t.Errorf("%s is not listed", name)
		}
	}
}
