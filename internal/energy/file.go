package energy

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed profiles/*.json
var profileFiles embed.FS

// ErrProfile wraps every complaint about a profile.
var ErrProfile = errors.New("power profile")

// DefaultName is the profile of a device that has none of its own.
const DefaultName = "oneplus8"

// builtin reads the profiles that are part of the binary. A test holds that
// they are valid.
var builtin = sync.OnceValue(func() map[string]*Profile {
	all := map[string]*Profile{}
	files, err := profileFiles.ReadDir("profiles")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		data, err := profileFiles.ReadFile("profiles/" + f.Name())
		if err != nil {
			panic(err)
		}
		p, err := Parse(data)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", f.Name(), err))
		}
		all[strings.TrimSuffix(f.Name(), ".json")] = p
	}
	return all
})

// Named returns a built-in profile.
func Named(name string) (*Profile, bool) {
	p, ok := builtin()[strings.ToLower(name)]
	return p, ok
}

// Names lists the built-in profiles.
func Names() []string {
	var names []string
	for name := range builtin() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Default returns the built-in profile DefaultName.
func Default() *Profile { return builtin()[DefaultName] }

// Limits of what is believed of a profile.
const (
	maxFile    = 64 << 10 // bytes
	maxText    = 4 << 10  // bytes of name, source or note
	maxClasses = 64
	maxStates  = 8
	maxWatts   = 1000
	maxState   = time.Minute
	maxPerByte = 1e-3 // joules: a kilojoule per megabyte
)

// Parse reads the JSON form of a profile and validates it. The error wraps
// ErrProfile and says what to write instead.
func Parse(data []byte) (*Profile, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrProfile, maxFile)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	p := new(Profile)
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("%w: not a JSON object with name, source, note, cpu and radios (see docs/ENERGY.md): %w", ErrProfile, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the JSON object", ErrProfile)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// Validate reports the first value that no device has. The error wraps
// ErrProfile.
func (p *Profile) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrProfile, fmt.Sprintf(format, args...))
	}
	switch {
	case p.Name == "" || len(p.Name) > maxText:
		return bad("name is empty or longer than %d bytes", maxText)
	case p.Source == "" || len(p.Source) > maxText || len(p.Note) > maxText:
		return bad("source is empty, or source or note is longer than %d bytes: say where the numbers come from", maxText)
	case !within(p.CPU.WaitWatts, 0, maxWatts):
		return bad("cpu.waitWatts is %g: give watts from 0 to %d (a phone that waits draws about 0.1)", p.CPU.WaitWatts, maxWatts)
	case len(p.CPU.Classes) == 0 || len(p.CPU.Classes) > maxClasses:
		return bad("cpu.classes has %d entries: give one for each speed of the processor, from slow to fast, at most %d", len(p.CPU.Classes), maxClasses)
	}
	before := p.CPU.WaitWatts
	for _, c := range p.CPU.Classes {
		if !within(c.Watts, 0, maxWatts) || !within(c.MHz, 0, 1e5) || len(c.Name) > maxText {
			return bad("cpu class %.40q draws %g W at %g MHz: give watts from 0 to %d", c.Name, c.Watts, c.MHz, maxWatts)
		}
		if c.Watts < before {
			return bad("cpu class %.40q draws %g W, less than the slower class or the waiting device (%g W): list classes from slow to fast, waitWatts included", c.Name, c.Watts, before)
		}
		before = c.Watts
	}
	for kind, r := range p.Radios {
		if kind == UnknownRadio || r == nil {
			return bad("radio %s has no entry", kind)
		}
		if why := r.absurd(); why != "" {
			return bad("radio %s: %s", kind, why)
		}
	}
	return nil
}

// absurd returns what no radio has, or nothing.
func (r *RadioPower) absurd() string {
	for _, w := range []float64{r.TransmitWatts, r.ReceiveWatts} {
		if !within(w, 0, maxWatts) {
			return fmt.Sprintf("transmitWatts or receiveWatts is %g: give watts from 0 to %d", w, maxWatts)
		}
	}
	for _, j := range []float64{r.TransmitJoulesPerByte, r.ReceiveJoulesPerByte} {
		if !within(j, 0, maxPerByte) {
			return fmt.Sprintf("%g joules per byte: give from 0 to %g (1 mJ/MB is 1e-9)", j, maxPerByte)
		}
	}
	if len(r.Tail) > maxStates {
		return fmt.Sprintf("tail has %d states, at most %d are understood", len(r.Tail), maxStates)
	}
	for _, s := range append([]State{r.Promotion}, r.Tail...) {
		if !within(s.Watts, 0, maxWatts) || s.For < 0 || time.Duration(s.For) > maxState {
			return fmt.Sprintf("a state of %g W for %v: give watts from 0 to %d and a time up to %v", s.Watts, time.Duration(s.For), maxWatts, maxState)
		}
	}
	for _, s := range r.Tail {
		if s.Watts > min(r.TransmitWatts, r.ReceiveWatts) {
			return fmt.Sprintf("the tail draws %g W, more than transmitting or receiving: a radio that waits cannot cost more than one that works", s.Watts)
		}
	}
	return ""
}

// within reports whether x is a number from lo to hi.
func within(x, lo, hi float64) bool { return !math.IsNaN(x) && x >= lo && x <= hi }

// MarshalText writes "238ms".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads "238ms".
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("a time is a number with a unit, such as %q, not %.20q", "238ms", b)
	}
	*d = Duration(v)
	return nil
}
