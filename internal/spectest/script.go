package spectest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Script is one test file.
type Script struct {
	Name     string
	Dir      string
	Commands []Command
}

// Command is one line of a script.
type Command struct {
	Type       string  `json:"type"`
	Line       int     `json:"line"`
	Name       string  `json:"name"`        // module: the script's own name for it
	Filename   string  `json:"filename"`    // module and the assertions on modules
	ModuleType string  `json:"module_type"` // "binary" or "text"
	As         string  `json:"as"`          // register
	Text       string  `json:"text"`        // the failure that is expected
	Action     Action  `json:"action"`
	Expected   []Value `json:"expected"`
}

// Action is a call or the reading of a global.
type Action struct {
	Type   string  `json:"type"` // "invoke" or "get"
	Module string  `json:"module"`
	Field  string  `json:"field"`
	Args   []Value `json:"args"`
}

// Value is an argument or an expected result.
type Value struct {
	Type  string          `json:"type"`
	Lane  string          `json:"lane_type"`
	Value json.RawMessage `json:"value"`
}

// Load reads a script.
func Load(file string) (*Script, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load script: %w", err)
	}
	s := &Script{Name: strings.TrimSuffix(filepath.Base(file), ".json"), Dir: filepath.Dir(file)}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("load script %s: %w", s.Name, err)
	}
	return s, nil
}

// LoadAll reads the scripts of a folder, by name.
func LoadAll(dir string) ([]*Script, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("load scripts: %w", err)
	}
	slices.Sort(files)
	var out []*Script
	for _, f := range files {
		s, err := Load(f)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Module reads a module that a command names.
func (s *Script) Module(file string) ([]byte, error) {
	return os.ReadFile(filepath.Join(s.Dir, file))
}

// WazeroDir gives the folder of the wazero module in the module cache.
func WazeroDir() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		return "", fmt.Errorf("find the wazero module: %w", err)
	}
	dir := strings.TrimSpace(string(out))
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("find the wazero module: %w", err)
	}
	return dir, nil
}

// Suite gives the folder of a version's scripts ("v1", "v2", "tail-call").
func Suite(wazeroDir, version string) string {
	return filepath.Join(wazeroDir, "internal", "integration_test", "spectest", version, "testdata")
}
