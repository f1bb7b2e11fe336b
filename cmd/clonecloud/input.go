package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// input gives several runs of a program the same standard input: what the first
// one could read is noted, and read again by the others. A terminal is given to
// the first alone.
type input struct {
	from  *os.File
	start int64    // of a regular file, which is simply read again
	spool *os.File // what was read so far; nil: a regular file or a terminal
	file  bool
	open  []*os.File
}

func newInput(from *os.File) (*input, error) {
	in := &input{from: from}
	info, err := from.Stat()
	if err != nil || term.IsTerminal(int(from.Fd())) || info.Mode()&os.ModeCharDevice != 0 {
		return in, nil // closed, a terminal, or the null device
	}
	if info.Mode().IsRegular() {
		in.file = true
		in.start, err = from.Seek(0, io.SeekCurrent)
	} else {
		in.spool, err = os.CreateTemp("", "clonecloud-input-*")
	}
	if err != nil {
		return nil, fmt.Errorf("note the program's input: %w", err)
	}
	return in, nil
}

// first is the input of the first run.
func (in *input) first() (*os.File, error) {
	if in.spool == nil {
		return in.from, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pass the program's input on: %w", err)
	}
	in.open = append(in.open, r)
	go func() {
		defer w.Close()
		// A program that reads no further ends this; what it was sent is noted.
		_, _ = io.Copy(w, io.TeeReader(in.from, in.spool))
	}()
	return r, nil
}

// again is the input of a later run; nil is none.
func (in *input) again() (*os.File, error) {
	switch {
	case in.file:
		if _, err := in.from.Seek(in.start, io.SeekStart); err != nil {
			return nil, fmt.Errorf("read the program's input again: %w", err)
		}
		return in.from, nil
	case in.spool == nil:
		return nil, nil
	}
	f, err := os.Open(in.spool.Name())
	if err != nil {
		return nil, fmt.Errorf("read the program's input again: %w", err)
	}
	in.open = append(in.open, f)
	return f, nil
}

func (in *input) close() {
	for _, f := range in.open {
		_ = f.Close()
	}
	if in.spool != nil {
		_ = in.spool.Close()
		_ = os.Remove(in.spool.Name())
	}
}
