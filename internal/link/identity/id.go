package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// ID names a device or a node: the SHA-256 of its certificate's
// SubjectPublicKeyInfo. The zero ID names nobody.
type ID [sha256.Size]byte

// idEncoding is lower-case RFC 4648 base32: no character needs quoting in a
// shell, a URL or a file name, and case does not matter when it is read back.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const (
	idChars    = 52 // 256 bits, 5 a character, rounded up
	idGroup    = 7  // characters between dashes when printed
	shortChars = 7  // one group
	maxIDText  = 128
)

// ErrBadID reports text that is not an ID.
var ErrBadID = errors.New("not a CloneCloud id: expected 52 letters and digits 2-7, in groups of 7")

// OfCertificate returns the ID of the key that cert certifies.
func OfCertificate(cert *x509.Certificate) ID {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// String returns the whole ID in groups of seven characters.
func (id ID) String() string {
	s := id.Compact()
	var b strings.Builder
	for i := 0; i < len(s); i += idGroup {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(s[i:min(i+idGroup, len(s))])
	}
	return b.String()
}

// Compact returns the whole ID as 52 characters without dashes.
func (id ID) Compact() string { return idEncoding.EncodeToString(id[:]) }

// Short returns the first group, enough for a person to tell a few peers apart.
// It is never accepted as proof of anything.
func (id ID) Short() string { return id.Compact()[:shortChars] }

// IsZero reports whether id names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText makes IDs readable in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (id *ID) UnmarshalText(text []byte) error {
	got, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = got
	return nil
}

// ParseID reads an ID in either form, with or without dashes and spaces, in any
// case. The error wraps ErrBadID.
func ParseID(s string) (ID, error) {
	if len(s) > maxIDText {
		return ID{}, fmt.Errorf("%w (got %d characters)", ErrBadID, len(s))
	}
	plain := normalise(s)
	if len(plain) != idChars {
		return ID{}, fmt.Errorf("%w (got %d without dashes)", ErrBadID, len(plain))
	}
	raw, err := idEncoding.DecodeString(plain)
	if err != nil {
		return ID{}, fmt.Errorf("%w: %v", ErrBadID, err)
	}
	if len(raw) != len(ID{}) { // the decoder skips line breaks
		return ID{}, fmt.Errorf("%w: it has line breaks within", ErrBadID)
	}
	id := ID(raw)
	// The last character carries one bit of the hash and four that must be
	// zero: one ID has one spelling.
	if id.Compact() != plain {
		return ID{}, fmt.Errorf("%w: its last character is impossible", ErrBadID)
	}
	return id, nil
}

func normalise(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(s)))
}
