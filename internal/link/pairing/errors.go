package pairing

import "errors"

// Refusals, by either side.
var (
	// ErrBadURL: the text is not a pairing URL.
	ErrBadURL = errors.New("not a pairing URL (it begins clonecloud:// and is printed by `clonecloud serve`; quote it in the shell, it contains &)")
	// ErrExpired: the token is too old.
	ErrExpired = errors.New("the pairing URL has expired: URLs live ten minutes (restart `clonecloud serve`, or ask it for a new one, and use that)")
	// ErrUsed: the token has paired another device, or this one.
	ErrUsed = errors.New("the pairing URL has been used already: each works once (print a new one on the node; if it was not you who used it, unpair that device there)")
	// ErrWrongToken: the node never made such a token, or has restarted since.
	ErrWrongToken = errors.New("the node does not know this pairing token (was the URL copied whole? a node that was restarted prints a new one)")
	// ErrWithdrawn: too many wrong attempts while the token lived.
	ErrWithdrawn = errors.New("the pairing URL was withdrawn after too many wrong attempts (print a new one on the node)")
	// ErrTooFast: the limit on attempts.
	ErrTooFast = errors.New("too many pairing attempts (wait a minute and try again)")
	// ErrImpostor: the other side holds the node's key but not the token.
	ErrImpostor = errors.New("the node could not prove that it made this pairing URL (print a new one)")
	// ErrFull: the node can list no more devices, or could not write its list.
	ErrFull = errors.New("the node could not remember this device (its disk or its list is full: see its log)")
	// ErrProtocol: the other side speaks something else.
	ErrProtocol = errors.New("the other side does not speak this pairing protocol (update the older of the two)")
	// ErrNotListed: an unpair request by somebody unknown.
	ErrNotListed = errors.New("the node does not list this device (nothing to undo there)")
)

// status is how a refusal travels.
type status uint8

const (
	statusOK status = iota
	statusExpired
	statusUsed
	statusWrongToken
	statusWithdrawn
	statusTooFast
	statusFull
	statusProtocol
	statusNotListed
)

// refusals maps each status to its error.
var refusals = map[status]error{
	statusExpired:    ErrExpired,
	statusUsed:       ErrUsed,
	statusWrongToken: ErrWrongToken,
	statusWithdrawn:  ErrWithdrawn,
	statusTooFast:    ErrTooFast,
	statusFull:       ErrFull,
	statusProtocol:   ErrProtocol,
	statusNotListed:  ErrNotListed,
}

func statusOf(err error) status {
	if err == nil {
		return statusOK
	}
	for s, e := range refusals {
		if errors.Is(err, e) {
			return s
		}
	}
	return statusProtocol
}

func (s status) err() error {
	if s == statusOK {
		return nil
	}
	if e, ok := refusals[s]; ok {
		return e
	}
	return ErrProtocol
}
