package proc

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestAReportIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Confinement{
			NoNewPrivileges:   rapid.Bool().Draw(t, "privileges"),
			SystemCallFilter:  rapid.Bool().Draw(t, "filter"),
			NetworkNamespace:  rapid.Bool().Draw(t, "namespace"),
			ParentDeathSignal: rapid.Bool().Draw(t, "signal"),
			Descriptors:       rapid.IntRange(0, 1<<20).Draw(t, "descriptors"),
		}
		for range rapid.IntRange(0, 12).Draw(t, "notes") {
			c.note("%s", rapid.StringOfN(rapid.RuneFrom([]rune("ab \"<é")), 0, 300, -1).Draw(t, "note"))
		}
		for i, n := range c.Notes {
			c.Notes[i] = strings.ToValidUTF8(n, "\uFFFD") // as JSON does
		}
		var b bytes.Buffer
		if err := writeHello(&b, c); err != nil {
			t.Fatal(err)
		}
		b.WriteString("rest")
		got, err := readHello(iotest.OneByteReader(&b))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c) {
			t.Fatalf("read %+v, %v; wrote %+v", got, err, c)
		}
		if rest, _ := io.ReadAll(&b); string(rest) != "rest" {
			t.Fatalf("left %q for the program", rest)
		}
	})
}

func TestABadReportIsAnError(t *testing.T) {
	tests := map[string]string{
		"nothing":         "",
		"another program": "HTTP/1.1 400 Bad Request\r\n",
		"another version": "CCRUNNER9\x00\x02{}",
		"cut off":         helloMagic + "\x00\x09{\"a\":1",
		"too long":        helloMagic + "\xff\xff" + strings.Repeat(" ", 1<<16),
		"no JSON":         helloMagic + "\x00\x02[}",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if c, err := readHello(strings.NewReader(text)); err == nil {
				t.Errorf("read %+v", c)
			}
		})
	}
}

func FuzzReadHello(f *testing.F) {
	var b bytes.Buffer
	if err := writeHello(&b, Confinement{NoNewPrivileges: true, Notes: []string{"a"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(helloMagic + "\x00\x02{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		if _, err := readHello(r); err == nil && len(b)-r.Len() > len(helloMagic)+2+maxHello {
			t.Error("it read on")
		}
	})
}
