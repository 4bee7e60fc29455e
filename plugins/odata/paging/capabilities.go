package paging

// Capabilities is a bit set of what is known about a service and about a load.
type Capabilities uint16

const (
	refusesOrderBy Capabilities = 1 << iota
	refusesCount
	sortsByKey
	ignoresKeyFilter
	// The service counted more rows than one page had.
	countsWholeSet
	// The first page had as many rows as its count and no link.
	countMayBePageOnly
	// Pages were requested by counting, so deleted rows may have hidden others.
	rowsMayShift
	// Rows came from pages that neither a link nor a count had promised.
	foundSpeculativeRows
	// One page contained the same key twice, which moving rows do not explain.
	duplicateKeys
	excessReported
	loadComplete

	// serviceCapabilities are kept for later loads.
	serviceCapabilities = refusesOrderBy | refusesCount | sortsByKey | ignoresKeyFilter | countsWholeSet
)

func (f Capabilities) has(fact Capabilities) bool { return f&fact != 0 }

func (f *Capabilities) set(fact Capabilities, is bool) {
	if *f &^= fact; is {
		*f |= fact
	}
}

// probe is sent before a page; its rows are not emitted.
type probe struct {
	kind string
	// link is the next link to follow after a no, prior the key before the last one, see keyOrderURL.
	link, prior string
}

const (
	// Does the service sort by key and compare keys?
	probeKeyOrder = "keys"
	// Does a page of one row have the count of all rows?
	probePageCount = "count"
	// How many rows are there now?
	probeRowCount = "end"
	// What is the cursor's highest value?
	probeHighestCursor = "high"
)
