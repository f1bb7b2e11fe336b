package device

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// record leaves a commit record in a home, as a killed run does.
func record(t *testing.T, home, content string) (path string) {
	t.Helper()
	if err := os.MkdirAll(commitsDir(home), 0o700); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(commitsDir(home), strings.Repeat("ab", 16)+".commit")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARecordOfALivingRunIsLeftAlone(t *testing.T) {
	home := t.TempDir()
	path := record(t, home, "in progress")
	release, err := holdCommits(home, [16]byte([]byte(strings.Repeat("\xab", 16))))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := recoverCommits(home, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "in progress" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestARecordThatCannotBeReadIsKeptAndNamed(t *testing.T) {
	home := t.TempDir()
	path := record(t, home, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // reading it fails, as on a damaged disk
		t.Fatal(err)
	}
	err := recoverCommits(home, slog.New(slog.DiscardHandler))
	if _, statErr := os.Stat(path); statErr != nil {
		t.Errorf("the record is gone: %v", statErr)
	}
	var h hinted
	if err == nil || !errors.As(err, &h) || !strings.Contains(h.Hint(), path) {
		t.Errorf("error %v", err)
	}
}

// What was not wholly written was not acted upon either.
func TestARecordThatWasCutInItsFirstEntryIsNothing(t *testing.T) {
	for _, content := range []string{"", "torn"} {
		home := t.TempDir()
		path := record(t, home, content)
		if err := recoverCommits(home, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: the record is still there: %v", content, err)
		}
	}
}
