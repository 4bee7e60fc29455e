package load

// Facts are what is known of a service, and of a load.
type Facts uint16

const (
	// unordered, uncounted: the service refused $orderby, the count.
	unordered Facts = 1 << iota
	uncounted
	// keysHold: it sorts by keys and compares them; ignoresKeys: it does not, or refuses to.
	keysHold
	ignoresKeys
	// countsAll: it counted more rows than it gave, so that its count is the set's.
	countsAll
	// claims: the first page had as many rows as it counted, and no link: the count may be the page's alone.
	claims
	// mayShift: rows came by counting, so that rows that went may have hidden others.
	mayShift
	// unannounced: rows came from pages that neither a link nor a count had announced.
	unannounced
	// twins: a page held a key twice, which no row that moves brings about.
	twins
	// warned: it was said that more rows came than the service counted.
	warned
	done

	// ofService are those that hold for later loads too.
	ofService = unordered | uncounted | keysHold | ignoresKeys | countsAll
)

func (f Facts) has(fact Facts) bool { return f&fact != 0 }

func (f *Facts) set(fact Facts, is bool) {
	if *f &^= fact; is {
		*f |= fact
	}
}
