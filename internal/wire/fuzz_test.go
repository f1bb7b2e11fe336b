package wire

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
)

// FuzzReader reads frames from any bytes: no panic, no frame that breaks its
// rule, no allocation far beyond what came, and what was read can be written.
func FuzzReader(f *testing.F) {
	var all []byte
	for _, m := range samples() {
		b := encode(f, sampleFrame(f, m))
		f.Add(b)
		all = append(all, b...)
	}
	f.Add(all)
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), ReaderConfig{MaxBody: 1 << 20})
		at := 0
		for {
			fr, err := r.ReadFrame()
			if err != nil {
				return
			}
			out := encode(t, fr)
			if !bytes.Equal(out, b[at:at+len(out)]) {
				t.Fatalf("a frame of type %v changed when it was relayed", fr.Type)
			}
			at += len(out)
			if m, err := fr.Message(); err == nil {
				if typ, ok := TypeOf(m); !ok || typ != fr.Type {
					t.Fatalf("%v decoded to %T", fr.Type, m)
				}
			}
		}
	})
}

// FuzzMessage decodes any bytes as any message: what passes Check can be
// encoded and passes again.
func FuzzMessage(f *testing.F) {
	for _, m := range samples() {
		fr := sampleFrame(f, m)
		f.Add(uint8(fr.Type), fr.Meta)
	}
	f.Fuzz(func(t *testing.T, typ uint8, meta []byte) {
		if !Type(typ).Known() {
			return
		}
		m, err := (&Frame{Header: header(Type(typ)), Meta: meta}).Message()
		if err != nil {
			return
		}
		again, err := proto.Marshal(m)
		if err != nil {
			t.Fatalf("%T passed and does not encode: %v", m, err)
		}
		m2, err := (&Frame{Header: header(Type(typ)), Meta: again}).Message()
		if err != nil || !proto.Equal(m, m2) {
			t.Fatalf("%v became %v, %v", m, m2, err)
		}
	})
}
