package sink

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// recordError is an error about a record, with which the task fails.
type recordError struct {
	item        *item
	moreRecords int    // counts the further records of its delivery
	stage       string // what failed, or was decided, for the message
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

// Unwrap hides the error that put a record in doubt, so that it does not decide about a restart. It returns the reason
// why the record could not be checked, and other errors as they are.
func (e *recordError) Unwrap() error {
	if _, ok := e.err.(*uncheckedError); e.inDoubt && !ok &&
		(errors.As(e.err, new(*wit.Error)) || errors.As(e.err, new(*transport.NoResponseError))) {
		return nil
	}
	return e.err
}

type uncheckedError struct {
	cause  error // of the doubt
	reason error // why it was not checked; decides about a restart
}

func (u *uncheckedError) Error() string {
	return fmt.Sprintf("%v (not checked: %v)", u.cause, u.reason)
}

func (u *uncheckedError) Unwrap() error { return u.reason }

func isInDoubt(err error) bool {
	var e *recordError
	return errors.As(err, &e) && e.inDoubt
}

// takesPrecedence reports whether to report err rather than other: the error of the record that is first in its
// partition, whichever failed first; an error without a record only if there is no other.
func takesPrecedence(err, other error) bool {
	var a, b *recordError
	if !errors.As(err, &a) {
		return other == nil
	}
	if !errors.As(other, &b) {
		return true
	}
	x := a.item.record
	y := b.item.record
	return cmp.Or(strings.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition),
		cmp.Compare(x.Offset, y.Offset)) < 0
}

// inDoubt is why the outcome of a row is unknown: its request may have arrived without a conclusive response. The
// plugin gets such rows with the hint `uncertain` and returns a check, a GET or HEAD request, or rejects them. The
// check settles the row or has it written; if the check fails, the row stays in doubt and the task fails.
type inDoubt struct {
	failure   *recordError
	inherited bool // an earlier run left it in doubt; see [outcome.inDoubtErr]
}

func (d *inDoubt) withReason(reason error) *inDoubt {
	failure := *d.failure
	failure.err = &uncheckedError{failure.err, reason}
	return &inDoubt{&failure, d.inherited}
}
