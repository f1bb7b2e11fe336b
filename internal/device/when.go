package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/policy"
)

// whenFile holds the policy of a home: its words, as a line of text.
const whenFile = "when"

const maxWhen = 4 << 10 // bytes

// StoredPolicy reads the policy of a home; without one everything is allowed. The
// error of words that make no sense wraps policy.ErrPolicy.
func StoredPolicy(home string) (policy.Policy, error) {
	data, err := readAtMost(filepath.Join(home, whenFile), maxWhen)
	if errors.Is(err, fs.ErrNotExist) {
		return policy.Policy{}, nil
	}
	var p policy.Policy
	if err == nil {
		p, err = policy.Parse(string(data))
	}
	if err != nil {
		return p, hinted{fmt.Errorf("read the stored policy: %w", err), "clonecloud on --when WORDS stores another; --when always allows everything"}
	}
	return p, nil
}

// StorePolicy keeps it for all runs to come, and for those that run from their
// next start.
func StorePolicy(home string, p policy.Policy) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("store the policy: %w", err)
	}
	if err := identity.WriteFile(filepath.Join(home, whenFile), []byte(p.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("store the policy: %w", err)
	}
	return nil
}
