package spectest

import (
	"fmt"
	"strings"
)

// Instance is one instantiated module.
type Instance interface {
	// Call calls an exported function. A v128 takes two words, low first.
	Call(name string, args []uint64) ([]uint64, error)
	// Results gives the types of an exported function's results.
	Results(name string) []string
	// Global reads an exported global.
	Global(name string) (value []uint64, typ string, err error)
}

// Host instantiates the modules of one script.
type Host interface {
	// Instantiate instantiates a module, registered under name unless that is "".
	Instantiate(bin []byte, name string) (Instance, error)
	Close() error
}

// Outcome is what happened at one command.
type Outcome struct {
	Line int
	Type string
	// Got says what happened: "instantiated", "rejected", "returned i32:7", or
	// the trap's message.
	Got string
	// Expected says whether the specification wanted it.
	Expected bool
	File     string // the module of the command
	Text     string // the failure that the specification names
}

// Run runs a script on a host. Commands about the text format are left out.
func Run(s *Script, h Host) ([]Outcome, error) {
	r := &runner{script: s, host: h, named: map[string]Instance{}}
	for i := 0; i < len(s.Commands); i++ {
		c := &s.Commands[i]
		if c.ModuleType == "text" || c.Type == "register" {
			continue
		}
		as := ""
		if i+1 < len(s.Commands) && c.Type == "module" && s.Commands[i+1].Type == "register" {
			as = s.Commands[i+1].As
		}
		o, err := r.command(c, as)
		if err != nil {
			return nil, fmt.Errorf("script %s, line %d: %w", s.Name, c.Line, err)
		}
		r.outcomes = append(r.outcomes, o)
	}
	return r.outcomes, nil
}

type runner struct {
	script   *Script
	host     Host
	last     Instance
	file     string
	named    map[string]Instance
	outcomes []Outcome
}

func (r *runner) command(c *Command, as string) (Outcome, error) {
	o := Outcome{Line: c.Line, Type: c.Type, File: r.file, Text: c.Text}
	switch c.Type {
	case "module":
		r.file = c.Filename
		o.File = c.Filename
		inst, err := r.instantiate(c, as)
		r.last = inst
		if c.Name != "" {
			r.named[c.Name] = inst
		}
		o.Got, o.Expected = said(err), err == nil
	case "assert_malformed", "assert_invalid", "assert_unlinkable", "assert_uninstantiable":
		o.File = c.Filename
		_, err := r.instantiate(c, "")
		o.Got, o.Expected = said(err), err != nil
		if c.Type == "assert_uninstantiable" {
			o.Got = Trap(err) // a start function's trap is seen by a person
		}
	case "assert_return", "action":
		got, types, err := r.act(c)
		if err != nil {
			o.Got = Trap(err)
			break
		}
		o.Got = format(got, types)
		o.Expected = c.Type == "action" || matches(got, c.Expected)
	case "assert_trap", "assert_exhaustion", "assert_exception":
		got, types, err := r.act(c)
		if err == nil {
			o.Got = format(got, types)
			break
		}
		o.Got, o.Expected = Trap(err), true
	default:
		return o, fmt.Errorf("unknown command %q", c.Type)
	}
	return o, nil
}

func (r *runner) instantiate(c *Command, as string) (Instance, error) {
	bin, err := r.script.Module(c.Filename)
	if err != nil {
		return nil, err
	}
	return r.host.Instantiate(bin, as)
}

func (r *runner) act(c *Command) ([]uint64, []string, error) {
	inst := r.last
	if c.Action.Module != "" {
		inst = r.named[c.Action.Module]
	}
	if inst == nil {
		return nil, nil, fmt.Errorf("no module to act on")
	}
	if c.Action.Type == "get" {
		v, typ, err := inst.Global(c.Action.Field)
		return v, []string{typ}, err
	}
	var args []uint64
	for _, a := range c.Action.Args {
		w, err := a.words()
		if err != nil {
			return nil, nil, err
		}
		args = append(args, w...)
	}
	types := inst.Results(c.Action.Field)
	got, err := inst.Call(c.Action.Field, args)
	return got, types, err
}

func said(err error) string {
	if err != nil {
		return "rejected"
	}
	return "instantiated"
}

// Trap gives the first line of an error: what follows is a stack trace, where
// functions have names and places.
func Trap(err error) string {
	if err == nil {
		return "instantiated"
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSuffix(first, " (recovered by wazero)")
}

// format writes results so that equal ones are equal to the bit. References to
// functions are addresses: only whether they are null can be compared.
func format(words []uint64, types []string) string {
	var b strings.Builder
	b.WriteString("returned")
	for _, t := range types {
		n := 1
		if t == "v128" {
			n = 2
		}
		if len(words) < n {
			return b.String() + " too little"
		}
		switch {
		case t == "funcref" && words[0] != 0:
			b.WriteString(" funcref")
		case t == "v128":
			fmt.Fprintf(&b, " v128:%016x%016x", words[1], words[0])
		case t == "i32" || t == "f32":
			fmt.Fprintf(&b, " %s:%08x", t, uint32(words[0]))
		default:
			fmt.Fprintf(&b, " %s:%016x", t, words[0])
		}
		words = words[n:]
	}
	return b.String()
}
