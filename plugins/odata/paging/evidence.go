package paging

// known is what requests have shown about a service. It is kept for later loads.
type known struct {
	refusesOrderBy    bool   // rejects requests with $orderby
	refusesCount      bool   // rejects requests for the number of rows
	refusesKeysAlone  bool   // rejects requests for keys alone
	sortsByKey        bool   // sorts by key, and compares keys in $filter as it sorts them
	ignoresKeyFilter  bool   // pages by key were wrong or rejected
	countsWholeSet    bool   // counted more rows than one page had
	overcounts        bool   // counted more rows than it returned, or may have; no load was proven since
	hasAnswered       bool   // has answered the requests of an earlier load
	appliedConditions string // settings whose conditions it applies although rows contradict them, each with a comma
}

// finding is the state of a question that a request answers. New rows and a later probe may reset it.
type finding = int

const (
	unasked finding = iota
	asked           // the question was asked, and the answer shows nothing, or was not evaluated yet
	shown           // the answer supports the end of the load
)

// support has the observations of a load that support its end.
type support struct {
	rowsBefore finding // a request for the rows before the last key returned only rows that were read
	rowsAfter  finding // no row follows the last one
	counted    finding // the service counts as many rows at the end as were read
	ranked     finding // sorted by key, the row with the number of rows read has the last key
	steady     bool    // the count at the end is the same as on the first page
	descends   finding // the last rows of the set are returned in descending order
}

// contradiction has the observations of a load that contradict its end, or that take away the value of a proof.
type contradiction struct {
	shifted       bool // moved, deleted or hidden rows may have hidden others from pages
	duplicateKeys bool // one page had the same key twice, which moving rows do not explain
	numberedKeys  bool // keys number the rows of each response
	assumedOrder  bool // the service was not seen to sort, but its rows ascend so far
	equalKeys     bool // pages of one row were requested by key, which hide rows with equal keys
	deleted       bool // a row that was read was deleted, so that the count may equal the rows read by chance
	countGap      bool // the service counts more rows than were read, by more than its counts differ
}

// excludesProof reports whether an observation excludes every proof.
func (c *contradiction) excludesProof() bool { return c.shifted || c.equalKeys || c.countGap }

// seen is what was seen in a load. It is stored in the load's offsets, and dropped at its end.
type seen struct {
	support
	contradiction
	used            [bySkip + 1]bool // the pagers by which pages were read
	witnessed       bool             // the witness was read, see previousAttempts
	undecodable     bool             // a page had rows that cannot be decoded
	unpromised      bool             // a page that neither a link nor a count had promised had rows
	mayCountPage    bool             // the first page had as many rows as its count, and no link
	firstSinceStart bool             // the first load since the connector started
}
