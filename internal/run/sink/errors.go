package sink

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

type recordError struct {
	item        *item
	moreRecords int // counts the further records of its delivery
	stage       string
	err         error
	inDoubt     bool
}

func (e *recordError) Error() string {
	more := ""
	if e.moreRecords > 0 {
		more = fmt.Sprintf(" and %d more", e.moreRecords)
	}
	return fmt.Sprintf("%s%s: %s: %v", e.item, more, e.stage, e.err)
}

// Unwrap returns what prevents the check of a record in doubt: what brought it into doubt predicts nothing.
func (e *recordError) Unwrap() error {
	if _, ok := e.err.(*uncheckedError); e.inDoubt && !ok &&
		(errors.As(e.err, new(*wit.Error)) || errors.As(e.err, new(*transport.NoResponseError))) {
		return nil
	}
	return e.err
}

// uncheckedError has the cause of the doubt and the reason why it was not checked, which decides about a restart.
type uncheckedError struct{ cause, reason error }

func (u *uncheckedError) Error() string {
	return fmt.Sprintf("%v (not checked: %v)", u.cause, u.reason)
}

func (u *uncheckedError) Unwrap() error { return u.reason }

func isInDoubt(err error) bool {
	var e *recordError
	return errors.As(err, &e) && e.inDoubt
}

// takesPrecedence reports whether err is reported rather than other: the record that comes first in its partition,
// whichever failed first; an error of no record only if there is no other.
func takesPrecedence(err, other error) bool {
	var a, b *recordError
	if !errors.As(err, &a) {
		return other == nil
	}
	if !errors.As(other, &b) {
		return true
	}
	x, y := a.item.record, b.item.record
	return cmp.Or(strings.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition),
		cmp.Compare(x.Offset, y.Offset)) < 0
}

// The plugin gets rows in doubt with the hint `uncertain` and makes a check of them, a GET or HEAD, or rejects them. A
// check settles them or has them written; if it fails, they stay in doubt and the task fails.

// inDoubt is why the outcome of a row is unknown: its request may have arrived and got no response, or an inconclusive
// one.
type inDoubt struct {
	failure   *recordError
	inherited bool // an earlier run left it in doubt; see [outcome.inDoubtErr]
}

func (d *inDoubt) withReason(reason error) *inDoubt {
	failure := *d.failure
	failure.err = &uncheckedError{failure.err, reason}
	return &inDoubt{&failure, d.inherited}
}
