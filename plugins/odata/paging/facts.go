package paging

// Capabilities are what is known of a service, and of a load.
type Capabilities uint16

const (
	// refusesOrderBy, uncounted: the service refused $orderby, the count.
	refusesOrderBy Capabilities = 1 << iota
	refusesCount
	// sortsByKey: it sorts by keys and compares them; ignoresKeys: it does not, or refuses to.
	sortsByKey
	ignoresKeyFilter
	// countsWholeSet: it counted more rows than it gave, so that its count is the set's.
	countsWholeSet
	// countMayBePageOnly: the first page had as many rows as it counted, and no link: the count may be the page's
	// alone.
	countMayBePageOnly
	// rowsMayShift: rows came by counting, so that rows that went may have hidden others.
	rowsMayShift
	// unannounced: rows came from pages that neither a link nor a count had announced.
	hadUnsolicitedRows
	// duplicateKeys: a page held a key twice, which no row that moves brings about.
	duplicateKeys
	// excessReported: it was said that more rows came than the service counted.
	excessReported
	loadComplete

	// serviceCapabilities are those that hold for later loads too.
	serviceCapabilities = refusesOrderBy | refusesCount | sortsByKey | ignoresKeyFilter | countsWholeSet
)

func (f Capabilities) has(fact Capabilities) bool { return f&fact != 0 }

func (f *Capabilities) set(fact Capabilities, is bool) {
	if *f &^= fact; is {
		*f |= fact
	}
}
