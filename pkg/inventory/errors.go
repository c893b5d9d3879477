package inventory

import "errors"

// What can become of asking for a part of the registry. A source wraps these, so
// that who asks need not know the API.
var (
	// ErrGone says that the thing asked for does not exist (any more).
	ErrGone = errors.New("it does not exist")
	// ErrDenied says that a permission is missing.
	ErrDenied = errors.New("permission denied")
	// ErrToken says that a listing cannot go on where it stopped and has to
	// begin anew.
	ErrToken = errors.New("the listing cannot be continued")
	// ErrTime says that the call could not have started before the deadline.
	ErrTime = errors.New("no time left for the call")
)
