package paging

// Capabilities is a bit set of what is known about a service and about a load.
type Capabilities uint16

const (
	refusesOrderBy Capabilities = 1 << iota
	refusesCount
	sortsByKey
	ignoresKeyFilter
	countsWholeSet       // the service counted more rows than one page had
	countMayBePageOnly   // the first page had as many rows as its count and no link
	rowsMayShift         // pages were requested by counting, so deleted rows may have hidden others
	foundSpeculativeRows // a page that neither a link nor a count had promised had rows
	duplicateKeys        // one page contained the same key twice, which moving rows do not explain
	excessReported
	loadComplete

	serviceCapabilities = refusesOrderBy | refusesCount | sortsByKey | ignoresKeyFilter | countsWholeSet // for later loads
)

func (f Capabilities) has(fact Capabilities) bool { return f&fact != 0 }

func (f *Capabilities) set(fact Capabilities, is bool) {
	if *f &^= fact; is {
		*f |= fact
	}
}
