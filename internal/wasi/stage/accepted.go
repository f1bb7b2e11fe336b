package stage

import (
	"slices"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// Accepted lists the handles of connections that the attempt has accepted: the
// device handles that its result may name beside those that the guest had.
func (s *Server) Accepted() []wasi.Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accepted)
}
