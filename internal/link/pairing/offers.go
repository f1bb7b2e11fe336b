package pairing

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/clonecloud/clonecloud/internal/link/identity"
)

// Limits of pairing.
const (
	Lifetime    = 10 * time.Minute
	MaxFailures = 10 // wrong attempts by anybody until all live tokens are withdrawn
	maxOffers   = 64 // tokens remembered, spent ones included
	burst       = 20 // attempts at once, in total
	perAttempt  = 3 * time.Second
	forgetSpent = time.Hour // how long a spent token still gets its own error
)

// tokenHint finds a token without revealing it.
type tokenHint [8]byte

func (t Token) hint() tokenHint {
	sum := sha256.Sum256(append([]byte("clonecloud pairing hint"), t[:]...))
	return tokenHint(sum[:8])
}

// offer is one token's life.
type offer struct {
	token     Token
	made      time.Time
	usedBy    identity.ID // zero: nobody yet
	confirmed bool
	withdrawn bool
}

// Offers are the tokens that a node has given out. They are kept in memory: a
// restart withdraws them.
type Offers struct {
	own   *identity.Identity
	store *identity.Store
	name  string

	mu       sync.Mutex
	offers   map[tokenHint]*offer
	failures int
	credit   float64 // attempts that may come now
	creditAt time.Time
}

// NewOffers returns a node's tokens, none yet. Devices that pair are added to
// store; name is shown to them.
func NewOffers(own *identity.Identity, store *identity.Store, name string) *Offers {
	return &Offers{
		own: own, store: store, name: identity.CleanName(name),
		offers: map[tokenHint]*offer{}, credit: burst, creditAt: time.Now(),
	}
}

// New makes a token and the URL that carries it to a device.
func (o *Offers) New(addrs []string) (URL, error) {
	if len(addrs) == 0 || len(addrs) > identity.MaxAddresses {
		return URL{}, fmt.Errorf("pairing URL: need 1 to %d addresses, have %d", identity.MaxAddresses, len(addrs))
	}
	u := URL{Node: o.own.ID(), Name: o.name}
	for _, a := range addrs {
		clean, err := cleanAddr(a)
		if err != nil {
			return URL{}, fmt.Errorf("pairing URL: %w", err)
		}
		u.Addrs = append(u.Addrs, clean)
	}
	if _, err := rand.Read(u.Token[:]); err != nil {
		return URL{}, fmt.Errorf("pairing URL: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.prune()
	if len(o.offers) >= maxOffers {
		return URL{}, fmt.Errorf("pairing URL: %d are outstanding (they expire after %v)", maxOffers, Lifetime)
	}
	o.failures = 0
	o.offers[u.Token.hint()] = &offer{token: u.Token, made: time.Now()}
	return u, nil
}

func (o *Offers) prune() {
	for h, f := range o.offers {
		if time.Since(f.made) > forgetSpent {
			delete(o.offers, h)
		}
	}
}

// allow takes one attempt from the rate limit.
func (o *Offers) allow() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.credit = min(burst, o.credit+now.Sub(o.creditAt).Seconds()/perAttempt.Seconds())
	o.creditAt = now
	if o.credit < 1 {
		return ErrTooFast
	}
	o.credit--
	return nil
}

// redeem checks a device's proof and, if it holds, takes the token for device.
// prove computes the proof that a token would give on this connection.
func (o *Offers) redeem(hint tokenHint, device identity.ID, proof []byte, prove func(Token) []byte) (Token, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f, ok := o.offers[hint]
	if !ok || !hmac.Equal(proof, prove(f.token)) {
		o.fail()
		return Token{}, ErrWrongToken
	}
	switch {
	case !f.usedBy.IsZero() && (f.confirmed || f.usedBy != device):
		return Token{}, ErrUsed
	case f.withdrawn:
		return Token{}, ErrWithdrawn
	case time.Since(f.made) > Lifetime:
		return Token{}, ErrExpired
	}
	f.usedBy = device
	return f.token, nil
}

// giveBack undoes redeem when the device could not be listed.
func (o *Offers) giveBack(hint tokenHint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f, ok := o.offers[hint]; ok && !f.confirmed {
		f.usedBy = identity.ID{}
	}
}

func (o *Offers) confirm(hint tokenHint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f, ok := o.offers[hint]; ok {
		f.confirmed = true
	}
}

// fail counts a wrong attempt; too many withdraw every live token.
func (o *Offers) fail() {
	if o.failures++; o.failures < MaxFailures {
		return
	}
	for _, f := range o.offers {
		if f.usedBy.IsZero() {
			f.withdrawn = true
		}
	}
}
