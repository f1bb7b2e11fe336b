package energy

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

const minimal = `{"name":"x","source":"y","cpu":{"waitWatts":1,"classes":[{"name":"a","mhz":1000,"watts":2}]},"radios":{}}`

func TestAbsurdProfilesAreRefusedWithAHint(t *testing.T) {
	cpu := func(text string) string { return `{"name":"x","source":"y","cpu":` + text + `}` }
	radio := func(text string) string {
		return `{"name":"x","source":"y","cpu":{"waitWatts":1,"classes":[{"watts":2}]},"radios":{"lte":` + text + `}}`
	}
	for text, hint := range map[string]string{
		``:                             "JSON object",
		`[]`:                           "JSON object",
		`{}`:                           "name",
		`{"name":"x"}`:                 "where the numbers come from",
		`{"nmae":"x"}`:                 "nmae",
		minimal + `{}`:                 "follows",
		strings.Repeat(" ", maxFile+1): "bytes",
		`{"name":"x","source":"` + strings.Repeat("y", 5000) + `"}`: "source",
		cpu(`{}`):                "slow to fast",
		cpu(`{"waitWatts":-1}`):  "waitWatts",
		cpu(`{"waitWatts":1e9}`): "waitWatts",
		cpu(`{"waitWatts":1,"classes":[{"watts":-2}]}`):            "watts from 0",
		cpu(`{"waitWatts":1,"classes":[{"watts":0.5}]}`):           "waitWatts included",
		cpu(`{"waitWatts":1,"classes":[{"watts":3},{"watts":2}]}`): "slow to fast",
		cpu(`{"waitWatts":1,"classes":[{"watts":3,"mhz":-1}]}`):    "MHz",
		radio(`null`):                        "lte",
		radio(`{"transmitWatts":-1}`):        "transmitWatts",
		radio(`{"receiveWatts":1e6}`):        "receiveWatts",
		radio(`{"transmitJoulesPerByte":1}`): "per byte",
		radio(`{"transmitWatts":1,"receiveWatts":1,"tail":[{"watts":2,"for":"1s"}]}`):  "waits cannot cost more",
		radio(`{"transmitWatts":1,"receiveWatts":1,"tail":[{"watts":1,"for":"1h"}]}`):  "up to 1m",
		radio(`{"transmitWatts":1,"receiveWatts":1,"tail":[{"watts":1,"for":"-1s"}]}`): "up to 1m",
		radio(`{"promotion":{"watts":1,"for":"5"}}`):                                   "238ms",
		radio(`{"promotion":{"watts":1,"for":5}}`):                                     "radios",
		radio(`{"tail":[{},{},{},{},{},{},{},{},{}]}`):                                 "at most 8",
		strings.Replace(radio(`{}`), "lte", "unknown", 1):                              "unknown",
		strings.Replace(radio(`{}`), "lte", "6g", 1):                                   "6g",
	} {
		_, err := Parse([]byte(text))
		if !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), hint) {
			t.Errorf("%.90s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	for _, name := range Names() {
		p, _ := Named(name)
		data, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrProfile) {
				t.Fatal(err)
			}
			return
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(again)
		if err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		for r := range radios {
			a := q.Radio(r).Start(Asleep)
			a.Send(1e6, 1e9)
			if j := a.Joules(); !(j >= 0 && j < 1e7) {
				t.Fatalf("%s: %g J", r, j)
			}
		}
	})
}

func TestADevicesOwnProfileIsChosen(t *testing.T) {
	home, sys := t.TempDir(), fstest.MapFS{}
	c := Choose(home, sys)
	if c.Profile != Default() || c.Own || c.Err != nil || !strings.Contains(c.Why, "doctor --calibrate") {
		t.Fatalf("no file: %+v", c)
	}
	pi := fstest.MapFS{"firmware/devicetree/base/model": {Data: []byte("Raspberry Pi 4 Model B Rev 1.4\x00")}}
	if c := Choose(home, pi); c.Profile.Name != "Raspberry Pi 4 Model B (2019)" || !c.Own {
		t.Fatalf("a Pi: %+v", c)
	}
	own, err := Parse([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	data, err := own.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, OwnFile), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := Choose(home, pi); !reflect.DeepEqual(c.Profile, own) || !c.Own || c.Err != nil {
		t.Fatalf("own file: %+v", c)
	}
}

func TestAnAbsurdFileIsSaidAndNotUsed(t *testing.T) {
	home := t.TempDir()
	for _, text := range []string{"", "{", strings.Replace(minimal, "2", "-2", 1), strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(filepath.Join(home, OwnFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Choose(home, fstest.MapFS{})
		if c.Profile != Default() || !errors.Is(c.Err, ErrProfile) || !strings.Contains(c.Err.Error(), OwnFile) {
			t.Errorf("%.20q: %+v", text, c)
		}
	}
	bad := &Profile{Name: "x"}
	if _, err := bad.Encode(); !errors.Is(err, ErrProfile) {
		t.Errorf("encoded: %v", err)
	}
}
