package export

import (
	"compress/gzip"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clonecloud/clonecloud/internal/profile"
)

// Field numbers of pprof's profile.proto, as published with google/pprof.
const (
	profSampleType    = 1
	profSample        = 2
	profLocation      = 4
	profFunction      = 5
	profString        = 6
	profDefaultSample = 14

	typeName, typeUnit                    = 1, 2
	sampleLocation, sampleValue           = 1, 2
	locationID, locationLine, lineFunc    = 1, 4, 1
	functionID, functionName, functionSys = 1, 2, 3
)

// sampleTypes are the values of each sample, with their units.
var sampleTypes = [...]struct {
	name, unit string
	of         func(*profile.Stats) uint64
}{
	{"device", "nanoseconds", func(s *profile.Stats) uint64 { return s.Device.Self }},
	{"clone", "nanoseconds", func(s *profile.Stats) uint64 { return s.Clone.Self }},
	{"up", "bytes", func(s *profile.Stats) uint64 { return s.Up }},
	{"down", "bytes", func(s *profile.Stats) uint64 { return s.Down }},
	{"dirtied", "bytes", func(s *profile.Stats) uint64 { return s.Dirtied }},
}

// Pprof writes a profile in pprof's format, compressed. name gives functions
// their names. The values of a sample are its context's own: pprof adds up those
// of callees by itself.
func Pprof(w io.Writer, t *profile.Tree, name func(uint32) string) error {
	p := pprof{strings: map[string]int64{"": 0}, functions: map[uint32]uint64{}, name: name}
	p.b = appendBytes(p.b, profString, nil)
	for _, st := range sampleTypes {
		m := appendInt(nil, typeName, p.text(st.name))
		p.b = appendBytes(p.b, profSampleType, appendInt(m, typeUnit, p.text(st.unit)))
	}
	p.b = appendInt(p.b, profDefaultSample, p.text(sampleTypes[0].name))
	t.Walk(func(n *profile.Node, context []*profile.Node) { p.sample(n, context) })
	z := gzip.NewWriter(w)
	_, err := z.Write(p.b)
	if cerr := z.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write pprof profile: %w", err)
	}
	return nil
}

// pprof is a profile that is being encoded.
type pprof struct {
	b         []byte
	strings   map[string]int64
	functions map[uint32]uint64 // ids, of the location too
	name      func(uint32) string
}

func (p *pprof) sample(n *profile.Node, context []*profile.Node) {
	var values []byte
	used := false
	for _, st := range sampleTypes {
		v := st.of(&n.Stats)
		used = used || v > 0
		values = protowire.AppendVarint(values, min(v, math.MaxInt64))
	}
	if !used {
		return
	}
	var locations []byte
	for i := len(context) - 1; i >= 0; i-- { // innermost first
		locations = protowire.AppendVarint(locations, p.function(context[i].Func))
	}
	m := appendBytes(nil, sampleLocation, locations)
	p.b = appendBytes(p.b, profSample, appendBytes(m, sampleValue, values))
}

// function gives a function's id, and on its first use its entry and that of its
// only location.
func (p *pprof) function(f uint32) uint64 {
	if id, ok := p.functions[f]; ok {
		return id
	}
	id := uint64(len(p.functions) + 1)
	p.functions[f] = id
	text := "(other)"
	if f != profile.Other {
		text = p.name(f)
	}
	name := p.text(text)
	m := appendInt(nil, functionID, int64(id))
	m = appendInt(m, functionName, name)
	p.b = appendBytes(p.b, profFunction, appendInt(m, functionSys, name))
	m = appendInt(nil, locationID, int64(id))
	p.b = appendBytes(p.b, profLocation, appendBytes(m, locationLine, appendInt(nil, lineFunc, int64(id))))
	return id
}

// text gives a string's number. The table's entries keep their order wherever
// they stand in the message.
func (p *pprof) text(s string) int64 {
	i, ok := p.strings[s]
	if !ok {
		i = int64(len(p.strings))
		p.strings[s] = i
		p.b = appendBytes(p.b, profString, []byte(s))
	}
	return i
}

func appendInt(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}
