package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
)

// wazeroVersion is part of each cache key: machine code of one version is
// nothing to another. A test holds it equal to go.mod.
const wazeroVersion = "v1.12.0"

// codeCache keeps compiled modules in a folder.
//
// The engine has a cache of its own, but it checks only part of an entry: a
// flipped bit in the table of function offsets makes it jump astray, and an
// altered count makes it allocate without bound. So the engine gets a private
// staging folder that exists only while a module is compiled, and entries are
// kept here under
//
//	DIR/KEY/NAME.SUM
//
// KEY is of the module, the platform and the engine's version; NAME is the
// engine's own file name, which covers the processor's features; SUM is the
// SHA-256 of the content, checked on each load. An entry is put in place by one
// rename, so that processes need no lock. Bad entries are deleted.
type codeCache struct {
	dir      string
	maxBytes int64
	warn     func(error)
	variant  string
	wazero   wazero.CompilationCache
	staging  string // this process's, directly below dir
	inner    string // where the engine looks, below staging

	mu sync.Mutex // one compilation at a time has the staging folder
}

const (
	stagingPrefix = "staging-"
	// stagingAge is how old a staging folder must be to be a dead process's.
	stagingAge = time.Hour
	// maxEntryBytes bounds a file that is loaded: larger ones are not ours.
	maxEntryBytes = 4 << 30
)

func openCache(c Config) (*codeCache, error) {
	dir, err := filepath.Abs(c.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("open compile cache: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open compile cache: %w", err)
	}
	sweepStaging(dir)
	staging, err := os.MkdirTemp(dir, stagingPrefix)
	if err != nil {
		return nil, fmt.Errorf("open compile cache: %w", err)
	}
	defer func() { _ = os.RemoveAll(staging) }() // recreated for each compilation
	wz, err := wazero.NewCompilationCacheWithDir(staging)
	if err != nil {
		return nil, fmt.Errorf("open compile cache: %w", err)
	}
	sub, err := os.ReadDir(staging)
	if err != nil || len(sub) != 1 {
		return nil, fmt.Errorf("open compile cache: the engine's folder has %d entries, want 1: %w", len(sub), err)
	}
	return &codeCache{
		dir: dir, maxBytes: c.MaxCacheBytes, warn: c.Warn,
		variant: fmt.Sprintf("clonecloud code 1 wazero %s %s/%s debug=%t\n", wazeroVersion, runtime.GOOS, runtime.GOARCH, c.DebugInfo),
		wazero:  wz, staging: staging, inner: filepath.Join(staging, sub[0].Name()),
	}, nil
}

// sweepStaging removes what killed processes left. Errors do not matter.
func sweepStaging(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), stagingPrefix) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > stagingAge {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

func (c *codeCache) close(ctx context.Context) error {
	_ = os.RemoveAll(c.staging)
	return c.wazero.Close(ctx)
}

// compile runs compile with the module's entry in place, if there is a sound
// one, and keeps what the engine wrote. hit tells that the entry was used.
func (c *codeCache) compile(wasm []byte, compile func() (wazero.CompiledModule, error)) (cm wazero.CompiledModule, hit bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	folder := filepath.Join(c.dir, c.key(wasm))
	if err := os.MkdirAll(c.inner, 0o700); err != nil {
		c.warn(fmt.Errorf("use compile cache: %w", err))
	}
	defer func() { _ = os.RemoveAll(c.staging) }()

	staged := c.stage(folder)
	if cm, err = compile(); err != nil && c.worthRetry(err, len(staged)) {
		c.warn(fmt.Errorf("use compile cache (compiling again): %w", err))
		c.discard(folder, staged)
		staged = nil
		cm, err = compile()
	}
	if err != nil {
		return nil, false, err
	}
	return cm, c.keep(folder, staged), nil
}

func (c *codeCache) key(wasm []byte) string {
	h := sha256.New()
	_, _ = io.WriteString(h, c.variant)
	sum := sha256.Sum256(wasm)
	h.Write(sum[:])
	return hex.EncodeToString(h.Sum(nil))
}

// worthRetry tells an error of the cache from one of the module: either an entry
// was there to be at fault, or a file could not be written. In the second case
// the module is compiled already, and the engine finds it in its memory.
func (c *codeCache) worthRetry(err error, staged int) bool {
	var path *fs.PathError
	var link *os.LinkError
	return staged > 0 || errors.As(err, &path) || errors.As(err, &link)
}

// stagedEntry is an entry put in the engine's way.
type stagedEntry struct {
	source string
	info   fs.FileInfo // of the staged file
}

// same tells whether the engine left the staged file alone.
func (s stagedEntry) same(now fs.FileInfo) bool {
	return os.SameFile(s.info, now) && s.info.Size() == now.Size() && s.info.ModTime().Equal(now.ModTime())
}

// stage puts the module's sound entries where the engine looks, by the engine's
// names, and deletes the others.
func (c *codeCache) stage(folder string) map[string]stagedEntry {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	staged := map[string]stagedEntry{}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		name, sum, ok := strings.Cut(e.Name(), ".")
		if !ok {
			_ = os.RemoveAll(path)
			continue
		}
		if err := checkFile(path, sum); err != nil {
			c.warn(fmt.Errorf("compile cache entry deleted: %w", err))
			_ = os.RemoveAll(path)
			continue
		}
		target := filepath.Join(c.inner, name)
		if err := linkOrCopy(path, target); err != nil {
			continue
		}
		if info, err := os.Stat(target); err == nil {
			staged[name] = stagedEntry{source: path, info: info}
		}
	}
	return staged
}

func (c *codeCache) discard(folder string, staged map[string]stagedEntry) {
	for name, s := range staged {
		_ = os.Remove(filepath.Join(c.inner, name))
		_ = os.Remove(s.source)
	}
	_ = os.Remove(folder)
}

// keep moves what the engine wrote into the folder. It returns whether the
// engine was content with what it found instead.
func (c *codeCache) keep(folder string, staged map[string]stagedEntry) (hit bool) {
	entries, err := os.ReadDir(c.inner)
	if err != nil {
		return false
	}
	wrote := false
	for _, e := range entries {
		path := filepath.Join(c.inner, e.Name())
		info, err := e.Info()
		if err != nil || strings.Contains(e.Name(), ".") || !info.Mode().IsRegular() {
			continue
		}
		s, ok := staged[e.Name()]
		if ok && s.same(info) {
			now := time.Now()
			_ = os.Chtimes(s.source, now, now)
			hit = true
			continue
		}
		if err := c.keepOne(folder, path, e.Name()); err != nil {
			c.warn(fmt.Errorf("keep compiled code: %w", err))
			continue
		}
		if ok {
			_ = os.Remove(s.source) // the engine found it stale
		}
		wrote = true
	}
	if wrote {
		c.prune()
	}
	return hit && !wrote
}

func (c *codeCache) keepOne(folder, path, name string) error {
	sum, err := hashFile(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(folder, name+"."+sum))
}

// prune deletes the entries that were unused for longest until the rest fits.
func (c *codeCache) prune() {
	type entry struct {
		path string
		size int64
		used time.Time
	}
	var all []entry
	var total int64
	_ = filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if d != nil && d.IsDir() && strings.HasPrefix(d.Name(), stagingPrefix) {
				return fs.SkipDir
			}
			return nil //nolint:nilerr // an entry that another process removed
		}
		if info, err := d.Info(); err == nil {
			all = append(all, entry{path, info.Size(), info.ModTime()})
			total += info.Size()
		}
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int { return a.used.Compare(b.used) })
	for _, e := range all {
		if total <= c.maxBytes {
			return
		}
		if os.Remove(e.path) == nil {
			total -= e.size
			_ = os.Remove(filepath.Dir(e.path)) // fails while it holds others
		}
	}
}

func checkFile(path, want string) error {
	got, err := hashFile(path)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s: its content was altered", path)
	}
	return nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxEntryBytes {
		return "", fmt.Errorf("%s: not a cache entry", path)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// linkOrCopy makes target have source's content; some systems allow no links.
func linkOrCopy(source, target string) error {
	if os.Link(source, target) == nil {
		return nil
	}
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
