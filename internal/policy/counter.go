package policy

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Counter counts the bytes that went over metered links each month, in a folder
// that survives the process. Several processes may count into one folder, and
// several goroutines into one Counter.
//
// Each month is a file to which lines are appended, each with its checksum: a
// line that a crash cut short is not counted. Bytes are written down before they
// are used, in steps, and what was not used is given back by Close: a crash
// counts up to one step too many, never too few.
//
// A clock that is set back wins no new month. A file of a later month than now
// is renamed to bear both names, and counts in both: what was used "in
// December" counts when the clock says November again, and still counts when it
// truly is December; a clock that was for an hour in 2099 costs November what
// was used in that hour, and nothing afterwards. A clock from before clockSet is
// a device that does not know the time yet: the latest month goes on.
type Counter struct {
	dir string

	mu      sync.Mutex
	month   string // that prepaid was written down in
	prepaid int64
	file    string // that holds prepaid, by its origin
}

const (
	step    = 256 << 10 // bytes written down at once
	maxFile = 16 << 20  // bytes read of one month's file
	maxLine = 1 << 50   // bytes that one line may count
)

// clockSet is before this program existed.
var clockSet = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// monthFile matches "2026-11.log" and "2026-11+2026-12.log".
var monthFile = regexp.MustCompile(`^\d{4}-\d{2}(\+\d{4}-\d{2})*\.log$`)

// OpenCounter opens or makes the folder.
func OpenCounter(dir string) (*Counter, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the month's data counter: %w", err)
	}
	return &Counter{dir: dir}, nil
}

// Used is how many bytes count for the month of now, in now's time zone.
func (c *Counter) Used(now time.Time) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	month, err := c.settle(now)
	if err != nil {
		return 0, fmt.Errorf("read the month's data counter: %w", err)
	}
	total, err := c.total(month)
	for try := 0; errors.Is(err, fs.ErrNotExist) && try < 3; try++ {
		total, err = c.total(month) // another process gave a file a second name
	}
	if err != nil {
		return 0, fmt.Errorf("read the month's data counter: %w", err)
	}
	return max(total, 0), nil
}

// total is what the files that count for a month say, less what is written down
// and not used.
func (c *Counter) total(month string) (total int64, err error) {
	files, err := c.files()
	if err != nil {
		return 0, err
	}
	unused := c.prepaid
	for _, f := range files {
		if !slices.Contains(f.months, month) {
			continue
		}
		n, err := sum(filepath.Join(c.dir, f.name))
		if err != nil {
			return 0, err
		}
		total += n
		if f.origin() == c.file {
			total -= unused
			unused = 0
		}
	}
	return total, nil
}

// Add counts n bytes before they travel. On an error they are not counted, and
// must not travel if there is a limit.
func (c *Counter) Add(now time.Time, n int64) error {
	if n <= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	month, err := c.settle(now)
	if err != nil {
		return fmt.Errorf("count metered bytes: %w", err)
	}
	if month != c.month {
		if err := c.refund(); err != nil {
			return fmt.Errorf("count metered bytes: %w", err)
		}
		c.month = month
	}
	if n <= c.prepaid {
		c.prepaid -= n
		return nil
	}
	n -= c.prepaid
	c.prepaid = 0 // so that what is left is always in the file written last
	more := (min(n, maxLine/2) + step - 1) / step * step
	if err := c.append(month, more); err != nil {
		return fmt.Errorf("count metered bytes: %w", err)
	}
	c.prepaid = max(more-n, 0)
	return nil
}

// Close gives back what was written down and not used.
func (c *Counter) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refund(); err != nil {
		return fmt.Errorf("close the month's data counter: %w", err)
	}
	return nil
}

// refund takes back what was written down and not used, in the file that it was
// written into: another counts for other months.
func (c *Counter) refund() error {
	if c.prepaid == 0 {
		return nil
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.origin() == c.file {
			err = write(filepath.Join(c.dir, f.name), -c.prepaid)
			break
		}
	}
	if err == nil {
		c.prepaid, c.file = 0, ""
	}
	return err
}

type countFile struct {
	name   string
	months []string // in order
}

// origin is the month in which the file was made. No two have the same, but for
// processes that race: one is made only when none counts for its month, and
// renaming keeps it.
func (f countFile) origin() string { return f.months[len(f.months)-1] }

func (c *Counter) files() ([]countFile, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, err
	}
	var all []countFile
	for _, e := range entries {
		if monthFile.MatchString(e.Name()) {
			all = append(all, countFile{e.Name(), strings.Split(strings.TrimSuffix(e.Name(), ".log"), "+")})
		}
	}
	return all, nil
}

// settle returns the month that now counts for, after giving files of later
// months its name too.
func (c *Counter) settle(now time.Time) (string, error) {
	month := now.Format("2006-01")
	files, err := c.files()
	if err != nil {
		return "", err
	}
	if now.Before(clockSet) {
		latest := month
		for _, f := range files {
			latest = max(latest, f.months[0])
		}
		return latest, nil
	}
	for _, f := range files {
		if f.months[0] <= month {
			continue
		}
		both := month + "+" + f.name
		if _, err := os.Lstat(filepath.Join(c.dir, both)); err == nil || len(both) > 250 {
			continue // another process was first, or the clock was set back thirty times
		}
		err := os.Rename(filepath.Join(c.dir, f.name), filepath.Join(c.dir, both))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process was first
			return "", err
		}
	}
	return month, nil
}

// append writes a line to the file of the month, or to the one that has its
// name among others: it too counts in all of them.
func (c *Counter) append(month string, n int64) error {
	name := month + ".log"
	files, err := c.files()
	if err != nil {
		return err
	}
	longest := 0
	for _, f := range files {
		if slices.Contains(f.months, month) && len(f.months) > longest {
			name, longest = f.name, len(f.months)
		}
	}
	if err := write(filepath.Join(c.dir, name), n); err != nil {
		return err
	}
	c.file = name[len(name)-len("2006-01.log") : len(name)-len(".log")]
	return nil
}

// write appends a line and waits until it is kept. It begins with a line's end,
// so that one that was cut short spoils no other.
func write(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + line(n) + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

func line(n int64) string {
	text := strconv.FormatInt(n, 10)
	return fmt.Sprintf("%s %08x", text, crc32.ChecksumIEEE([]byte(text)))
}

// sum adds up the whole lines of a file.
func sum(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for text := range strings.Lines(string(data)) {
		text = strings.TrimSuffix(text, "\n")
		number, _, _ := strings.Cut(text, " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err == nil && line(n) == text && n > -maxLine && n < maxLine {
			total += n
		}
	}
	return total, nil
}
