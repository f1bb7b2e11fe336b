package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set at release by -ldflags "-X main.version=v1.2.3".
var version = "dev"

// versionCmd prints the version.
type versionCmd struct{}

func (versionCmd) usage() string { return "" }
func (versionCmd) exits() string { return "0" }

func (versionCmd) Run(a *app) error {
	fmt.Fprintf(a.stdio.out, "clonecloud %s %s/%s %s\n", softwareVersion(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return nil
}

// softwareVersion is the release, or for a build from a checkout its commit.
func softwareVersion() string {
	if version != "dev" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + "+" + s.Value[:12]
		}
	}
	return version
}
