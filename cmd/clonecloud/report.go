package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/clonecloud/clonecloud/internal/device"
)

// reportFile is where --report, --trace or --pprof goes. It is made before the run, so that a
// place that cannot be written is known before an hour of work, and takes its
// name after it, so that nobody reads half of it.
type reportFile struct {
	path string
	tmp  *os.File // nil: path is a device or a pipe, written as it is
}

func openReport(path string) (reportFile, error) { return openResult("--report", path) }

// openResult opens what a flag names; no path gives a file that takes nothing.
func openResult(flag, path string) (reportFile, error) {
	if path == "" {
		return reportFile{}, nil
	}
	fail := func(err error) (reportFile, error) {
		return reportFile{}, withHint(fmt.Errorf("%s: %w", flag, err), "choose a file in a folder that exists and may be written")
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return fail(fmt.Errorf("%s is a folder", path))
		}
		return reportFile{path: path}, nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return fail(err)
	}
	return reportFile{path, tmp}, nil
}

// write stores the report, whole or not at all.
func (f reportFile) write(r *device.Report) error {
	data, err := r.Encode()
	if err != nil {
		return err
	}
	return f.put("report", data)
}

// put stores data, whole or not at all.
func (f reportFile) put(what string, data []byte) (err error) {
	if f.path == "" {
		return nil
	}
	if f.tmp == nil {
		err = os.WriteFile(f.path, data, 0o644)
	} else if _, err = f.tmp.Write(data); err == nil {
		if err = f.tmp.Chmod(0o644); err == nil {
			err = os.Rename(f.tmp.Name(), f.path)
		}
	}
	if err != nil {
		return withHint(fmt.Errorf("write %s: %w", what, err), "is there room on the disk?")
	}
	return nil
}

func (f reportFile) discard() {
	if f.tmp != nil {
		_ = f.tmp.Close()
		_ = os.Remove(f.tmp.Name()) // gone already where it took its name
	}
}
