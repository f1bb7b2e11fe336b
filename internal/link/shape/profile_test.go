package shape

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryNamedProfileIsValidAndSaysWhereItComesFrom(t *testing.T) {
	for _, name := range Names() {
		p, ok := Named(name)
		if !ok || p.Validate() != nil || p.Source == "" {
			t.Errorf("%s: %+v %v", name, p, p.Validate())
		}
	}
	for name, rtt := range map[string]time.Duration{"wifi-2011": 69 * time.Millisecond, "3g-2011": 680 * time.Millisecond, "3g": 680 * time.Millisecond} {
		if p, _ := Named(name); p.RTT() != rtt || !strings.Contains(p.Source, "assumption") {
			t.Errorf("%s: round trip %v, source %q", name, p.RTT(), p.Source)
		}
	}
	if p, _ := Named("none"); !p.Cut {
		t.Error("none does not cut the link")
	}
}

func TestAProfileFileIsReadWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "train.json")
	text := `{"name":"train","source":"a train","oneWay":"40ms","jitter":"10ms","up":2e6,"down":8000000,"loss":0.01,"queue":65536}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	want := Profile{
		Name: "train", Source: "a train", OneWay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond,
		Up: 2e6, Down: 8e6, Loss: 0.01, Queue: 65536,
	}
	if err != nil || got != want {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestAbsurdProfilesAreRefusedWithAHint(t *testing.T) {
	for text, hint := range map[string]string{
		``:                             "JSON object",
		`[]`:                           "JSON object",
		`{"onewy":"1ms"}`:              "onewy",
		`{"oneWay":5}`:                 "25ms",
		`{"oneWay":"5"}`:               "unit",
		`{"oneWay":"-1ms"}`:            "half the round trip",
		`{"oneWay":"1h"}`:              "half the round trip",
		`{"jitter":"-1ms"}`:            "jitter",
		`{"up":-1}`:                    "bits per second",
		`{"up":12}`:                    "bits per second",
		`{"down":1e300}`:               "bits per second",
		`{"loss":1}`:                   "cut",
		`{"loss":-0.1}`:                "1 % is 0.01",
		`{"loss":50}`:                  "1 % is 0.01",
		`{"queue":10}`:                 "bytes",
		`{"queue":1e10}`:               "bytes",
		`{} {}`:                        "follows",
		strings.Repeat(" ", maxFile+1): "bytes",
		`{"name":"` + strings.Repeat("x", 600) + `"}`: "name",
	} {
		_, err := Parse([]byte(text))
		if !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), hint) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

func TestAnUnknownProfileNamesTheKnownOnes(t *testing.T) {
	_, err := Load("wfi")
	if !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), "wifi-2011") {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"oneWay":"40ms","up":2e6,"loss":0.01,"queue":65536,"cut":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrProfile) {
				t.Fatal(err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
