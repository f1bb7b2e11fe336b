package device

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/clonecloud/clonecloud/internal/wasi/stage"
)

// Commit records of a home live in one folder: RUN.commit, with RUN.lock held
// by the run for as long as it lives. A record whose lock is free belongs to a
// run that was killed: the next start finishes or undoes it (PROTOCOL rule 16).

func commitsDir(home string) string { return filepath.Join(home, "commits") }

// holdCommits takes the lock of a new run.
func holdCommits(home string, run [16]byte) (release func(), err error) {
	dir := commitsDir(home)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for commit records: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%x.lock", run[:]))
	free, ok := tryLock(path)
	if !ok {
		return nil, fmt.Errorf("lock %s: not possible", path)
	}
	return func() {
		_ = os.Remove(path)
		free()
	}, nil
}

// recoverCommits ends the commits of runs that were killed in the middle of
// one. A record that cannot be recovered is kept and named: until it is, files
// that it is about may be half changed.
func recoverCommits(home string, log *slog.Logger) error {
	records, err := filepath.Glob(filepath.Join(commitsDir(home), "*.commit"))
	if err != nil || len(records) == 0 {
		return nil
	}
	for _, record := range records {
		lock := strings.TrimSuffix(record, ".commit") + ".lock"
		free, ok := tryLock(lock)
		if !ok {
			continue // its run lives
		}
		err := stage.Recover(stage.FileJournal{Path: record}, stage.OS(), stage.AsRecorded)
		if err == nil {
			log.Info("finished or undid the commit of a run that was killed", "record", record)
			_ = os.Remove(record)
			_ = os.Remove(lock)
		}
		free()
		if err != nil {
			return hinted{
				fmt.Errorf("a run was killed while it changed files, and its changes cannot be finished or undone: %w", err),
				"make the file accessible and run again; the record is " + record,
			}
		}
	}
	return nil
}
