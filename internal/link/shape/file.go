package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

const maxFile = 64 << 10 // bytes of a profile file

// fileProfile is the JSON form of a Profile:
//
//	{
//	  "name":   "train",                  shown to people
//	  "source": "measured on a train",    where the numbers come from
//	  "oneWay": "40ms",                   delay each way, half the round trip
//	  "jitter": "10ms",                   added to it, uniform
//	  "up":     2000000,                  bits per second; 0 or absent: unlimited
//	  "down":   8000000,
//	  "loss":   0.01,                     fraction of packets, each way
//	  "queue":  65536,                    bytes before packets are dropped
//	  "cut":    false                     true: nothing passes
//	}
//
// Every field may be left out; a field that is not listed here is an error.
type fileProfile struct {
	Name   string  `json:"name"`
	Source string  `json:"source"`
	OneWay jsonDur `json:"oneWay"`
	Jitter jsonDur `json:"jitter"`
	Up     float64 `json:"up"`
	Down   float64 `json:"down"`
	Loss   float64 `json:"loss"`
	Queue  float64 `json:"queue"`
	Cut    bool    `json:"cut"`
}

type jsonDur time.Duration

func (d *jsonDur) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a delay is text with a unit, such as %q, not %.20s", "25ms", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("a delay is a number with a unit, such as %q, not %.20q", "25ms", s)
	}
	*d = jsonDur(v)
	return nil
}

// Load returns the profile that --link names: a built-in name, or a JSON file.
func Load(nameOrFile string) (Profile, error) {
	if p, ok := Named(nameOrFile); ok {
		return p, nil
	}
	f, err := os.Open(nameOrFile)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Profile{}, fmt.Errorf("%w: %q is neither a file nor one of %s", ErrProfile, nameOrFile, strings.Join(Names(), ", "))
		}
		return Profile{}, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Profile{}, fmt.Errorf("%w: read %s: %w", ErrProfile, nameOrFile, err)
	}
	p, err := Parse(data)
	if err != nil {
		return Profile{}, fmt.Errorf("%s: %w", nameOrFile, err)
	}
	if p.Name == "" {
		p.Name = nameOrFile
	}
	return p, nil
}

// Parse reads the JSON form of a profile (see fileProfile) and validates it.
// The error wraps ErrProfile.
func Parse(data []byte) (Profile, error) {
	if len(data) > maxFile {
		return Profile{}, fmt.Errorf("%w: more than %d bytes", ErrProfile, maxFile)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var f fileProfile
	if err := dec.Decode(&f); err != nil {
		return Profile{}, fmt.Errorf("%w: not a JSON object with name, source, oneWay, jitter, up, down, loss, queue, cut: %w", ErrProfile, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Profile{}, fmt.Errorf("%w: something follows the JSON object", ErrProfile)
	}
	for _, r := range []float64{f.Up, f.Down, f.Queue} {
		// Out of an integer's range; the exact bounds are Validate's.
		if r < 0 || r > MaxRate {
			return Profile{}, fmt.Errorf("%w: up, down or queue is %g: give rates in bits per second up to %g, the queue in bytes", ErrProfile, r, float64(MaxRate))
		}
	}
	p := Profile{
		Name: f.Name, Source: f.Source,
		OneWay: time.Duration(f.OneWay), Jitter: time.Duration(f.Jitter),
		Up: int64(f.Up), Down: int64(f.Down), Loss: f.Loss, Queue: int(f.Queue), Cut: f.Cut,
	}
	if err := p.Validate(); err != nil {
		return Profile{}, err
	}
	return p, nil
}
