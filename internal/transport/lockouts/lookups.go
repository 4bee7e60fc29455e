package lockouts

import "time"

// lookupPeriod is how long an accepted secret is not looked up among the refused ones.
const lookupPeriod = time.Second

// lookups decides when to look a secret up among the refused ones, which takes a system call for each file. [Gate.mu]
// guards it. Invariants: a look-up is omitted only in the lookupPeriod after the first acceptance since the last
// look-up, so that refusals of other processes are seen, even if the service accepts the secret all the time. None is
// omitted between a 401 and the first look-up that began after it and found nothing.
type lookups struct {
	// omitUntil ends the time without look-ups. Zero means that the secret was not accepted since the last look-up.
	omitUntil time.Time
	// rejections counts the answers with 401 and the refusals found.
	rejections uint64
	// checked is the number of rejections before the last look-up that found none.
	checked uint64
}

// canOmit reports whether a request may be sent without a look-up.
func (l *lookups) canOmit(now time.Time) bool { return now.Before(l.omitUntil) }

// begin begins a look-up, whose mark [lookups.foundNone] accepts.
func (l *lookups) begin() (mark uint64) {
	l.omitUntil = time.Time{}
	return l.rejections
}

func (l *lookups) foundNone(mark uint64) { l.checked = max(l.checked, mark) }

func (l *lookups) accept(now time.Time) {
	if l.omitUntil.IsZero() && l.checked == l.rejections {
		l.omitUntil = now.Add(lookupPeriod)
	}
}

// reject records a 401, or a refusal that was found.
func (l *lookups) reject() {
	l.omitUntil = time.Time{}
	l.rejections++
}
