package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// newLogger writes warnings, or with -v everything, a line each in the form of
// all that this command says.
func newLogger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(&lineHandler{w: w, mu: &sync.Mutex{}, level: level})
}

// lineHandler writes "clonecloud: message key=value ...". Groups are not used
// here and are not shown.
type lineHandler struct {
	w     io.Writer
	mu    *sync.Mutex
	level slog.Level
	attrs []slog.Attr
}

var _ slog.Handler = (*lineHandler)(nil)

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &next
}

func (h *lineHandler) WithGroup(string) slog.Handler { return h }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("clonecloud: " + r.Message)
	add := func(a slog.Attr) bool {
		text := a.Value.String()
		if text == "" || strings.ContainsAny(text, " \t\n\"") {
			text = fmt.Sprintf("%q", text)
		}
		b.WriteString(" " + a.Key + "=" + text)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, b.String())
	return err
}
