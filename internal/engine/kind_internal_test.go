package engine

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestTheChoiceOfEngineDependsOnThePlatform(t *testing.T) {
	ok := func() error { return nil }
	refused := func() error { return errors.New("permission denied") }
	tests := []struct {
		name   string
		p      platform
		want   Kind
		reason string
	}{
		{"a desktop compiles", platform{"linux", "amd64", true, ok, refused}, Compiler, "works"},
		{"an arm server compiles", platform{"linux", "arm64", false, ok, refused}, Compiler, "works"},
		{"an old processor interprets", platform{"linux", "amd64", false, ok, ok}, Interpreter, "SSE4.1"},
		{"a 32-bit device interprets", platform{"linux", "arm", false, ok, ok}, Interpreter, "arm"},
		{"a RISC-V board interprets", platform{"linux", "riscv64", false, ok, ok}, Interpreter, "riscv64"},
		{"an iPhone interprets", platform{"ios", "arm64", false, ok, ok}, Interpreter, "iOS"},
		{"a browser interprets", platform{"js", "wasm", false, ok, ok}, Interpreter, "wasm"},
		{"a hardened kernel interprets", platform{"linux", "amd64", true, refused, ok}, Interpreter, "permission denied"},
		{"an Android phone compiles after a test", platform{"android", "arm64", false, ok, ok}, Compiler, "works"},
		{"an Android phone without pages interprets", platform{"android", "arm64", false, refused, ok}, Interpreter, "permission"},
		{"an Android phone that miscompiles interprets", platform{"android", "arm64", false, ok, refused}, Interpreter, "self-test"},
		{"an unknown system interprets", platform{"plan9", "amd64", true, ok, ok}, Interpreter, "plan9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, reason := tt.p.choose()
			if got != tt.want || !strings.Contains(reason, tt.reason) {
				t.Errorf("choose() = %v, %q", got, reason)
			}
		})
	}
}

func TestTheSelfTestsPassWhereTheEngineCompiles(t *testing.T) {
	if k, why := DefaultKind(); k != Compiler {
		t.Skipf("no compiler here: %s", why)
	}
	if err := execSelfTest(); err != nil {
		t.Error(err)
	}
	if err := compilerSelfTest(); err != nil {
		t.Error(err)
	}
}

func TestKindsAreParsedByTheirNames(t *testing.T) {
	for _, k := range []Kind{Compiler, Interpreter} {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k.String(), got, err)
		}
	}
	if _, err := ParseKind("turbo"); err == nil {
		t.Error("an unknown name was accepted")
	}
}

// The rule of the version in each cache key.
func TestTheCacheKeyNamesTheEnginesVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "github.com/tetratelabs/wazero "+wazeroVersion) {
		t.Errorf("go.mod requires another wazero than %s: change wazeroVersion", wazeroVersion)
	}
}
