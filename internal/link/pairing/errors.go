package pairing

import "errors"

// hinted is an error that says what to do about it.
type hinted struct{ text, hint string }

func (e *hinted) Error() string { return e.text }

// Hint says what to do about it.
func (e *hinted) Hint() string { return e.hint }

// Refusals, by either side.
var (
	// ErrBadURL: the text is not a pairing URL.
	ErrBadURL error = &hinted{"not a pairing URL", "it begins clonecloud:// and is printed by `clonecloud serve`; quote it in the shell, it contains &"}
	// ErrExpired: the token is too old.
	ErrExpired error = &hinted{"the pairing URL has expired: URLs live ten minutes", "start `clonecloud serve` again: it prints a new one, and stays paired with others"}
	// ErrUsed: the token has paired another device, or this one.
	ErrUsed error = &hinted{"the pairing URL has been used already: each works once", "start `clonecloud serve` again for a new one; if it was not you who used it, unpair that device there"}
	// ErrWrongToken: the node never made such a token, or has restarted since.
	ErrWrongToken error = &hinted{"the node does not know this pairing token", "was the URL copied whole? each start of `clonecloud serve` prints a new one"}
	// ErrWithdrawn: too many wrong attempts while the token lived.
	ErrWithdrawn error = &hinted{"the pairing URL was withdrawn after too many wrong attempts", "start `clonecloud serve` again: it prints a new one"}
	// ErrTooFast: the limit on attempts.
	ErrTooFast error = &hinted{"too many pairing attempts", "wait a minute and try again"}
	// ErrImpostor: the other side holds the node's key but not the token.
	ErrImpostor error = &hinted{"the node could not prove that it made this pairing URL", "start `clonecloud serve` again: it prints a new one"}
	// ErrFull: the node can list no more devices, or could not write its list.
	ErrFull error = &hinted{"the node could not remember this device", "its disk or its list is full: see its log"}
	// ErrProtocol: the other side speaks something else.
	ErrProtocol error = &hinted{"the other side does not speak this pairing protocol", "update the older of the two"}
	// ErrNotListed: an unpair request by somebody unknown.
	ErrNotListed error = &hinted{"the node does not list this device", "nothing to undo there"}
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
