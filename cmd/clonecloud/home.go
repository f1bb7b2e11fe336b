package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// defaultHome is the platform's folder for an application's state.
func defaultHome() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "clonecloud"), nil
	}
	d, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for state: %w", err)
	}
	return filepath.Join(d, "clonecloud"), nil
}
