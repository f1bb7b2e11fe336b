package energy

import "time"

// Basis says where a figure in joules comes from.
type Basis string

// The two bases.
const (
	Model    Basis = "model"    // computed from a power profile
	Measured Basis = "measured" // read from a meter of this device
)

// Profile is the power of one device. It is not changed once it is read.
type Profile struct {
	Name   string `json:"name"`           // for people: "Nexus 5 (2013)"
	Source string `json:"source"`         // where the numbers were published
	Note   string `json:"note,omitempty"` // what is a recollection, an assumption or a conversion

	CPU    CPU                   `json:"cpu"`
	Radios map[Radio]*RadioPower `json:"radios"`
}

// CPU is the power of the processor.
type CPU struct {
	// WaitWatts is drawn while the device is awake and nothing computes. The
	// screen is not in it: it is lit or not whatever runs where.
	WaitWatts float64 `json:"waitWatts"`
	// Classes are the frequency classes, from slow to fast.
	Classes []Class `json:"classes"`
}

// Class is one frequency class of a processor.
type Class struct {
	Name  string  `json:"name"`
	MHz   float64 `json:"mhz"`   // 0: not known
	Watts float64 `json:"watts"` // of the device while one core computes, WaitWatts included
}

// RadioPower is what a radio draws in its states, on top of WaitWatts.
type RadioPower struct {
	// Promotion is waking it: from asleep to connected.
	Promotion State `json:"promotion"`
	// Transmitting n bytes in t costs t*TransmitWatts + n*TransmitJoulesPerByte,
	// and receiving likewise.
	TransmitWatts         float64 `json:"transmitWatts"`
	TransmitJoulesPerByte float64 `json:"transmitJoulesPerByte,omitempty"`
	ReceiveWatts          float64 `json:"receiveWatts"`
	ReceiveJoulesPerByte  float64 `json:"receiveJoulesPerByte,omitempty"`
	// Tail is what it goes through after the last byte until it sleeps.
	Tail []State `json:"tail"`
}

// State is a state of a radio that lasts a set time.
type State struct {
	Watts float64  `json:"watts"`
	For   Duration `json:"for"`
}

// Duration is a time.Duration that is written as text: "238ms".
type Duration time.Duration

// ActiveWatts is what the device draws while one core computes at full speed.
func (c CPU) ActiveWatts() float64 {
	if len(c.Classes) == 0 {
		return c.WaitWatts
	}
	return c.Classes[len(c.Classes)-1].Watts
}

// silent is a radio that costs nothing.
var silent RadioPower

// Radio returns the power of a kind of radio. A kind that the profile lacks is
// taken to be the most similar that it has: 5G is LTE, LTE is 5G or 3G, an
// unknown one is Wi-Fi. Without any of those it costs nothing, as Wired does.
func (p *Profile) Radio(r Radio) *RadioPower {
	for _, kind := range similar[r%radios] {
		if power := p.Radios[kind]; power != nil {
			return power
		}
	}
	return &silent
}

var similar = [radios][]Radio{
	UnknownRadio: {WiFi, LTE, NR, ThreeG},
	WiFi:         {WiFi},
	ThreeG:       {ThreeG, LTE, NR},
	LTE:          {LTE, NR, ThreeG},
	NR:           {NR, LTE, ThreeG},
	Wired:        {Wired},
}
