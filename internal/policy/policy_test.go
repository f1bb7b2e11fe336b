package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestTheWordThatBlocksIsNamed(t *testing.T) {
	home := State{Network: energy.WiFi, Powered: Yes, HasBattery: Yes, Battery: 0.9, Now: noon}
	street := State{Network: energy.LTE, Powered: No, HasBattery: Yes, Battery: 0.12, MeteredBytes: 200e6, Now: noon}
	box := State{Network: energy.Wired, Powered: Yes, HasBattery: No, Now: noon}
	hotspot := State{Network: energy.WiFi, Metered: Yes, MeteredBytes: 50e6, Powered: No, HasBattery: Yes, Battery: 0.3, Now: noon}
	flat := State{Network: energy.LTE, Metered: No, MeteredBytes: 1e12}
	var nothing State
	for _, c := range []struct {
		policy string
		state  State
		want   string // the blocks; empty: it may be used
	}{
		{"", nothing, ""},
		{"always", nothing, ""},
		{"never", home, "never: the policy says never"},
		{"when: wifi, charging, battery>30%", home, ""},
		{"wifi, charging, battery>30%", street, "wifi: the network is lte; charging: the device runs on its battery; battery>30%: the battery is at 12 %"},
		{"wifi, charging, battery>30%", nothing, "wifi: the kind of network is not known; charging: whether the device is charging is not known; battery>30%: the battery's charge is not known"},
		{"wifi|wired, charging, battery>30%", box, ""},
		{"wifi|wired", street, "wifi|wired: the network is lte, and the network is lte"},
		{"battery>30%", hotspot, "battery>30%: the battery is at 30 %"},
		{"battery>=30%", hotspot, ""},
		{"battery > 29.5 %", hotspot, ""},
		{"cellular", street, ""},
		{"cellular", home, "cellular: the network is wifi"},
		{"5G", street, "5g: the network is lte"},
		{"unmetered", home, ""},
		{"unmetered", street, "unmetered: the network is metered"},
		{"unmetered", hotspot, "unmetered: the network is metered"},
		{"unmetered", flat, ""},
		{"unmetered", nothing, "unmetered: whether the network is metered is not known"},
		{"metered<200MB/month", street, "metered<200MB/month: 200 MB were used on metered networks this month"},
		{"metered<0.2GB", street, "metered<0.2GB/month: 200 MB were used on metered networks this month"},
		{"metered<201mb/month", street, ""},
		{"metered<60MB", hotspot, ""},
		{"metered<200MB", flat, ""},
		{"metered<200MB", home, ""},
		{"metered<200MB", nothing, "metered<200MB/month: whether the network is metered is not known"},
		{"unmetered|metered<100MB", hotspot, ""},
		{"22:00-06:00", home, "22:00-06:00: it is 12:00"},
		{"9:00-12:00", home, "09:00-12:00: it is 12:00"},
		{"12:00-12:01", home, ""},
		{"18:00-13:00", home, ""},
		{"22:00-06:00|charging", home, ""},
		{"0:00-24:00", nothing, "00:00-24:00: the time is not known"},
	} {
		p, err := Parse(c.policy)
		if err != nil {
			t.Errorf("%s: %v", c.policy, err)
			continue
		}
		var got []string
		for _, b := range p.Blocked(c.state) {
			got = append(got, b.String())
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%q: %q, expected %q", c.policy, s, c.want)
		}
	}
}

func TestWhatIsNoPolicyIsRefusedWithAHint(t *testing.T) {
	for text, hint := range map[string]string{
		"wlan":                       "none of the words wifi",
		"wifi charging":              "none of the words",
		"wifi,":                      "missing",
		",":                          "missing",
		"wifi||lte":                  "missing",
		"battery":                    "battery>30%",
		"battery<30%":                "battery>30%",
		"battery>101%":               "0 to 100",
		"battery>100%":               "0 to 100",
		"battery>-1%":                "0 to 100",
		"battery>nan%":               "0 to 100",
		"battery>1e1%":               "0 to 100",
		"battery>1.2.3%":             "0 to 100",
		"battery>%":                  "0 to 100",
		"metered<200":                "KB, MB or GB",
		"metered>200MB":              "metered<200MB/month",
		"metered<-1MB":               "metered<200MB/month",
		"metered<99999999GB":         "metered<200MB/month",
		"metered<200MB/week":         "metered<200MB/month",
		"22:00":                      "22:00-06:00",
		"22:00-22:00":                "different",
		"22:00-25:00":                "times of day",
		"22:60-23:00":                "times of day",
		"22:5-23:00":                 "times of day",
		"24:01-3:00":                 "times of day",
		"wifi, lte":                  "wifi|lte",
		"unknown":                    "none of the words",
		strings.Repeat("wifi,", 300): "longer than",
		strings.Repeat("wifi,", 40):  "more than 32",
	} {
		_, err := Parse(text)
		if !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), hint) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestTheVocabularyIsWhatIsUnderstood(t *testing.T) {
	for _, w := range strings.Split(Vocabulary, ", ") {
		if p, err := Parse(w); err != nil || p.String() != w {
			t.Errorf("%s: %q %v", w, p, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, w := range append(strings.Split(Vocabulary, ", "), "when: wifi, charging|battery>=30.5%, metered<0.25GB", "\xff|", "battery>0.%") {
		f.Add(w)
	}
	states := []State{
		{},
		{Network: energy.LTE, Powered: No, HasBattery: Yes, Battery: 0.5, MeteredBytes: 1e9, Now: noon},
		{Network: energy.WiFi, Powered: Yes, HasBattery: No, Now: noon.Add(11 * time.Hour)},
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrPolicy) {
				t.Fatal(err)
			}
			return
		}
		again, err := Parse(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q is %q, which is %q: %v", text, p, again, err)
		}
		for _, s := range states {
			if a, b := p.Blocked(s), again.Blocked(s); !slices.Equal(a, b) {
				t.Fatalf("%q: %v, in its plain form %v", text, a, b)
			}
		}
	})
}
