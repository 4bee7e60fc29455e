package sink

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// recordError is a record that cannot be written where none may be skipped.
type recordError struct {
	item *item
	// more are the records of the same delivery after it.
	more  int
	stage string
	err   error
	// uncertain: nobody knows whether it was written.
	uncertain bool
}

func (e *recordError) Error() string {
	more := ""
	if e.more > 0 {
		more = fmt.Sprintf(" and %d more", e.more)
	}
	return fmt.Sprintf("%s%s: %s: %v", e.item, more, e.stage, e.err)
}

// Unwrap is what failed; of a record in doubt what keeps it from being checked. The fault by which it came into doubt,
// or the lost answer, says nothing of what the next try would meet.
func (e *recordError) Unwrap() error {
	if _, ok := e.err.(*unchecked); e.uncertain && !ok &&
		(errors.As(e.err, new(*wit.Error)) || errors.As(e.err, new(*transport.NoAnswer))) {
		return nil
	}
	return e.err
}

// unchecked is why a row is in doubt, and what keeps it so: by the latter alone the task may go on by itself, because a
// check that fails for now is made again by the next start, and a row that nobody can check waits for an operator.
type unchecked struct{ doubt, reason error }

func (u *unchecked) Error() string { return fmt.Sprintf("%v (not checked: %v)", u.doubt, u.reason) }

func (u *unchecked) Unwrap() error { return u.reason }

// isUncertain tells whether a fault leaves a record of which nobody knows whether it was written.
func isUncertain(err error) bool {
	var e *recordError
	return errors.As(err, &e) && e.uncertain
}

// goesFirst tells whether err is to be named rather than other: of several records that failed, the one that stands
// first in its partition, whichever was answered first. What is no record's is named only where no record is.
func goesFirst(err, other error) bool {
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

// Rows in doubt: a request that must not be sent twice may have arrived, and no answer came, or none that says whether
// they were written. They are encoded with the hint `uncertain`, by which the plugin makes a check of them, a GET or
// HEAD, or refuses them. What the check says settles them or has them written; whatever goes wrong with it leaves them
// in doubt, and the task fails with what was known before.

// inDoubt is the reason why it is not known whether a row was written: its request may have arrived, and no answer
// came, or none that says whether it was written.
type inDoubt struct {
	failure *recordError
	// inherited: an earlier run left the row in doubt: the task fails only after all such rows were looked at, see
	// [outcome].
	inherited bool
}

// because adds why there is no check.
func (d *inDoubt) because(reason error) *inDoubt {
	failure := *d.failure
	failure.err = &unchecked{failure.err, reason}
	return &inDoubt{&failure, d.inherited}
}
