package main

import (
	"bytes"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/profile/export"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// traceFile is where --trace goes.
type traceFile struct {
	reportFile
	app    string
	reload func() ([]byte, error) // the module: it is not kept during the run
}

// openTrace opens --trace and has the run note what it shows.
func (c *runCmd) openTrace(o *device.Options) (traceFile, error) {
	f, err := openResult("--trace", c.Trace)
	if err != nil {
		return traceFile{}, exitCode{exitUsage, err}
	}
	o.Trace = c.Trace != ""
	if o.Trace && o.Where == device.WhereDevice {
		o.Profile = runner.ProfileFull // otherwise no call is looked at
	}
	return traceFile{f, o.App, o.Reload}, nil
}

// trace writes a run's timeline, if one was asked for.
func (f traceFile) trace(res *device.Result) error {
	if f.path == "" {
		return nil
	}
	module, err := f.reload()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := export.Trace(&b, timeline(f.app, functionNames(module), res)); err != nil {
		return err
	}
	return f.put("trace", b.Bytes())
}

// functionNames gives the functions of a module their names.
func functionNames(module []byte) func(uint32) string {
	m, err := wasmbin.Parse(module, wasmbin.Limits{})
	if err != nil {
		m = &wasmbin.Module{} // the run has said so
	}
	return m.Name
}

func timeline(app string, name func(uint32) string, res *device.Result) *export.Timeline {
	t := &export.Timeline{App: app}
	for _, s := range res.Trace.Spans {
		t.Spans = append(t.Spans, export.Span{Function: name(s.Func), Began: float64(s.Began) / 1e9, Seconds: float64(s.Nanos) / 1e9})
	}
	for i := range res.Trace.Calls {
		c := &res.Trace.Calls[i]
		if c.Where != device.WhereClone && !c.Fallback {
			continue // a span
		}
		m := export.Moved{
			Function: c.Function, Context: c.Context, Reason: c.Reason, Began: c.Began, Seconds: c.Seconds,
			Failed: c.Fallback, Up: c.BytesUp, Down: c.BytesDown,
		}
		if p := c.Phases; p != nil {
			m.Capture, m.Upload, m.Enter, m.Compute, m.Download, m.Apply = p.Capture, p.Upload, p.Enter, p.Compute, p.Download, p.Apply
		}
		t.Moved = append(t.Moved, m)
	}
	return t
}
