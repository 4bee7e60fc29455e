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
	isLinked := pg.position.pager.kind == byLink
	wholeRows := *pg.position // the same request, but not for keys alone
	wholeRows.known.refusesKeysAlone = true
	isOfEmptyPage := pg.position.followsEmptyPage() && pg.position.probe.kind == ""
	var action string // for the log
	var err error
	switch kind := pg.position.probe.kind; {
	case !r.FromService && !r.TokenLost && (r.rejectsOption() || r.FromRouter) && kind != probeHighestCursor:
		return nil, pg.rejectionError(r.Err, r.FromRouter) // the service itself did not reject it
	case pg.set.Target(&wholeRows) != pg.set.Target(pg.position) && r.rejectsOption():
		action = "requesting whole rows"
		t.next.known.refusesKeysAlone = true
	// The request was a probe.
	case (kind == probeBefore || kind == probeFirstRows) && r.rejectsOption() && !pg.position.probe.closing:
		action = "requesting pages in another way"
		err = t.abandonKeyset(r.Err.Message)
	case pg.position.probe.expanded && r.rejectsOption():
		return nil, pg.rejectionError(r.Err, false) // such requests have worked in the load
	case r.rejectsProbe(pg.position):
		action = "continuing without this check"
		err = t.afterRejectedProbe()
	case kind != "":
		return nil, r.Err
	// The request was a page.
	case r.TokenLost && isLinked, (r.TokenLost || r.rejectsOption()) && isOfEmptyPage:
		return t.end(t.retry(r.Err.Message))
	case !r.rejectsOption():
		return nil, r.Err
	case pg.position.seen.used[pg.position.pager.kind] && (pg.position.pager.skipped == 0 || t.isPromised()):
		return nil, pg.rejectionError(r.Err, false) // such requests have worked in the load
	case pg.position.pager.kind >= byKey && !t.isPromised():
		action = "continuing, because the service does not say whether it has more rows"
		err = t.afterFailedRequest()
	case pg.position.usesKeyset():
		action = "requesting pages in another way"
		err = t.abandonKeyset(r.Err.Message)
	case pg.position.pager.kind == firstPage && r.Status != 404 && Proves(pg.position.previous.verdict):
		return nil, pg.rejectionError(r.Err, false) // such requests have worked in the load before
	case pg.position.pager.kind == firstPage && t.dropOption(r):
		action = "continuing without options that the service may not support"
	case pg.position.pager.kind == firstPage && r.Status == 400 && pg.set.Top == 0:
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
		"of the request: " + pg.set.Setting("count") + " = none requests no " + pg.set.Dialect.CountName +
		", " + pg.set.Setting("paging") + " = links no $orderby"
	return failure
}

// rejectsProbe reports whether the load continues without the result of a probe. For the highest value, any 5xx counts
// as a rejection, too; for the last rows and the rank, only failures of a service that is too slow to sort all rows.
func (r *ErrorResponse) rejectsProbe(position *Position) bool {
	switch kind := position.probe.kind; {
	case kind == "" || (kind == probeRowCount && position.totalCount > position.rowsRead):
		return false
	case kind == probeHighestCursor:
		return r.rejectsOption() || r.Status == 408 || r.Status >= 500
	case kind == probeLastRows || kind == probeRank:
		return r.rejectsOption() || slices.Contains([]int{408, 500, 504}, r.Status)
	}
	return r.rejectsOption()
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
	hasOrderBy := set.Ordered && !next.known.refusesOrderBy
	hasCount := set.requestsCount(next.known)
	namesCount := strings.Contains(r.Text, t.set.Dialect.CountWord)
	switch {
	case hasOrderBy && hasCount:
		next.known.refusesOrderBy = !namesCount
		next.known.refusesCount = namesCount
	case hasCount && set.Ordered && !namesCount:
		next.known.refusesOrderBy = false
		next.known.refusesCount = true
	case hasCount, hasOrderBy:
		next.known.refusesOrderBy = true
		next.known.refusesCount = true
	default:
		return false
	}
	next.url = set.pageURL(next, "", 0)
	return true
}
