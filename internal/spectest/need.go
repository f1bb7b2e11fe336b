package spectest

import (
	"os"
	"testing"
)

// Missing ends a test whose suite is not there: it is skipped on a person's
// machine, and fails in CI, where a suite that nobody ran must not look passed.
func Missing(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal(err)
	}
	tb.Skip(err)
}
