package energy

import (
	"fmt"
	"strings"
)

// Radio is the kind of network interface that a device's link uses.
type Radio uint8

// Kinds of radio. The zero Radio is not known and is treated as Wi-Fi: it is
// what the project's links are, unless somebody says otherwise.
const (
	UnknownRadio Radio = iota
	WiFi
	ThreeG // UMTS, HSPA
	LTE
	NR    // 5G
	Wired // Ethernet, loopback: costs nothing here
	radios
)

var radioNames = [...]string{UnknownRadio: "unknown", WiFi: "wifi", ThreeG: "3g", LTE: "lte", NR: "5g", Wired: "wired"}

func (r Radio) String() string {
	if int(r) < len(radioNames) {
		return radioNames[r]
	}
	return fmt.Sprintf("Radio(%d)", uint8(r))
}

// Cellular reports whether r is a telephone network's radio, which is the kind
// that is usually paid by the byte.
func (r Radio) Cellular() bool { return r == ThreeG || r == LTE || r == NR }

// ParseRadio understands the names that String gives, and nr and ethernet.
func ParseRadio(s string) (Radio, error) {
	switch name := strings.ToLower(s); name {
	case "nr":
		return NR, nil
	case "ethernet":
		return Wired, nil
	default:
		for r, n := range radioNames {
			if n == name {
				return Radio(r), nil
			}
		}
	}
	return UnknownRadio, fmt.Errorf("radio %.40q is none of %s", s, strings.Join(radioNames[1:], ", "))
}

// MarshalText gives the name.
func (r Radio) MarshalText() ([]byte, error) {
	if r >= radios {
		return nil, fmt.Errorf("radio %d does not exist", uint8(r))
	}
	return []byte(r.String()), nil
}

// UnmarshalText is ParseRadio.
func (r *Radio) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRadio(string(b))
	return err
}
