package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/energy"
)

// Maybe is a fact that may be unknown. The zero Maybe is unknown.
type Maybe uint8

// The values of Maybe.
const (
	Unknown Maybe = iota
	Yes
	No
)

// IsIt makes a Maybe of what is known.
func IsIt(b bool) Maybe {
	if b {
		return Yes
	}
	return No
}

// State is what a policy is compared with. The zero State knows nothing.
type State struct {
	Network energy.Radio // that the link uses
	// Metered says whether bytes cost money; unknown, a cellular network is
	// taken to be metered and no other.
	Metered      Maybe
	Powered      Maybe   // charging, or a device without a battery
	Battery      float64 // charge from 0 to 1; see HasBattery
	HasBattery   Maybe
	MeteredBytes int64     // sent and received on metered links this month
	Now          time.Time // in the owner's time zone
}

// metered resolves an unknown Metered.
func (s State) metered() Maybe {
	if s.Metered == Unknown && s.Network != energy.UnknownRadio {
		return IsIt(s.Network.Cellular())
	}
	return s.Metered
}

// CountsBytes reports whether the bytes of such a network count for the month.
func (s State) CountsBytes() bool { return s.metered() == Yes }

// Policy is a parsed line of words. The zero Policy allows everything.
type Policy struct {
	all []clause
}

// clause is words of which one must hold.
type clause struct {
	text string
	any  []word
}

// word is one condition: it says why it does not hold, or nothing.
type word struct {
	text  string // in its plain form
	fails func(State) string
}

// Block is a word that does not hold.
type Block struct {
	Word string // as in the policy
	Why  string // "the battery is at 12 %"
}

func (b Block) String() string { return b.Word + ": " + b.Why }

// Blocked returns the words that forbid the link now, in the policy's order;
// none means that it may be used.
func (p Policy) Blocked(s State) []Block {
	var out []Block
	for _, c := range p.all {
		var whys []string
		for _, w := range c.any {
			why := w.fails(s)
			if why == "" {
				whys = nil
				break
			}
			whys = append(whys, why)
		}
		if len(whys) > 0 {
			out = append(out, Block{c.text, strings.Join(whys, ", and ")})
		}
	}
	return out
}

// String is the policy in its plain form, which parses to the same policy.
func (p Policy) String() string {
	var texts []string
	for _, c := range p.all {
		texts = append(texts, c.text)
	}
	return strings.Join(texts, ", ")
}

// Words of a policy that need no number.
var plainWords = map[string]func(State) string{
	"always": func(State) string { return "" },
	"never":  func(State) string { return "the policy says never" },
	"charging": func(s State) string {
		return s.Powered.fails("the device runs on its battery", "whether the device is charging is not known")
	},
	"unmetered": func(s State) string {
		free := map[Maybe]Maybe{Yes: No, No: Yes}[s.metered()]
		return free.fails("the network is metered", "whether the network is metered is not known")
	},
	"cellular": func(s State) string {
		if s.Network == energy.UnknownRadio {
			return "the kind of network is not known"
		}
		return IsIt(s.Network.Cellular()).fails("the network is "+s.Network.String(), "")
	},
}

// fails is the reason for anything but Yes.
func (m Maybe) fails(no, unknown string) string {
	switch m {
	case Yes:
		return ""
	case No:
		return no
	default:
		return unknown
	}
}

func networkWord(kind energy.Radio) func(State) string {
	return func(s State) string {
		switch s.Network {
		case kind:
			return ""
		case energy.UnknownRadio:
			return "the kind of network is not known"
		default:
			return "the network is " + s.Network.String()
		}
	}
}

func batteryWord(above float64, orEqual bool) func(State) string {
	return func(s State) string {
		switch {
		case s.HasBattery == No:
			return "" // it cannot be emptied
		case s.HasBattery == Unknown || !(s.Battery >= 0 && s.Battery <= 1):
			return "the battery's charge is not known"
		case s.Battery > above || orEqual && s.Battery == above:
			return ""
		default:
			return fmt.Sprintf("the battery is at %.0f %%", s.Battery*100)
		}
	}
}

func meteredWord(limit int64) func(State) string {
	return func(s State) string {
		switch s.metered() {
		case No:
			return ""
		case Unknown:
			return "whether the network is metered is not known"
		}
		if s.MeteredBytes < limit {
			return ""
		}
		return fmt.Sprintf("%s were used on metered networks this month", sizeText(s.MeteredBytes))
	}
}

func hoursWord(from, to int) func(State) string {
	return func(s State) string {
		if s.Now.IsZero() {
			return "the time is not known"
		}
		now := s.Now.Hour()*60 + s.Now.Minute()
		within := now >= from && now < to
		if from > to { // over midnight
			within = now >= from || now < to
		}
		if within {
			return ""
		}
		return "it is " + s.Now.Format("15:04")
	}
}

// sizeText is a size as a policy would write it, rounded.
func sizeText(n int64) string {
	for _, u := range []struct {
		unit string
		size int64
	}{{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
		if n >= u.size {
			return fmt.Sprintf("%.3g %s", float64(n)/float64(u.size), u.unit)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
