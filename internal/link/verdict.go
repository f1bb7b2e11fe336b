package link

import "sync/atomic"

// verdict carries an error out of a TLS callback.
type verdict struct{ p atomic.Pointer[error] }

func (v *verdict) set(err error) {
	if v != nil && err != nil {
		v.p.Store(&err)
	}
}

// or returns the verdict if there is one, else err.
func (v *verdict) or(err error) error {
	if e := v.p.Load(); e != nil && err != nil {
		return *e
	}
	return err
}
