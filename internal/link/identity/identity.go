package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	keyFile  = "key.pem"
	certFile = "cert.pem"
	lockFile = "peers.lock"
)

// Identity is a private key with its certificate. It is immutable and may be
// shared between goroutines.
type Identity struct {
	id   ID
	cert tls.Certificate
}

// ID returns the name that peers list.
func (i *Identity) ID() ID { return i.id }

// TLSCertificate returns the certificate and key for a handshake.
func (i *Identity) TLSCertificate() tls.Certificate { return i.cert }

// LoadOrCreate reads the identity in dir and makes one when there is none. dir
// is created with mode 0700. Several processes may race here: they agree on one
// key. A key that is there but cannot be read is an error, never replaced,
// because a new key would silently undo every pairing.
func LoadOrCreate(dir string) (*Identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, advise(fmt.Errorf("create identity folder: %w", err), "set CLONECLOUD_HOME to a folder that you may write")
	}
	unlock, err := lock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("lock identity folder: %w", err)
	}
	defer unlock()
	id, err := load(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	return create(dir)
}

// Ephemeral returns an identity that is kept nowhere, for a demo or a test.
func Ephemeral() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := selfSign(key)
	if err != nil {
		return nil, err
	}
	return assemble(key, der)
}

func create(dir string) (*Identity, error) {
	id, err := Ephemeral()
	if err != nil {
		return nil, err
	}
	key, ok := id.cert.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("generated key has an unexpected type")
	}
	if err := writePEM(filepath.Join(dir, keyFile), "PRIVATE KEY", func() ([]byte, error) {
		return x509.MarshalPKCS8PrivateKey(key)
	}); err != nil {
		return nil, err
	}
	if err := writePEM(filepath.Join(dir, certFile), "CERTIFICATE", func() ([]byte, error) {
		return id.cert.Certificate[0], nil
	}); err != nil {
		return nil, err
	}
	return id, nil
}

// load returns an error that wraps fs.ErrNotExist only when there is no key.
func load(dir string) (*Identity, error) {
	der, err := readPEM(filepath.Join(dir, keyFile), "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, advise(fmt.Errorf("parse %s: %w", keyFile, err), "restore it from a backup, or delete it and pair again")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, advise(fmt.Errorf("%s is not an ECDSA P-256 key", keyFile), "delete it and pair again")
	}
	certDER, err := readPEM(filepath.Join(dir, certFile), "CERTIFICATE")
	if errors.Is(err, fs.ErrNotExist) {
		// Cut between the two writes: the key is the identity, the
		// certificate only carries it.
		if certDER, err = selfSign(key); err != nil {
			return nil, err
		}
		err = writePEM(filepath.Join(dir, certFile), "CERTIFICATE", func() ([]byte, error) { return certDER, nil })
	}
	if err != nil {
		return nil, err
	}
	return assemble(key, certDER)
}

func assemble(key *ecdsa.PrivateKey, der []byte) (*Identity, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, advise(fmt.Errorf("parse %s: %w", certFile, err), "delete it, it is made again from the key")
	}
	pub, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !pub.Equal(&key.PublicKey) {
		return nil, advise(fmt.Errorf("%s does not belong to %s", certFile, keyFile), "delete it, it is made again from the key")
	}
	return &Identity{
		id:   OfCertificate(leaf),
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
	}, nil
}

func selfSign(key *ecdsa.PrivateKey) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "clonecloud"},
		// Wide on purpose: see the package comment on clocks.
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign own certificate: %w", err)
	}
	return der, nil
}

func writePEM(path, kind string, der func() ([]byte, error)) error {
	b, err := der()
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	return WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600)
}

const maxPEM = 64 << 10 // bytes; a P-256 key or certificate is below 1 KB

func readPEM(path, kind string) ([]byte, error) {
	raw, err := readLimited(path, maxPEM)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != kind {
		return nil, advise(fmt.Errorf("%s holds no %s block", path, kind), "restore it from a backup, or delete it and pair again")
	}
	return block.Bytes, nil
}
