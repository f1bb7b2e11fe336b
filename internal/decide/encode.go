package decide

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Encode writes the state: a magic, a version, the length, the content, and a
// checksum (CRC-32C) of all before it. All numbers are little endian.
func (s *State) Encode() []byte {
	e := encoder{append([]byte(stateMagic), stateVersion, 0, 0, 0, 0)}
	e.float(s.Speed, s.SpeedDev, s.Packed)
	e.uint(uint64(s.SpeedCount), uint64(s.PackedCount), uint64(len(s.Fit)))
	for _, f := range s.Fit {
		e.uint(uint64(f.Radio), uint64(f.Count))
		e.float(f.Log)
	}
	e.uint(uint64(len(s.Functions)))
	for i := range s.Functions {
		f := &s.Functions[i]
		e.uint(uint64(f.Function), uint64(f.Parent), uint64(f.Fails), uint64(f.Why), uint64(len(f.Inner)))
		for _, in := range f.Inner {
			e.uint(uint64(in.Radio), uint64(in.Count))
			e.float(in.Seconds, in.Joules)
		}
		for _, list := range [][]Sample{f.Here, f.There} {
			e.uint(uint64(len(list)))
			for j := range list {
				e.sample(&list[j])
			}
		}
	}
	binary.LittleEndian.PutUint32(e.b[len(stateMagic)+1:], uint32(len(e.b)))
	return binary.LittleEndian.AppendUint32(e.b, crc32.Checksum(e.b, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type encoder struct{ b []byte }

func (e *encoder) uint(v ...uint64) {
	for _, x := range v {
		e.b = binary.AppendUvarint(e.b, x)
	}
}

func (e *encoder) float(v ...float64) {
	for _, x := range v {
		e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(x))
	}
}

func (e *encoder) sample(s *Sample) {
	guess := uint64(0)
	if s.Guess {
		guess = 1
	}
	e.uint(uint64(max(s.Stamp, 0)), uint64(s.Exact), guess)
	for _, x := range s.X {
		e.b = binary.LittleEndian.AppendUint32(e.b, math.Float32bits(x))
	}
	e.float(s.Seconds, s.Compute, s.Up, s.Down, s.Trips, s.Capture, s.Apply)
}

// DecodeState reads what Encode wrote. The error wraps ErrState.
func DecodeState(b []byte) (*State, error) {
	head := len(stateMagic) + 5
	switch {
	case len(b) < head+4 || len(b) > maxStateBytes:
		return nil, fmt.Errorf("%w: %d bytes", ErrState, len(b))
	case string(b[:len(stateMagic)]) != stateMagic:
		return nil, fmt.Errorf("%w: they are something else", ErrState)
	case b[len(stateMagic)] != stateVersion:
		return nil, fmt.Errorf("%w: version %d, want %d", ErrState, b[len(stateMagic)], stateVersion)
	case int(binary.LittleEndian.Uint32(b[len(stateMagic)+1:])) != len(b)-4:
		return nil, fmt.Errorf("%w: cut short", ErrState)
	case crc32.Checksum(b[:len(b)-4], castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]):
		return nil, fmt.Errorf("%w: the checksum is wrong", ErrState)
	}
	d := decoder{b: b[head : len(b)-4]}
	s := d.state()
	if d.bad || len(d.b) != 0 {
		return nil, fmt.Errorf("%w: the content makes no sense", ErrState)
	}
	return s, nil
}

// decoder reads numbers; bad is set by the first that is not there or not sane.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) float() float64 {
	if len(d.b) < 8 {
		d.bad, d.b = true, nil
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	if math.IsNaN(v) || math.Abs(v) > 1e18 {
		d.bad = true
		return 0
	}
	return v
}

func (d *decoder) float32() float32 {
	if len(d.b) < 4 {
		d.bad, d.b = true, nil
		return 0
	}
	v := math.Float32frombits(binary.LittleEndian.Uint32(d.b))
	d.b = d.b[4:]
	if !(v >= missing && v <= 1000) {
		d.bad = true
		return 0
	}
	return v
}

const maxCount = 1 << 40

func (d *decoder) state() *State {
	s := &State{Speed: d.float(), SpeedDev: d.float(), Packed: d.float()}
	s.SpeedCount, s.PackedCount = int(d.uint(maxCount)), int(d.uint(maxCount))
	for range d.uint(radios) {
		f := FitState{Radio: uint8(d.uint(radios)), Count: int(d.uint(maxCount))}
		f.Log = d.float()
		s.Fit = append(s.Fit, f)
	}
	for range d.uint(maxStateFuncs) {
		if d.bad {
			break
		}
		s.Functions = append(s.Functions, d.function())
	}
	return s
}

func (d *decoder) function() FunctionState {
	f := FunctionState{
		Function: uint32(d.uint(math.MaxUint32)), Parent: uint32(d.uint(math.MaxUint32)),
		Fails: int(d.uint(mostFails)), Why: Failure(d.uint(uint64(FailedOther))),
	}
	for range d.uint(radios) {
		in := InnerState{Radio: uint8(d.uint(radios)), Count: int(d.uint(maxCount))}
		in.Seconds, in.Joules = d.float(), d.float()
		f.Inner = append(f.Inner, in)
	}
	for _, list := range []*[]Sample{&f.Here, &f.There} {
		for range d.uint(ringSize) {
			*list = append(*list, d.sample())
		}
	}
	return f
}

func (d *decoder) sample() Sample {
	s := Sample{Stamp: int64(d.uint(math.MaxInt64)), Exact: uint32(d.uint(math.MaxUint32)), Guess: d.uint(1) == 1}
	for i := range s.X {
		s.X[i] = d.float32()
	}
	for _, v := range []*float64{&s.Seconds, &s.Compute, &s.Up, &s.Down, &s.Trips, &s.Capture, &s.Apply} {
		if *v = d.float(); *v < 0 {
			d.bad = true
		}
	}
	return s
}
