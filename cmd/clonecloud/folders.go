package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/runner"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// checkFolder says why a folder cannot be shown to a guest, and what to do.
func checkFolder(path string) error {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return withHint(err, "this user may not read it: chmod it, or show another folder")
	case err != nil:
		return withHint(err, "give a folder that exists: --dir HOST::GUEST shows HOST to the program as GUEST")
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.IsDir() {
		return withHint(errors.New("it is not a folder"), "show the folder that it is in: --dir "+filepath.Dir(path))
	}
	return nil
}

// adviseFolders says which flag was probably forgotten when a program that uses
// files has failed: the libraries of most languages give up on a path that is
// in no folder of theirs before any import is called, so that nothing but the
// command line tells what the program was after.
func (c *runCmd) adviseFolders(a *app, res *device.Result) {
	if res.Exit.Error != "" && !res.Exit.Unsupported && res.Exit.Code != 134 {
		return // it never ran
	}
	if flag := oursAmong(c.App[1:]); flag != "" {
		a.say("%s came after the application, so it was the program's: put it before %s", flag, c.App[0])
		return
	}
	dirs, err := parseDirs(c.Dir)
	if err != nil || !usesFiles(c.App[0]) {
		return
	}
	if p := unseen(c.App[1:], dirs); p != "" {
		a.say("the program was not shown %s; to let it see that folder: --dir %s", p, p)
	} else if len(dirs) == 0 {
		a.say("the program may use files and was shown no folder; to show it this one: --dir .")
	}
}

// oursAmong finds a flag that people put after the application by mistake.
func oursAmong(args []string) string {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if slices.Contains([]string{"--dir", "--where", "--clone", "--report", "--env"}, name) {
			return name
		}
	}
	return ""
}

// usesFiles reports whether a module can open anything.
func usesFiles(app string) bool {
	data, err := readModule(app)
	if err != nil {
		return false
	}
	m, err := wasmbin.Parse(data, wasmbin.Limits{})
	if err != nil {
		return false
	}
	return slices.ContainsFunc(m.Imports, func(i wasmbin.Import) bool {
		return i.Module == wasi.ModuleName && i.Name == "path_open"
	})
}

// unseen returns the folder of the first argument that is a path on this
// machine, as given, and in no folder that the guest sees.
func unseen(args []string, dirs []runner.Dir) string {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || arg == "" {
			continue
		}
		dir := filepath.Clean(arg)
		if !info.IsDir() {
			dir = filepath.Dir(dir)
		}
		if !slices.ContainsFunc(dirs, func(d runner.Dir) bool { return within(filepath.ToSlash(dir), d.Guest) }) {
			return dir
		}
	}
	return ""
}

// within reports whether a guest path is in a folder of the guest.
func within(path, folder string) bool {
	path, folder = strings.Trim(path, "/"), strings.Trim(folder, "/")
	return folder == "" || folder == "." || path == folder || strings.HasPrefix(path, folder+"/")
}
