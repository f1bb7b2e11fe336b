package runner

import (
	"crypto/sha256"
	"encoding/binary"
)

// hash identifies the guest's memory and globals, so that two runs can be
// compared.
func (g *guest) hash() []byte {
	h := sha256.New()
	h.Write(g.Bytes())
	for _, v := range g.readGlobals() {
		h.Write(binary.LittleEndian.AppendUint64(nil, v))
	}
	return h.Sum(nil)
}
