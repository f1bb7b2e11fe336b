package energy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// OwnFile is a device's own profile, in its folder of state.
const OwnFile = "energy.json"

// Choice is a profile and why it was chosen.
type Choice struct {
	Profile *Profile
	// Own says that it is the device's own file, or one for its very model.
	Own bool
	// Why is for a person: "the built-in profile oneplus8: this device has none of its own".
	Why string
	// Err is what is wrong with the device's own file, which is then not used.
	Err error
}

// boards are the models that built-in profiles are of, as /sys/firmware says
// them.
var boards = map[string]string{"raspberry pi 4": "raspberry-pi-4"}

// Choose returns the power profile of this device: the one in its folder of
// state, or else a built-in one for its model, or else Default. A file that is
// absurd is not fatal: Err says what is wrong with it, for the caller to show.
func Choose(home string, sys fs.FS) Choice {
	path := filepath.Join(home, OwnFile)
	var c Choice
	p, err := load(path)
	switch {
	case err == nil:
		return Choice{Profile: p, Own: true, Why: "this device's own profile, " + path}
	case !errors.Is(err, fs.ErrNotExist):
		c.Err = fmt.Errorf("%s is not used: %w", path, err)
	}
	model, _ := readText(sys, "firmware/devicetree/base/model")
	model = strings.Trim(model, "\x00")
	for prefix, name := range boards {
		if strings.HasPrefix(strings.ToLower(model), prefix) {
			c.Profile, c.Own = builtin()[name], true
			c.Why = fmt.Sprintf("the built-in profile %s, for this %s", name, model)
			return c
		}
	}
	c.Profile = Default()
	c.Why = fmt.Sprintf("the built-in profile %s: this device has none of its own (clonecloud doctor --calibrate makes one)", DefaultName)
	return c
}

func load(path string) (*Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// Encode is the profile as its file, OwnFile, holds it.
func (p *Profile) Encode() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	return append(data, '\n'), nil
}
