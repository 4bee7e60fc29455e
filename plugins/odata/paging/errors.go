package paging

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
)

type ErrorResponse struct {
	Status int
	// Err is returned if no other request can be tried. Text is the text in lower case, without the request's URL.
	Err        *wit.Error
	Text       string
	TokenLost  bool // the service no longer knows the link's token
	ReceivedAt int64
}

// AfterError handles a response with an error status: it returns the error, or the position of another request, since
// services reject $orderby, counts and filters by key (RATIONALE.md P3). The load starts over if a link expired.
func (pg *Page) AfterError(r ErrorResponse) (*Position, error) {
	t := pg.newTransition(PageInfo{Count: -1, ReceivedAt: r.ReceivedAt})
	_, linked := pg.position.pager.(nextLinkPager)
	var action string // for the log
	var err error
	switch kind := pg.position.probe.kind; {
	case r.rejectsProbe(kind):
		action, t.next.probe = "continuing without an answer", &probe{}
	case kind == probeKeyOrder && r.rejectsOption():
		action, err = "continuing differently", t.abandonKeyset(r.Err.Message)
	case kind != "":
		return nil, r.Err
	case r.TokenLost && linked:
		return t.end(t.retry(r.Err.Message))
	case (r.TokenLost || r.rejectsOption()) && pg.followsOtherLink(t):
		action, err = t.retryEmptyPage()
	case !r.rejectsOption():
		return nil, r.Err
	case pg.position.isSpeculative():
		action, err = "continuing, because the service does not say whether it has more rows",
			t.afterSpeculativeFailure()
	case pg.position.usesKeyset():
		action, err = "continuing differently", t.restartWithoutKeyset(r.Err.Message)
	case pg.position.pager == nil && t.dropOption(r):
		action = "continuing without options that the service may not support"
	default:
		return nil, r.Err
	}
	if err == nil {
		t.warn("GET " + pg.set.Target(pg.position) + ": " + r.Err.Message + "; " + action + ": " +
			pg.set.Target(t.next))
	}
	return t.end(err)
}

// followsOtherLink reports whether the page is the link of an empty keyset page, and not that page itself again.
func (pg *Page) followsOtherLink(t *transition) bool {
	return pg.position.followsEmptyPage() && pg.position.url != t.keysetURL(pg.position.skippedRows())
}

// rejectsProbe reports whether the load continues without the result of a probe.
func (r *ErrorResponse) rejectsProbe(kind string) bool {
	optional := kind == probeHighestCursor || kind == probePageCount
	return optional && (r.rejectsOption() || r.Status == 408 || r.Status >= 500)
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
	next, set := t.next, t.set
	if r.Status == 404 {
		return false
	}
	orders, counts := set.Ordered && !next.capabilities.has(refusesOrderBy), set.requestsCount(next.capabilities)
	namesCount := strings.Contains(r.Text, "inlinecount")
	switch {
	case orders && counts:
		next.capabilities.set(refusesOrderBy, !namesCount)
		next.capabilities.set(refusesCount, namesCount)
	case counts && set.Ordered && !namesCount:
		next.capabilities.set(refusesOrderBy, false)
		next.capabilities.set(refusesCount, true)
	case counts, orders:
		next.capabilities.set(refusesOrderBy, true)
		next.capabilities.set(refusesCount, true)
	default:
		return false
	}
	next.url = set.pageURL(next, "", 0)
	return true
}
