package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/clonecloud/clonecloud/internal/energy"
)

// ErrPolicy wraps every complaint about a policy's words.
var ErrPolicy = errors.New("policy")

// Vocabulary is what Parse understands, for usage texts.
const Vocabulary = "wifi, wired, 3g, lte, 5g, cellular, unmetered, charging, battery>30%, metered<200MB/month, 22:00-06:00, always, never"

const (
	maxPolicy = 1 << 10 // bytes
	maxWords  = 32
)

// Parse reads words that must all hold, separated by commas; between words
// joined by | one must hold. A leading "when:" is allowed. No words: always.
//
//	wifi wired 3g lte 5g   the link uses that kind of network
//	cellular               3g, lte or 5g
//	unmetered              bytes cost nothing; unless the system says, cellular is metered
//	charging               on a charger, or a device without a battery
//	battery>30%            charge above 30 %; also >=; holds without a battery
//	metered<200MB/month    no limit on unmetered networks; on others that much a month (KB, MB, GB of 1000)
//	22:00-06:00            the time of day
//	always never
//
// The error wraps ErrPolicy, names the word and says what to write instead.
func Parse(text string) (Policy, error) {
	if len(text) > maxPolicy {
		return Policy{}, fmt.Errorf("%w: longer than %d bytes", ErrPolicy, maxPolicy)
	}
	text = strings.ToLower(strings.TrimSpace(text))
	text = strings.TrimSpace(strings.TrimPrefix(text, "when:"))
	var p Policy
	if text == "" {
		return p, nil
	}
	count := 0
	for part := range strings.SplitSeq(text, ",") {
		var c clause
		var texts []string
		for one := range strings.SplitSeq(part, "|") {
			w, err := parseWord(strings.Join(strings.Fields(one), ""))
			if err != nil {
				return Policy{}, err
			}
			if count++; count > maxWords {
				return Policy{}, fmt.Errorf("%w: more than %d words", ErrPolicy, maxWords)
			}
			c.any = append(c.any, w)
			texts = append(texts, w.text)
		}
		c.text = strings.Join(texts, "|")
		p.all = append(p.all, c)
	}
	return p, p.contradiction()
}

// contradiction finds two kinds of network that are both asked for, which is
// what people write who mean either.
func (p Policy) contradiction() error {
	first := ""
	for _, c := range p.all {
		if len(c.any) != 1 {
			continue
		}
		if kind, err := energy.ParseRadio(c.text); err != nil || kind == energy.UnknownRadio {
			continue
		}
		if first != "" && first != c.text {
			return fmt.Errorf("%w: %s and %s cannot both hold: write %s|%s for either", ErrPolicy, first, c.text, first, c.text)
		}
		first = c.text
	}
	return nil
}

func parseWord(s string) (word, error) {
	if fails, ok := plainWords[s]; ok {
		return word{s, fails}, nil
	}
	switch {
	case s == "":
		return word{}, fmt.Errorf("%w: a word is missing before or after a comma or |", ErrPolicy)
	case strings.HasPrefix(s, "battery"):
		return parseBattery(s)
	case strings.HasPrefix(s, "metered"):
		return parseMetered(s)
	case s[0] >= '0' && s[0] <= '9' && strings.Contains(s, ":"):
		return parseHours(s)
	}
	if kind, err := energy.ParseRadio(s); err == nil && kind != energy.UnknownRadio {
		return word{kind.String(), networkWord(kind)}, nil
	}
	return word{}, fmt.Errorf("%w: %.40q is none of the words %s", ErrPolicy, s, Vocabulary)
}

func parseBattery(s string) (word, error) {
	bad := fmt.Errorf("%w: %.40q: write battery>30%%, with a number from 0 to 100", ErrPolicy, s)
	rest, ok := strings.CutPrefix(s, "battery>")
	if !ok {
		return word{}, bad
	}
	rest, orEqual := strings.CutPrefix(rest, "=")
	percent, err := number(strings.TrimSuffix(rest, "%"))
	if err != nil || percent > 100 || percent == 100 && !orEqual {
		return word{}, bad
	}
	op := ">"
	if orEqual {
		op = ">="
	}
	text := "battery" + op + strconv.FormatFloat(percent, 'f', -1, 64) + "%"
	return word{text, batteryWord(percent/100, orEqual)}, nil
}

func parseMetered(s string) (word, error) {
	bad := fmt.Errorf("%w: %.40q: write metered<200MB/month, in KB, MB or GB", ErrPolicy, s)
	rest, ok := strings.CutPrefix(s, "metered<")
	if !ok {
		return word{}, bad
	}
	rest = strings.TrimSuffix(rest, "/month")
	for _, u := range []struct {
		unit string
		size float64
	}{{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}} {
		digits, ok := strings.CutSuffix(rest, u.unit)
		if !ok {
			continue
		}
		n, err := number(digits)
		if err != nil || n*u.size > 1e15 {
			return word{}, bad
		}
		limit := int64(math.Round(n * u.size))
		text := "metered<" + strconv.FormatFloat(n, 'f', -1, 64) + strings.ToUpper(u.unit) + "/month"
		return word{text, meteredWord(limit)}, nil
	}
	return word{}, bad
}

// number reads a plain decimal number that is not negative.
func number(s string) (float64, error) {
	if s == "" || len(s) > 16 || strings.Trim(s, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

func parseHours(s string) (word, error) {
	from, to, ok := strings.Cut(s, "-")
	a, err := minutes(from)
	b, err2 := minutes(to)
	if !ok || err != nil || err2 != nil || a == b {
		return word{}, fmt.Errorf("%w: %.40q: write two different times of day, such as 22:00-06:00", ErrPolicy, s)
	}
	text := fmt.Sprintf("%02d:%02d-%02d:%02d", a/60, a%60, b/60, b%60)
	return word{text, hoursWord(a, b)}, nil
}

// minutes since midnight; 24:00 is allowed as an end.
func minutes(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hour, err := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || err != nil || err2 != nil || len(h) > 2 || len(m) != 2 || minute > 59 || hour > 24 || hour == 24 && minute > 0 {
		return 0, strconv.ErrSyntax
	}
	return int(hour*60 + minute), nil
}
