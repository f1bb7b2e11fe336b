package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

var (
	run     = ID{1}
	attempt = ID{2}
)

// samples holds one valid message of every type.
func samples() []proto.Message {
	hash := bytes.Repeat([]byte{7}, 32)
	return []proto.Message{
		&Hello{Magic: Magic, MinVersion: 1, MaxVersion: 3, Software: "test"},
		&Welcome{Version: 1, Engine: "compiler", Limits: &Limits{MaxBody: 1}},
		&Refuse{Code: RefuseCode_REFUSE_BUSY, Text: "full"},
		&Ping{Nonce: 1}, &Pong{Nonce: 1}, &Bye{Reason: "done"}, &Unpair{}, &LinkState{Up: true}, &Event{Json: []byte("{}")},
		&RunOpen{ModuleSha256: hash, ModuleSize: 100, MemoryMaxPages: 65536},
		&ModuleWant{Chunks: []uint32{0, 5}},
		&ModuleChunk{Index: 3, Size: ChunkSize, Sha256: hash},
		&RunReady{CompileNanos: 5}, &RunClose{},
		aCall(),
		&PageHashes{MemoryBytes: 8 * PageSize},
		&NeedBase{}, &NeedPages{Runs: []uint32{0, 1, 5, 2}}, &Applied{ApplyNanos: 3},
		&ImportRequest{Entry: 1, Class: Class_CLASS_IMMEDIATE, Payload: []byte("x")},
		&ImportReply{Entry: 1, Payload: []byte("y")},
		&Release{First: 2, Entries: []*Entry{{Class: Class_CLASS_OUTPUT, Encoded: []byte("e"), Effect: []byte("hi")}}, Reads: [][]byte{[]byte("f")}},
		&Return{Outcome: Outcome_OUTCOME_RETURNED, Results: []uint64{3}, Bare: []*BareEffect{{Entry: 8, Class: Class_CLASS_OUTPUT}}},
		&Ack{}, &Cancel{Reason: "x"}, &Resume{Received: 4}, &Resumed{Received: 5}, &Unknown{Reason: "gone"},
	}
}

func aCall() *Call {
	return &Call{
		Base:     &Image{Kind: ImageKind_IMAGE_RESULT, Attempt: attempt[:]},
		Function: 9, Args: []uint64{1}, Seed: bytes.Repeat([]byte{7}, 32),
	}
}

// header returns a header that the type's rule accepts.
func header(t Type) Header {
	h := Header{Type: t}
	if s := rules[t].scope; s == scopeRun || s == scopeAttempt {
		h.Run = run
	}
	if rules[t].scope == scopeAttempt {
		h.Attempt = attempt
	}
	if rules[t].seq {
		h.Seq, h.Ack = 3, 2
	}
	return h
}

func sampleFrame(tb testing.TB, m proto.Message) *Frame {
	t, ok := TypeOf(m)
	if !ok {
		tb.Fatalf("%T has no type", m)
	}
	var body []byte
	if rules[t].body > 0 {
		body = []byte("some body")
	}
	f, err := NewFrame(header(t), m, body)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func encode(tb testing.TB, f *Frame) []byte {
	var b bytes.Buffer
	if err := NewWriter(&b).WriteFrame(f); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestEveryTypeHasAMessageASampleAndALineInTheSpecification(t *testing.T) {
	have := map[Type]bool{}
	for _, m := range samples() {
		typ, _ := TypeOf(m)
		have[typ] = true
	}
	doc, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for typ := range Type(255) {
		if !typ.Known() {
			if newMessage(typ) != nil {
				t.Errorf("%d has a message and no rule", typ)
			}
			continue
		}
		m := newMessage(typ)
		if back, ok := TypeOf(m); !ok || back != typ {
			t.Errorf("%v: message %T has type %v", typ, m, back)
		}
		if !have[typ] {
			t.Errorf("%v has no sample", typ)
		}
		if !strings.Contains(string(doc), "| "+itoa(int(typ))+" | "+typ.String()+" |") {
			t.Errorf("docs/PROTOCOL.md does not list %d, %v", typ, typ)
		}
	}
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + itoa(n%10)
	}
	return string(rune('0' + n))
}

func TestEveryMessageSurvivesTheWire(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	var sent []*Frame
	for _, m := range samples() {
		f := sampleFrame(t, m)
		sent = append(sent, f)
		if err := w.WriteFrame(f); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(iotest.OneByteReader(&b), ReaderConfig{})
	for i, m := range samples() {
		f, err := r.ReadFrame()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if f.Header != sent[i].Header || !bytes.Equal(f.Body, sent[i].Body) {
			t.Errorf("%v came back as %+v", sent[i].Type, f.Header)
		}
		got, err := f.Message()
		if err != nil {
			t.Fatalf("%v: %v", f.Type, err)
		}
		if !proto.Equal(got, m) {
			t.Errorf("%v came back as %v", m, got)
		}
	}
	if _, err := r.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v", err)
	}
}

func TestARelayedFrameKeepsEveryByte(t *testing.T) {
	for _, m := range samples() {
		in := encode(t, sampleFrame(t, m))
		f, err := NewReader(bytes.NewReader(in), ReaderConfig{}).ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if out := encode(t, f); !bytes.Equal(in, out) {
			t.Errorf("%T: % x became % x", m, in, out)
		}
	}
}

// writes counts the calls of Write.
type writes struct {
	n     int
	bytes int
}

func (w *writes) Write(p []byte) (int, error) { w.n++; w.bytes += len(p); return len(p), nil }

func TestASmallFrameIsOneWriteAndALargeOneIsNotCopied(t *testing.T) {
	w := &writes{}
	f := sampleFrame(t, &Applied{})
	if err := NewWriter(w).WriteFrame(f); err != nil || w.n != 1 || w.bytes != f.Size() {
		t.Errorf("%d writes, %d bytes of %d, error %v", w.n, w.bytes, f.Size(), err)
	}
	big := sampleFrame(t, aCall())
	big.Body = make([]byte, 8<<20)
	wr := NewWriter(&writes{})
	allocs := testing.AllocsPerRun(3, func() {
		if err := wr.WriteFrame(big); err != nil {
			t.Error(err)
		}
	})
	if allocs > 4 {
		t.Errorf("%v allocations for a large frame", allocs)
	}
}

func TestConcurrentWritersNeverInterleave(t *testing.T) {
	a, b := net.Pipe()
	w := NewWriter(a)
	var wg sync.WaitGroup
	const writers, each = 4, 50
	for i := range writers {
		wg.Go(func() {
			for range each {
				f := sampleFrame(t, &ModuleChunk{Index: uint32(i), Size: 1, Sha256: make([]byte, 32)})
				f.Body = bytes.Repeat([]byte{byte(i)}, 1000*(i+1))
				if err := w.WriteFrame(f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	r := NewReader(b, ReaderConfig{})
	for range writers * each {
		f, err := r.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Message()
		if err != nil {
			t.Fatal(err)
		}
		i := m.(*ModuleChunk).Index
		if len(f.Body) != 1000*(int(i)+1) || bytes.Count(f.Body, []byte{byte(i)}) != len(f.Body) {
			t.Fatalf("the body of writer %d has been mixed up", i)
		}
	}
	wg.Wait()
}

// patched returns a Call's bytes with a change, the checksum made good.
func patched(tb testing.TB, m proto.Message, change func(b []byte)) []byte {
	f := sampleFrame(tb, m)
	b := encode(tb, f)
	change(b)
	end := min(HeaderSize+len(f.Meta), len(b))
	sum := crc32.Update(crc32.Checksum(b[:52], castagnoli), castagnoli, b[HeaderSize:end])
	binary.LittleEndian.PutUint32(b[52:], sum)
	return b
}

func TestHostileHeadersAreRefusedBeforeAllocation(t *testing.T) {
	call := aCall()
	put := func(at int, v uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
	}
	for _, c := range []struct {
		name   string
		m      proto.Message
		change func([]byte)
		want   string
	}{
		{"an unknown type", call, func(b []byte) { b[0] = 99 }, "unknown type 99"},
		{"a type of zero", call, func(b []byte) { b[0] = 0 }, "unknown type 0"},
		{"flags", call, func(b []byte) { b[1] = 1 }, "flags"},
		{"another protocol", call, func(b []byte) { copy(b, "GET / HTTP/1.1\r\n") }, "not CloneCloud"},
		{"meta of 4 GiB", call, put(4, 1<<32-1), "meta of 4294967295 bytes in Call, limit 16777216"},
		{"a body of 4 GiB", call, put(8, 1<<32-1), "body of 4294967295 bytes in Call, limit 1073741824"},
		{"a body where none belongs", &Applied{}, put(8, 1), "body of 1 bytes in Applied, limit 0"},
		{"no run", call, func(b []byte) { clear(b[20:36]) }, "Call with run 0000000000000000"},
		{"no attempt", call, func(b []byte) { clear(b[36:52]) }, "attempt 0000000000000000"},
		{"an attempt on a link's frame", &Ping{}, func(b []byte) { b[36] = 1 }, "Ping with run"},
		{"no number", call, put(12, 0), "Call with number 0"},
		{"a number on an unnumbered frame", &Ack{}, put(12, 4), "Ack with number 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := patched(t, c.m, c.change)
			r := NewReader(bytes.NewReader(b), ReaderConfig{})
			_, err := r.ReadFrame()
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestAFlippedBitInHeaderOrMetaIsFound(t *testing.T) {
	f := sampleFrame(t, aCall())
	good := encode(t, f)
	for bit := range 8 * (HeaderSize + len(f.Meta)) {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := NewReader(bytes.NewReader(b), ReaderConfig{}).ReadFrame(); err == nil {
			t.Fatalf("bit %d passed", bit)
		}
	}
}

func TestAPeerThatPromisesAndDoesNotSendCostsAStepAlone(t *testing.T) {
	b := patched(t, aCall(), func(b []byte) { binary.LittleEndian.PutUint32(b[8:], 1<<30) })
	var before, after uint64
	res := testing.Benchmark(func(bb *testing.B) {
		bb.ReportAllocs()
		for bb.Loop() {
			if _, err := NewReader(bytes.NewReader(b), ReaderConfig{}).ReadFrame(); !errors.Is(err, io.ErrUnexpectedEOF) {
				bb.Fatal(err)
			}
		}
	})
	before, after = uint64(firstStep+256*kib), uint64(res.AllocedBytesPerOp())
	if after > before {
		t.Errorf("%d bytes allocated for %d that came", after, len(b))
	}
}

func TestALargeBodyArrivesWhole(t *testing.T) {
	for _, n := range []int{firstStep - 1, firstStep, firstStep + 1, 8*firstStep + 1, 9 << 20} {
		f := sampleFrame(t, aCall())
		f.Body = make([]byte, n)
		for i := range f.Body {
			f.Body[i] = byte(i * 7)
		}
		got, err := NewReader(bytes.NewReader(encode(t, f)), ReaderConfig{}).ReadFrame()
		if err != nil || !bytes.Equal(got.Body, f.Body) {
			t.Errorf("a body of %d bytes: %v", n, err)
		}
	}
}

func TestTheSmallerLimitBinds(t *testing.T) {
	f := sampleFrame(t, aCall())
	f.Body = make([]byte, 1000)
	_, err := NewReader(bytes.NewReader(encode(t, f)), ReaderConfig{MaxBody: 999}).ReadFrame()
	if err == nil || !strings.Contains(err.Error(), "limit 999") {
		t.Errorf("error %v", err)
	}
}

func TestHostileMessagesAreRefused(t *testing.T) {
	long := make([]byte, MaxPayload+1)
	for _, c := range []struct {
		name string
		m    proto.Message
		want string
	}{
		{"another magic", &Hello{Magic: "http"}, "magic"},
		{"versions upside down", &Hello{Magic: Magic, MinVersion: 3, MaxVersion: 2}, "versions"},
		{"a module of no bytes", &RunOpen{ModuleSha256: make([]byte, 32)}, "module of 0 bytes"},
		{"a short hash", &RunOpen{ModuleSha256: make([]byte, 31), ModuleSize: 1}, "31 bytes"},
		{"a chunk past the end", &ModuleWant{Chunks: []uint32{256}}, "chunk 256"},
		{"a chunk that is too large", &ModuleChunk{Size: ChunkSize + 1, Sha256: make([]byte, 32)}, "chunk 0"},
		{"no base", &Call{Seed: make([]byte, 32)}, "no base"},
		{"a base of no attempt", &Call{Base: &Image{Kind: ImageKind_IMAGE_ENTRY}, Seed: make([]byte, 32)}, "0 bytes"},
		{"a module image with an attempt", &Call{Base: &Image{Attempt: attempt[:]}, Seed: make([]byte, 32)}, "names an attempt"},
		{"an unknown image", &Call{Base: &Image{Kind: 9}, Seed: make([]byte, 32)}, "kind 9"},
		{"a short seed", &Call{Base: &Image{}}, "seed"},
		{"too much memory", &Call{Base: &Image{}, MemoryMaxPages: 1<<16 + 1, Seed: make([]byte, 32)}, "maximum"},
		{"half a page", &PageHashes{MemoryBytes: 100}, "100 bytes"},
		{"an odd run", &NeedPages{Runs: []uint32{1}}, "no runs"},
		{"runs that overlap", &NeedPages{Runs: []uint32{1, 3, 3, 1}}, "page 3"},
		{"an empty run", &NeedPages{Runs: []uint32{1, 0}}, "run of 0"},
		{"a run past the end", &NeedPages{Runs: []uint32{1 << 20, 1}}, "page 1048576"},
		{"a request of no class", &ImportRequest{}, "class"},
		{"a payload that is too long", &ImportReply{Payload: long}, "payload"},
		{"a file change in a Release", &Release{Entries: []*Entry{{Class: Class_CLASS_FILE_CHANGE}}}, "file change"},
		{"a quiet entry with an effect", &Release{Entries: []*Entry{{Effect: []byte("x")}}}, "with an effect"},
		{"an unknown class", &Release{Entries: []*Entry{{Class: 77}}}, "class 77"},
		{"entry numbers that wrap", &Release{First: 1<<32 - 1, Entries: []*Entry{{}}}, "entry numbers"},
		{"no outcome", &Return{}, "outcome 0"},
		{"bare effects before their time", &Return{Outcome: 1, First: 5, Bare: []*BareEffect{{Entry: 4, Class: Class_CLASS_OUTPUT}}}, "bare effect of entry 4"},
		{"bare effects out of order", &Return{Outcome: 1, Bare: []*BareEffect{{Entry: 4, Class: 2}, {Entry: 4, Class: 2}}}, "bare effect of entry 4"},
		{"a bare read", &Return{Outcome: 1, Bare: []*BareEffect{{Entry: 4, Class: Class_CLASS_READ}}}, "bare effect of class"},
	} {
		t.Run(c.name, func(t *testing.T) {
			typ, _ := TypeOf(c.m)
			f, err := NewFrame(header(typ), c.m, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Message(); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestABatchOfEmptyEntriesIsCountedBeforeItIsDecoded(t *testing.T) {
	meta := bytes.Repeat([]byte{5<<3 | 2, 0}, 2<<20) // 4 MiB of unknown empty fields
	f := &Frame{Header: header(TypeReturn), Meta: meta}
	if _, err := f.Message(); err == nil || !strings.Contains(err.Error(), "fields") {
		t.Errorf("error %v", err)
	}
}

func TestNoFrameIsMadeThatAReaderWouldRefuse(t *testing.T) {
	if _, err := NewFrame(Header{Type: TypeCall, Seq: 1}, aCall(), nil); err == nil {
		t.Error("a Call without run and attempt was made")
	}
	if _, err := NewFrame(header(TypeApplied), &Ack{}, nil); err == nil {
		t.Error("an Ack was made into an Applied")
	}
	if err := NewWriter(io.Discard).WriteFrame(&Frame{Header: header(TypeApplied), Body: []byte("x")}); err == nil {
		t.Error("an Applied with a body was written")
	}
}

func TestPropertyAnyReturnSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blob := rapid.SliceOfN(rapid.Byte(), 0, 100)
		m := &Return{
			Outcome: Outcome(rapid.IntRange(1, 4).Draw(t, "outcome")), ExitCode: rapid.Uint32().Draw(t, "code"),
			Reason: rapid.StringMatching(`[a-z ]{0,20}`).Draw(t, "reason"), Results: rapid.SliceOf(rapid.Uint64()).Draw(t, "results"),
			Wasi: blob.Draw(t, "wasi"), First: rapid.Uint32Range(0, 1<<20).Draw(t, "first"),
			RealNanos: rapid.Int64().Draw(t, "real"),
		}
		for range rapid.IntRange(0, 5).Draw(t, "entries") {
			m.Entries = append(m.Entries, &Entry{Class: Class(rapid.IntRange(0, 1).Draw(t, "class")), Encoded: blob.Draw(t, "encoded")})
		}
		f, err := NewFrame(header(TypeReturn), m, blob.Draw(t, "body"))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := NewWriter(&b).WriteFrame(f); err != nil {
			t.Fatal(err)
		}
		back, err := NewReader(&b, ReaderConfig{}).ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.Message()
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, m) || !bytes.Equal(back.Body, f.Body) {
			t.Fatalf("%v became %v", m, got)
		}
	})
}
