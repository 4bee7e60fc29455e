package paging

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// ErrorResponse is a response with an error status.
type ErrorResponse struct {
	Status int
	Err    *wit.Error // returned if no other request can be tried
	Text   string     // the service's error text in lower case, without the request's URL
	// FromService means that the OData service itself answered, not a router or proxy in front of it.
	FromService bool
	// FromRouter means that a router or proxy answered, as while the service restarts.
	FromRouter bool
	TokenLost  bool  // the service no longer knows the link's token
	ReceivedAt int64 // in milliseconds since 1970
}

// AfterError handles a response with an error status: it returns the error, or the position of another request, since
// services reject $orderby, counts and filters by key (RATIONALE.md P3). The load starts over if a link expired. A
// rejection is believed only if it is the service's, and about a form of request that has not worked in this load.
func (pg *Page) AfterError(r ErrorResponse) (*Position, error) {
	t := pg.newTransition(PageInfo{Count: -1, ReceivedAt: r.ReceivedAt})
	isLinked := pg.position.pager.kind == linksWorked
	var action string // for the log
	var err error
	switch kind := pg.position.probe.kind; {
	case !r.FromService && !r.TokenLost && (r.rejectsOption() || r.FromRouter) && kind != probeHighestCursor:
		return nil, pg.rejectionError(r.Err, r.FromRouter)
	case r.rejectsProbe(pg.position):
		action = "continuing without this check"
		err = t.afterRejectedProbe(kind)
	case kind == probeKeyOrder && r.rejectsOption():
		action = "requesting pages in another way"
		err = t.abandonKeyset(r.Err.Message)
	case kind != "":
		return nil, r.Err
	case r.TokenLost && isLinked:
		return t.end(t.retry(r.Err.Message))
	case (r.TokenLost || r.rejectsOption()) && pg.followsOtherLink(t):
		action, err = t.retryEmptyPage()
	case !r.rejectsOption():
		return nil, r.Err
	case pg.position.capabilities.has(pg.position.pager.kind):
		return nil, pg.rejectionError(r.Err, false)
	case pg.position.pager.speculative:
		action = "continuing, because the service does not say whether it has more rows"
		err = t.afterSpeculativeFailure()
	case pg.position.usesKeyset():
		action = "requesting pages in another way"
		err = t.abandonKeyset(r.Err.Message)
	case pg.position.pager.kind == 0 && r.Status != 404 && Proves(pg.position.previous.verdict):
		return nil, pg.rejectionError(r.Err, false) // such requests have worked in the load before
	case pg.position.pager.kind == 0 && t.dropOption(r):
		action = "continuing without options that the service may not support"
	case pg.position.pager.kind == 0 && r.Status == 400 && pg.set.Top == 0:
		r.Err.Message += "; if the service limits the rows of a response, " + pg.set.Setting("paging") +
			" = top requests " + pg.set.Setting("page.size") + " rows at a time"
		return nil, r.Err
	default:
		return nil, r.Err
	}
	if err == nil {
		t.warn("GET " + pg.set.Target(pg.position) + ": " + r.Err.Message + "; " + action + ": " +
			pg.set.Target(t.next))
	}
	return t.end(err)
}

// rejectionError completes and returns failure for a rejection that shows nothing about the request. The error is
// transient if a router answered, or if the service has answered before; until then options may be the reason.
func (pg *Page) rejectionError(failure *wit.Error, isFromRouter bool) *wit.Error {
	if isFromRouter || pg.position.Answered() {
		failure.Kind = wit.ErrorTransient
	}
	if pg.position.Answered() {
		failure.Message += "; the service has answered requests before: it may be restarting, or something in front " +
			"of it rejects this one"
		return failure
	}
	failure.Message += "; the response is not one of the OData service itself. If a proxy or gateway rejects options " +
		"of the request: " + pg.set.Setting("count") + " = none requests no $inlinecount, " + pg.set.Setting("paging") +
		" = links no $orderby"
	return failure
}

// followsOtherLink reports whether the page is the link of an empty keyset page, and not that page requested again.
func (pg *Page) followsOtherLink(t *transition) bool {
	if !pg.position.followsEmptyPage() {
		return false
	}
	return pg.position.url != t.keysetURL(pager{skipped: pg.position.pager.skipped})
}

// rejectsProbe reports whether the load continues without the result of a probe. For the highest value, the count of a
// page and the last rows of the set, some failures of the service count as a rejection, too.
func (r *ErrorResponse) rejectsProbe(position *Position) bool {
	switch kind := position.probe.kind; kind {
	case probeHighestCursor, probePageCount:
		return r.rejectsOption() || r.Status == 408 || r.Status >= 500
	case probeKeyOrder: // the service may be too slow to sort all rows; 502 and 503 may have other causes
		isOptional := position.requestsLastRows() && position.capabilities.has(sortsByKey)
		return isOptional && (r.rejectsOption() || slices.Contains([]int{408, 500, 504}, r.Status))
	case probeDeletedRow, probeKnownRows, probeKnownEnd, probeFurtherRows:
		return r.rejectsOption()
	case probeRowCount:
		return r.rejectsOption() && position.totalCount <= position.rowsRead
	}
	return false
}

func (r *ErrorResponse) rejectsOption() bool {
	switch r.Status {
	case 400, 404, 405, 501:
		return r.Err.Kind != wit.ErrorTransient
	}
	return false
}

// dropOption requests the first page without the option that the error names, else $orderby, then the count, then both.
// It returns false if no such option was requested.
func (t *transition) dropOption(r ErrorResponse) bool {
	next := t.next
	set := t.set
	if r.Status == 404 {
		return false
	}
	hasOrderBy := set.Ordered && !next.capabilities.has(refusesOrderBy)
	hasCount := set.requestsCount(next.capabilities)
	namesCount := strings.Contains(r.Text, "inlinecount")
	switch {
	case hasOrderBy && hasCount:
		next.capabilities.set(refusesOrderBy, !namesCount)
		next.capabilities.set(refusesCount, namesCount)
	case hasCount && set.Ordered && !namesCount:
		next.capabilities.set(refusesOrderBy, false)
		next.capabilities.set(refusesCount, true)
	case hasCount, hasOrderBy:
		next.capabilities.set(refusesOrderBy, true)
		next.capabilities.set(refusesCount, true)
	default:
		return false
	}
	next.url = set.pageURL(next, "", 0)
	return true
}
