package identity

// advised is an error with what to do about it.
type advised struct {
	error
	hint string
}

// Hint says what to do about it.
func (a advised) Hint() string  { return a.hint }
func (a advised) Unwrap() error { return a.error }

func advise(err error, hint string) error { return advised{err, hint} }
