package energy

import (
	"io/fs"
	"path"
	"strings"
)

// Supply is where this device's power comes from.
type Supply struct {
	Known      bool    // false: the system does not say, and the rest means nothing
	HasBattery bool    // a battery that feeds the device
	Charging   bool    // on a charger, or without a battery
	Charge     float64 // of the battery, from 0 to 1; negative: not known
}

const powerSupply = "class/power_supply"

// ReadSupply reads the power supply in the tree of /sys.
func ReadSupply(sys fs.FS) Supply {
	if _, err := fs.ReadDir(sys, powerSupply); err != nil {
		return Supply{}
	}
	dirs := batteries(sys)
	if len(dirs) == 0 {
		return Supply{Known: true, Charging: true, Charge: -1}
	}
	s := Supply{HasBattery: true, Charge: -1}
	now, full := 0.0, 0.0
	discharging := false
	for _, dir := range dirs {
		switch status, _ := readText(sys, path.Join(dir, "status")); status {
		case "Discharging":
			s.Known, discharging = true, true
		case "Charging", "Full", "Not charging":
			s.Known = true
		}
		if n, f, ok := charge(sys, dir); ok {
			now, full = now+n, full+f
		}
	}
	s.Charging = s.Known && !discharging
	if full > 0 {
		s.Charge = min(now/full, 1)
	}
	return s
}

// charge is what a battery holds and can hold, in units of its own; several
// batteries that show their energy are weighed by it.
func charge(sys fs.FS, dir string) (now, full float64, ok bool) {
	for _, unit := range []string{"energy", "charge"} {
		n, err := readMicro(sys, path.Join(dir, unit+"_now"))
		f, err2 := readMicro(sys, path.Join(dir, unit+"_full"))
		if err == nil && err2 == nil && f > 0 && n >= 0 && n <= 1.5*f {
			return min(n, f), f, true
		}
	}
	percent, err := readMicro(sys, path.Join(dir, "capacity"))
	if percent *= 1e6; err == nil && percent >= 0 && percent <= 100 {
		return percent, 100, true
	}
	return 0, 0, false
}

// batteries lists the batteries that feed the device, and not its mouse.
func batteries(sys fs.FS) (dirs []string) {
	entries, _ := fs.ReadDir(sys, powerSupply)
	for _, e := range entries {
		dir := path.Join(powerSupply, e.Name())
		kind, _ := readText(sys, path.Join(dir, "type"))
		scope, _ := readText(sys, path.Join(dir, "scope"))
		present, err := readText(sys, path.Join(dir, "present"))
		if strings.EqualFold(kind, "Battery") && scope != "Device" && (err != nil || present != "0") {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
