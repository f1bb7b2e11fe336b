package db

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/partition"
)

var module = [32]byte{1, 2, 3}

// at gives an entry made n seconds after a moment.
func at(n int, network partition.NetworkClass) Entry {
	return Entry{
		Key:     Key{Network: network, Objective: partition.Time, Input: partition.AnyInput},
		Made:    time.Unix(1_800_000_000+int64(n), 0).UTC(),
		Profile: "12 runs",
		Local:   partition.Cost{Seconds: 10, Joules: 20},
		Cost:    partition.Cost{Seconds: float64(n), Joules: 2, Bytes: 3},
		Moves: []Move{{
			Context: []uint32{3, 9}, Function: "kernel", Site: "box", Calls: 4,
			Here: partition.Cost{Seconds: 9}, There: partition.Cost{Seconds: 1, Bytes: 3},
		}},
	}
}

// open gives a database with the real file functions, and its warnings.
func open(t *testing.T) (*DB, *[]string) {
	var mu sync.Mutex
	var warned []string
	d := New(Config{
		Dir:   filepath.Join(t.TempDir(), "partitions"),
		Lock:  TryLock,
		Write: func(path string, data []byte) error { return identity.WriteFile(path, data, 0o600) },
		Warn: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			warned = append(warned, err.Error())
		},
	})
	return d, &warned
}

func TestPartitionsAreFoundAgain(t *testing.T) {
	d, warned := open(t)
	if got, err := d.Load(module); err != nil || got != nil {
		t.Fatalf("before anything was stored: %v, %v", got, err)
	}
	first, second := at(1, partition.WiFi), at(2, partition.LTE)
	for _, e := range [][]Entry{{first, second}, {at(3, partition.WiFi)}} {
		if err := d.Put(module, e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Load(module)
	if want := []Entry{at(3, partition.WiFi), second}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if other, err := d.Load([32]byte{9}); err != nil || other != nil {
		t.Errorf("another module has %v, %v", other, err)
	}
	if len(*warned) != 0 {
		t.Errorf("warned: %q", *warned)
	}
}

func TestAFileThatIsNotAsWrittenIsRebuilt(t *testing.T) {
	good, err := encode(module, []Entry{at(1, partition.WiFi)})
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(body string) []byte {
		return fmt.Appendf(nil, "%s%d %x\n%s", magic, Version, sha256.Sum256([]byte(body)), body)
	}
	body := string(good[bytes.IndexByte(good, '\n')+1:])
	for name, tc := range map[string]struct {
		data []byte
		says string
	}{
		"empty":           {nil, "does not begin"},
		"cut short":       {good[:len(good)/2], "checksum"},
		"a flipped bit":   {append(append([]byte(nil), good[:len(good)-9]...), append([]byte{good[len(good)-9] ^ 1}, good[len(good)-8:]...)...), "checksum"},
		"newer":           {[]byte("clonecloud partitions 2 later\nwhatever"), "newer version"},
		"version 0":       {[]byte(strings.Replace(string(good), magic+"1", magic+"0", 1)), "checksum"},
		"no JSON":         {sealed("nonsense"), "invalid character"},
		"another module":  {sealed(strings.Replace(body, "0102", "0909", 1)), "another module"},
		"unknown network": {sealed(strings.Replace(body, "wifi", "pigeon", 1)), "pigeon"},
		"negative cost":   {sealed(strings.Replace(body, `"seconds":10`, `"seconds":-10`, 1)), "negative"},
		"no context":      {sealed(strings.Replace(body, "[3,9]", "[]", 1)), "makes no sense"},
		"huge":            {bytes.Repeat([]byte("x"), maxFile+1), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			d, warned := open(t)
			if err := os.MkdirAll(d.conf.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(d.path(module), tc.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Load(module); err != nil || got != nil {
				t.Fatalf("got %v, %v", got, err)
			}
			if len(*warned) != 1 || !strings.Contains((*warned)[0], tc.says) || !strings.Contains((*warned)[0], "computed anew") {
				t.Errorf("warned: %q", *warned)
			}
			want := at(5, partition.FiveG)
			if err := d.Put(module, []Entry{want}); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Load(module); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
				t.Errorf("after a rebuild: %v, %v", got, err)
			}
		})
	}
}

func TestAFileIsBounded(t *testing.T) {
	d, _ := open(t)
	var many []Entry
	for i := range MaxEntries + 50 {
		e := at(i, partition.WiFi)
		e.Objective, e.Weight = partition.Balanced, float64(i)/1000
		many = append(many, e)
	}
	long := at(1000, partition.ThreeG)
	long.Moves[0].Function = strings.Repeat("é", 3000)
	for i := range MaxMoves + 10 {
		long.Moves = append(long.Moves, Move{Context: []uint32{uint32(i)}, Function: "f", Here: partition.Cost{Seconds: float64(i)}})
	}
	long.Moves = append(long.Moves, Move{Context: make([]uint32, maxDepth+1)})
	if err := d.Put(module, append(many, long)); err != nil {
		t.Fatal(err)
	}
	got, err := d.Load(module)
	if err != nil || len(got) != MaxEntries {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	if got[0].Network != partition.ThreeG || len(got[0].Moves) != MaxMoves || got[0].Moves[0].Here.Seconds != MaxMoves+9 {
		t.Errorf("the newest entry is %+v", got[0].Key)
	}
	if got[1].Made != many[len(many)-1].Made {
		t.Error("not the oldest were dropped")
	}
	bad := at(1, partition.WiFi)
	bad.Cost.Seconds = math.NaN()
	if err := d.Put(module, []Entry{bad}); err == nil {
		t.Error("NaN is stored")
	}
}

func TestAFolderIsBounded(t *testing.T) {
	d, _ := open(t)
	for i := range maxModules + 5 {
		m := [32]byte{byte(i), byte(i >> 8)}
		if err := d.Put(m, []Entry{at(i, partition.WiFi)}); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(1_700_000_000+int64(i), 0)
		if err := os.Chtimes(d.path(m), when, when); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(d.conf.Dir, "*"+suffix))
	if err != nil || len(names) != maxModules {
		t.Errorf("%d files, %v", len(names), err)
	}
	if _, err := os.Stat(d.path([32]byte{4, 0})); err == nil {
		t.Error("the oldest is kept")
	}
}

func TestWritersOfOneModuleLoseNothing(t *testing.T) {
	d, warned := open(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			e := at(i, partition.WiFi)
			e.Objective, e.Weight = partition.Balanced, float64(i)/16
			if err := d.Put(module, []Entry{e}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := d.Load(module); err != nil || len(got) != 16 || len(*warned) != 0 {
		t.Errorf("%d of 16 entries, %v, %q", len(got), err, *warned)
	}
}

// FuzzDecode wants of any bytes entries within the limits, or a known error.
func FuzzDecode(f *testing.F) {
	good, err := encode(module, []Entry{at(1, partition.WiFi)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, true)
	f.Add([]byte("clonecloud partitions 2 x\n"), false)
	f.Add([]byte(`{"module":"","entries":[{"local":{"seconds":1e999}}]}`), true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal { // past the checksum
			if i := bytes.IndexByte(b, '\n'); i >= 0 && bytes.HasPrefix(b, []byte(magic)) {
				b = b[i+1:]
			}
			b = fmt.Appendf(nil, "%s%d %x\n%s", magic, Version, sha256.Sum256(b), b)
		}
		entries, err := decode(b, module)
		if err != nil {
			if entries != nil || (!strings.HasPrefix(err.Error(), errDamaged.Error()) && !strings.HasPrefix(err.Error(), errNewer.Error())) {
				t.Fatalf("%v, %v", entries, err)
			}
			return
		}
		again, err := encode(module, merge(nil, entries))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(again, module); err != nil {
			t.Fatalf("what was decoded cannot be stored: %v", err)
		}
	})
}
