package identity

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnIdentityIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "home")
	first, err := LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID() != again.ID() || first.ID().IsZero() {
		t.Fatal(first.ID(), again.ID())
	}
	if runtime.GOOS != "windows" {
		for _, f := range []string{keyFile, certFile} {
			st, err := os.Stat(filepath.Join(dir, f))
			if err != nil || st.Mode().Perm() != 0o600 {
				t.Fatalf("%s: %v %v", f, st.Mode(), err)
			}
		}
	}
}

func TestConcurrentStartsAgreeOnOneIdentity(t *testing.T) {
	dir := t.TempDir()
	ids := make([]ID, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			id, err := LoadOrCreate(dir)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = id.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatal("two identities in one folder")
		}
	}
}

func TestTheIDIsTheKeysAndSurvivesALostCertificate(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, certFile)); err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreate(dir)
	if err != nil || again.ID() != first.ID() {
		t.Fatal(err)
	}
}

func TestADamagedIdentityIsAnErrorAndNeverReplaced(t *testing.T) {
	other := t.TempDir()
	if _, err := LoadOrCreate(other); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(other, certFile))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		file string
		data []byte
	}{
		"empty key":                  {keyFile, nil},
		"key that is text":           {keyFile, []byte("hello")},
		"key of the wrong kind":      {keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1, 2}})},
		"key that is huge":           {keyFile, make([]byte, maxPEM+1)},
		"certificate of another key": {certFile, foreign},
		"certificate that is junk":   {certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := LoadOrCreate(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, tt.file), tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if id, err := LoadOrCreate(dir); err == nil {
				t.Fatal("accepted", id.ID())
			}
			got, err := os.ReadFile(filepath.Join(dir, tt.file))
			if err != nil || string(got) != string(tt.data) {
				t.Fatal("the file was changed")
			}
		})
	}
}

func TestIDsPrintAndParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		for _, s := range []string{id.String(), id.Compact(), strings.ToUpper(id.String()), " " + id.String() + "\n"} {
			got, err := ParseID(s)
			if err != nil || got != id {
				t.Fatalf("%q: %v", s, err)
			}
		}
		if !strings.HasPrefix(id.String(), id.Short()) {
			t.Fatal("the short form does not begin the long one")
		}
	})
}

func TestOneIDHasOneSpelling(t *testing.T) {
	s := ID{}.Compact()
	if _, err := ParseID(s[:len(s)-1] + "b"); !errors.Is(err, ErrBadID) {
		t.Fatal(err)
	}
}

func TestAnIDWithLineBreaksInPlaceOfCharactersIsRefused(t *testing.T) {
	s := ID{}.Compact()
	for _, bad := range []string{s[:20] + "\r\n\r\n" + s[24:], s[:20] + "\n" + s[21:]} {
		if _, err := ParseID(bad); !errors.Is(err, ErrBadID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(ID{1, 2, 3}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			if !errors.Is(err, ErrBadID) {
				t.Fatal(err)
			}
			return
		}
		if id.Compact() != normalise(s) {
			t.Fatalf("%q became %s", s, id)
		}
	})
}
