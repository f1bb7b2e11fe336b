package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/pairing"
)

// pairTime bounds a pairing.
const pairTime = 20 * time.Second

// pairCmd pairs this device with a clone.
type pairCmd struct {
	URL string `arg:"" name:"url" help:"The URL that clonecloud serve printed, in quotes."`
}

func (*pairCmd) usage() string { return "URL" }

func (*pairCmd) exits() string {
	return "0; 1 the clone refuses or does not answer; 2 no pairing URL"
}

func (c *pairCmd) Run(a *app) error {
	if _, err := pairing.Parse(c.URL); err != nil {
		return exitCode{exitUsage, err}
	}
	p, err := pairWith(a, c.URL)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdio.out, "paired with %s (%s)\n", p.Name, p.ID)
	return nil
}

// pairWith pairs and remembers.
func pairWith(a *app, url string) (identity.Peer, error) {
	own, err := identity.LoadOrCreate(a.home)
	if err != nil {
		return identity.Peer{}, withHint(err, "set CLONECLOUD_HOME to a folder that may be written")
	}
	store, err := identity.OpenStore(a.home)
	if err != nil {
		return identity.Peer{}, err
	}
	name, err := os.Hostname()
	if err != nil {
		name = "device"
	}
	ctx, cancel := context.WithTimeout(a.ctx, pairTime)
	defer cancel()
	return pairing.Pair(ctx, url, pairing.Options{Identity: own, Store: store, Name: name})
}

// unpairCmd forgets a clone, or on a node's folder a device.
type unpairCmd struct {
	ID string `arg:"" optional:"" help:"Id (its beginning will do) or name; may be left out when only one is paired."`
}

func (*unpairCmd) usage() string { return "[ID]" }

func (*unpairCmd) exits() string { return "0; 2 ID is not one paired peer; 11 nothing is paired" }

func (c *unpairCmd) Run(a *app) error {
	store, err := identity.OpenStore(a.home)
	if err != nil {
		return err
	}
	p, err := onePeer(store, c.ID)
	if err != nil {
		return err
	}
	told := false
	if len(p.Addresses) > 0 {
		own, err := identity.LoadOrCreate(a.home)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(a.ctx, pairTime)
		defer cancel()
		if told, err = pairing.Unpair(ctx, p.ID, pairing.Options{Identity: own, Store: store}); err != nil {
			return err
		}
	} else if err := store.Remove(p.ID); err != nil {
		return err
	}
	fmt.Fprintf(a.stdio.out, "no longer paired with %s (%s)\n", p.Name, p.ID.Short())
	if len(p.Addresses) > 0 && !told {
		a.say("the other side could not be told; it still lists this device until you unpair there")
	}
	return nil
}

func onePeer(store *identity.Store, id string) (identity.Peer, error) {
	if id != "" {
		p, err := store.Find(id)
		if err != nil {
			return p, exitCode{exitUsage, withHint(err, "an id's first characters or a name will do; clonecloud unpair alone lists them where there are several")}
		}
		return p, nil
	}
	all, err := store.List()
	switch {
	case err != nil:
		return identity.Peer{}, err
	case len(all) == 0:
		return identity.Peer{}, exitCode{exitNotPaired, withHint(errors.New("nothing is paired here"), "a node's paired devices are in its --data folder: clonecloud --home DIR unpair")}
	case len(all) > 1:
		text := "several are paired; say which:"
		for _, p := range all {
			text += fmt.Sprintf("\n  %s  %s", p.ID.Short(), p.Name)
		}
		return identity.Peer{}, exitCode{exitUsage, errors.New(text)}
	}
	return all[0], nil
}

// offCmd stops every offload at once.
type offCmd struct{}

func (offCmd) usage() string { return "" }
func (offCmd) exits() string { return "0; 1 the setting cannot be stored" }

func (offCmd) Run(a *app) error { return switchTo(a, false) }

// onCmd allows offloads again, and stores when the link may be used.
type onCmd struct {
	When *string `placeholder:"WORDS" help:"From now on only when all hold: wifi, charging, battery>30%, metered<200MB/month; always ends it."`
}

func (*onCmd) usage() string { return "[--when WORDS]" }
func (*onCmd) exits() string { return "0; 1 the setting cannot be stored; 2 usage" }

func (c *onCmd) Run(a *app) error {
	if c.When != nil {
		p, err := parseWhen(*c.When)
		if err != nil {
			return err
		}
		if err := device.StorePolicy(a.home, p); err != nil {
			return err
		}
	}
	if err := switchTo(a, true); err != nil {
		return err
	}
	p, err := device.StoredPolicy(a.home)
	if err != nil {
		return err
	}
	if words := p.String(); words != "" {
		fmt.Fprintln(a.stdio.out, "when:", words)
	}
	return nil
}

func switchTo(a *app, on bool) error {
	store, err := identity.OpenStore(a.home)
	if err != nil {
		return err
	}
	if err := store.SetEnabled(on); err != nil {
		return err
	}
	if on {
		fmt.Fprintln(a.stdio.out, "offloading is on")
	} else {
		fmt.Fprintln(a.stdio.out, "offloading is off: everything runs on this device")
	}
	return nil
}
