package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/pairing"
	"github.com/clonecloud/clonecloud/internal/node"
)

// serveCmd is the clone's side.
type serveCmd struct {
	Listen    string        `default:":7373" placeholder:"ADDR" help:"HOST:PORT for UDP (QUIC) and TCP; port 0 chooses one."`
	Data      string        `placeholder:"DIR" help:"Folder for the node's key, paired devices, modules; default: in the home."`
	Engine    string        `enum:"auto,compiler,interpreter" default:"auto" placeholder:"NAME" help:"compiler or interpreter, not the best that works."`
	MaxMemory string        `placeholder:"SIZE" help:"Most memory that one clone may have, such as 2G; default 4G."`
	CallLimit time.Duration `placeholder:"D" default:"1h" help:"End a call that runs longer; the device then runs it itself."`
	Name      string        `placeholder:"NAME" help:"Name that devices see; default: the host's."`
	Runner    string        `hidden:"" env:"CLONECLOUD_RUNNER" help:"Command that starts a runner."`
}

func (*serveCmd) usage() string { return "[FLAGS]" }

func (*serveCmd) exits() string {
	return `0 after SIGTERM or Ctrl-C, which let running calls end; 1 it cannot
listen, or its folder cannot be written`
}

func (c *serveCmd) Run(a *app) (err error) {
	var pages uint32
	if c.MaxMemory != "" {
		if pages, err = parsePages(c.MaxMemory); err != nil {
			return err // before anybody is told where to pair
		}
	}
	data := c.Data
	if data == "" {
		data = filepath.Join(a.home, "node")
	}
	own, err := identity.LoadOrCreate(data)
	if err != nil {
		return withHint(err, "choose a folder that may be written with --data DIR")
	}
	store, err := identity.OpenStore(data)
	if err != nil {
		return err
	}
	name := c.Name
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			name = "clone"
		}
	}
	offers := pairing.NewOffers(own, store, name)
	var l *link.Listener
	l, err = link.Listen(a.ctx, c.Listen, link.ListenOptions{
		Identity: own, Listed: store.Listed,
		Pair: offers.Serve(func(id identity.ID, added bool) {
			if added {
				a.say("paired with device %s", id.Short())
				return
			}
			a.say("device %s is no longer paired", id.Short())
			l.Disconnect(id)
		}),
		Refused: func(err error) { a.log.Info("connection refused", "error", err) },
	})
	if err != nil {
		return err
	}
	u, err := offers.New(pairing.Addresses(l.Addr()))
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdio.out, u)
	pairing.WriteQR(a.stdio.err, u)
	kind := c.Engine
	if kind == "auto" {
		k, _ := engine.DefaultKind()
		kind = k.String()
	}
	a.say("serving on %v as %s (%s, engine %s); the URL above pairs one device within %v", l.Addr(), name, own.ID().Short(), kind, pairing.Lifetime)
	n := node.New(node.Config{
		MaxPages: pages, CallLimit: c.CallLimit,
		Listener: l, Data: data, Software: "clonecloud " + softwareVersion(), Engine: kind,
		Runner: strings.Fields(c.Runner), Log: a.log,
	})
	return n.Serve(a.ctx)
}
