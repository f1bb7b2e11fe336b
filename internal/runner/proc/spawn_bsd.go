//go:build unix && !linux

package proc

import "os"

const selfExe = ""

func ownBinary() (string, error) { return os.Executable() }

func prepareThread() {}

func startConfined(path string, c Config, attr *os.ProcAttr) (*os.Process, error) {
	return os.StartProcess(path, argv(c, ""), attr)
}
