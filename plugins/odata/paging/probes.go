package paging

import (
	"cmp"
	"slices"
)

// probe is a request whose rows are not emitted: it finds out what a service can do before the load relies on it.
type probe struct {
	kind         string
	fallbackLink string // to follow if the service does not sort by key
	priorKey     string // the key before the last one, see keyOrderURL
}

const ( // kinds of probes, as stored
	probeKeyOrder      = "keys"  // does the service sort by key and compare keys?
	probePageCount     = "count" // does a page of one row have the count of all rows?
	probeRowCount      = "end"   // how many rows are there now?
	probeHighestCursor = "high"  // what is the highest value of the cursor property?
)

// afterProbe evaluates a probe. The next position is then the page that the probe preceded, another one, or the end.
func (t *transition) afterProbe() error {
	next, sent := t.next, t.position.probe
	next.probe = &probe{}
	switch sent.kind {
	case probeKeyOrder:
		if !t.keyOrderConfirmed() {
			return t.abandonKeyset("the service does not sort by key or does not compare keys")
		}
		next.capabilities.set(sortsByKey, true)
	case probePageCount:
		if t.Count > t.Rows {
			next.capabilities.set(countsWholeSet, true)
			return t.complete()
		}
	case probeRowCount:
		if t.Count < 0 || t.Count > next.rowsRead {
			reason := "and it now counts " + itoa(t.Count)
			moved := t.Count >= 0 && t.Count != next.totalCount // rows were inserted and deleted
			if t.position.usesKeyset() && !moved {
				return t.restartWithoutKeyset(reason)
			}
			return t.retry(reason)
		}
		t.info(itoa(next.rowsRead) + " rows were read of " + itoa(next.totalCount) +
			": the others were deleted in the meantime, the service counts " + itoa(t.Count))
		return t.complete()
	}
	return nil
}

// keyOrderConfirmed evaluates the response to keyOrderURL. The last row may have been deleted in the meantime.
func (t *transition) keyOrderConfirmed() bool {
	found, prior := t.set.sortTexts(t.firstKey), t.set.unpackKey(t.position.probe.priorKey)
	switch {
	case found == nil:
		return false
	case t.position.totalCount >= 0:
		return t.isAfter(found, t.set.unpackKey(cmp.Or(t.position.probe.priorKey, t.position.checks.key)))
	}
	return slices.Equal(found, t.set.unpackKey(t.position.checks.key)) || t.position.rowsRead > 2 &&
		slices.Equal(found, prior)
}

func (t *transition) isAfter(a, b []string) bool {
	plain, folded, known := t.set.Keys.CompareTexts(a, b)
	if !t.position.checks.sorted {
		plain = folded
	}
	return known && plain > 0
}

// abandonKeyset continues by next link or $skip. Rows of a keyset page were emitted only if it was speculative.
func (t *transition) abandonKeyset(reason string) error {
	next, link := t.next, t.position.probe.fallbackLink
	if next.capabilities.has(foundSpeculativeRows) {
		return t.restartWithoutKeyset(reason)
	}
	t.markKeyFilterIgnored()
	next.probe = &probe{}
	next.rowsRead, next.undecoded, next.undecodedHashes = next.rowsRead+next.undecoded, 0, ""
	if link == "" {
		t.info(reason + "; continuing by $skip")
		t.skipRowsRead(expectation(next.totalCount < 0))
		return nil
	}
	t.info(reason + "; continuing by its next links")
	last := next.checks.lastHashes
	err := t.followLink(link, nextLinkPager{counts: true})
	next.checks.lastHashes = last
	return err
}
