package paging

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

func (t *transition) afterProbe() error {
	n, sent := t.next, t.at.question
	n.question = &probe{}
	switch sent.kind {
	case probeKeyOrder:
		if !t.keyOrderConfirmed() {
			return t.abandonKeyset("the service does not sort by key or does not compare keys")
		}
		n.capabilities.set(sortsByKey, true)
	case probePageCount:
		if t.Count > t.Rows {
			n.capabilities.set(countsWholeSet, true)
			return t.complete()
		}
	case probeRowCount:
		if t.Count < 0 || t.Count > n.rowsRead {
			reason := "and it now counts " + itoa(t.Count)
			moved := t.Count >= 0 && t.Count != n.totalCount // rows were inserted and deleted
			if _, keyed := t.at.pager.(keysetPager); keyed && !moved {
				return t.restartWithoutKeyset(reason)
			}
			return t.retry(reason)
		}
		t.info(itoa(n.rowsRead) + " rows were read of " + itoa(n.totalCount) +
			": the others were deleted in the meantime, the " +
			"service counts " + itoa(t.Count))
		return t.complete()
	}
	return nil
}

// keyOrderConfirmed evaluates the answer to keyOrderURL. If the second key's row was deleted in the meantime, the first
// row is another one after the first key, in reverse order the first key's own.
func (t *transition) keyOrderConfirmed() bool {
	found, prior := t.set.sortTexts(t.firstKey), t.set.unpackKey(t.at.question.prior)
	switch {
	case found == nil:
		return false
	case t.at.totalCount >= 0:
		return t.isAfter(found, t.set.unpackKey(cmp.Or(t.at.question.prior, t.at.checks.key)))
	}
	return slices.Equal(found, t.set.unpackKey(t.at.checks.key)) || t.at.rowsRead > 2 && slices.Equal(found, prior)
}

func (t *transition) isAfter(a, b []string) bool {
	plain, folded, known := t.set.Keys.CompareTexts(a, b)
	if !t.at.checks.sorted {
		plain = folded
	}
	return known && plain > 0
}

// abandonKeyset continues by next link or $skip. No row of a keyset page was emitted yet, unless it was unsolicited.
func (t *transition) abandonKeyset(reason string) error {
	n, link := t.next, t.at.question.link
	if n.capabilities.has(foundSpeculativeRows) {
		return t.restartWithoutKeyset(reason)
	}
	t.markKeyFilterIgnored()
	n.question = &probe{}
	n.rowsRead, n.undecoded, n.undecodedHashes = n.rowsRead+n.undecoded, 0, ""
	if link == "" {
		t.info(reason + "; continuing by $skip")
		t.skipRowsRead(n.totalCount < 0)
		return nil
	}
	t.info(reason + "; continuing by its next links")
	last := n.checks.lastHashes
	err := t.followLink(link, true)
	n.checks.lastHashes = last
	return err
}

// ErrorResponse is a response with an error status.
type ErrorResponse struct {
	Status int
	// Err is returned if no other request can be tried. Text is the response's text in lower case, without the
	// request's URL.
	Err  *wit.Error
	Text string
	// TokenLost reports that the service no longer knows the token of the link that was followed.
	TokenLost  bool
	ReceivedAt int64
}

// AfterError handles a response with an error status: it returns the error, or the position of another request for the
// same rows, since services reject $orderby, counts and filters by key (P3). If a next link's token was lost, the load
// starts over.
func (pg *Page) AfterError(r ErrorResponse) (*Position, error) {
	t := pg.newTransition(PageInfo{Count: -1, ReceivedAt: r.ReceivedAt})
	_, keyed := pg.at.pager.(keysetPager)
	_, linked := pg.at.pager.(nextLinkPager)
	action, kind := "continuing differently", pg.at.question.kind
	var err error
	switch {
	case (kind == probeHighestCursor || kind == probePageCount) &&
		(r.rejectsOption() || r.Status == 408 || r.Status >= 500):
		action, t.next.question = "continuing without an answer", &probe{}
	case kind == probeKeyOrder && r.rejectsOption():
		err = t.abandonKeyset(r.Err.Message)
	case r.TokenLost && linked && kind == "":
		return t.end(t.retry(r.Err.Message))
	case kind == "" && pg.at.followsEmptyPage() && (r.TokenLost || r.rejectsOption()) && pg.at.url != t.keysetURL():
		action, err = t.retryEmptyPage()
	case kind != "" || !r.rejectsOption():
		return nil, r.Err
	case pg.at.isSpeculative():
		action, err = "continuing, because the service does not say whether it has more rows",
			t.afterSpeculativeFailure()
	case keyed:
		err = t.restartWithoutKeyset(r.Err.Message)
	case pg.at.pager != nil || !t.dropOption(r):
		return nil, r.Err
	default:
		action = "continuing without options that the service may not support"
	}
	if err == nil {
		t.warn("GET " + pg.set.Target(pg.at) + ": " + r.Err.Message + "; " + action + ": " + pg.set.Target(t.next))
	}
	return t.end(err)
}

func (r *ErrorResponse) rejectsOption() bool {
	switch r.Status {
	case 400, 404, 405, 501:
		return r.Err.Kind != wit.ErrorTransient
	}
	return false
}

// dropOption requests the first page without the option that the error names, else $orderby, then the count, then both.
func (t *transition) dropOption(r ErrorResponse) bool {
	n, set := t.next, t.set
	if r.Status == 404 {
		return false
	}
	orders, counts := set.Ordered && !n.capabilities.has(refusesOrderBy), set.requestsCount(n.capabilities)
	namesCount := strings.Contains(r.Text, strings.TrimPrefix(set.countName(), "$"))
	switch {
	case orders && counts:
		n.capabilities.set(refusesOrderBy, !namesCount)
		n.capabilities.set(refusesCount, namesCount)
	case counts && set.Ordered && !namesCount:
		n.capabilities.set(refusesOrderBy, false)
		n.capabilities.set(refusesCount, true)
	case counts, orders:
		n.capabilities.set(refusesOrderBy, true)
		n.capabilities.set(refusesCount, true)
	default:
		return false
	}
	n.url = set.pageURL(n, "", 0)
	return true
}
