package paging

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// afterAnswer goes on by the answer to a question.
func (t *transition) afterAnswer() error {
	n, asked := t.next, t.at.question
	n.question = &question{}
	switch asked.kind {
	case askKeys:
		if !t.keyOrderConfirmed() {
			return t.abandonKeyset("the service does not sort by keys, or does not compare them")
		}
		n.capabilities.set(sortsByKey, true)
	case askCount:
		if t.Count > t.Rows {
			n.capabilities.set(countsWholeSet, true)
			return t.complete()
		}
	case askRows:
		if t.Count < 0 || t.Count > n.rowsRead {
			why := "and it counts " + number(t.Count) + " now"
			moved := t.Count >= 0 && t.Count != n.totalCount // rows were inserted below keys that came, and others went
			if _, keyed := t.at.pager.(keysetPager); keyed && !moved {
				return t.restartWithoutKeyset(why)
			}
			return t.retry(why)
		}
		t.info(number(n.rowsRead) + " rows came of " + number(n.totalCount) +
			": the others were deleted meanwhile, the " +
			"service counts " + number(t.Count) + " now")
		return t.complete()
	}
	return nil
}

// keyOrderConfirmed reports whether the answer to keysHeld is a yes. Where the second key's row was deleted meanwhile,
// another one comes in its place: one after the first key, and in the reverse order the first key's own.
func (t *transition) keyOrderConfirmed() bool {
	found, prior := t.set.texts(t.first), t.set.unpack(t.at.question.prior)
	switch {
	case found == nil:
		return false
	case t.at.totalCount >= 0:
		return t.isAfter(found, t.set.unpack(cmp.Or(t.at.question.prior, t.at.checks.key)))
	}
	return slices.Equal(found, t.set.unpack(t.at.checks.key)) || t.at.rowsRead > 2 && slices.Equal(found, prior)
}

// isAfter reports whether a key is above another, in the way in which those of the load ascend.
func (t *transition) isAfter(a, b []string) bool {
	plain, folded, known := t.set.Keys.CompareTexts(a, b)
	if !t.at.checks.sorted {
		plain = folded
	}
	return known && plain > 0
}

// abandonKeyset goes on by links or by number where pages can't be asked for by key. Nothing was handed on yet that was
// asked for so, unless the page was not announced.
func (t *transition) abandonKeyset(why string) error {
	n, link := t.next, t.at.question.link
	if n.capabilities.has(hadUnsolicitedRows) {
		return t.restartWithoutKeyset(why)
	}
	t.markKeyFilterIgnored()
	n.question = &question{}
	n.rowsRead, n.undecoded, n.undecodedHashes = n.rowsRead+n.undecoded, 0, "" // they stood on the page before
	if link == "" {
		t.info(why + "; going on by number")
		t.skipRead(n.totalCount < 0)
		return nil
	}
	t.info(why + "; going on by its next links")
	last := n.checks.lastHashes
	err := t.followLink(link, true)
	n.checks.lastHashes = last
	return err
}

// Refusal is an answer that is no success.
type Refusal struct {
	Status int
	// Err is the result if no other request can be tried. Said is the answer's text in lower case, without
	// the request's address.
	Err  *wit.Error
	Text string
	// TokenLost: it says that the service no longer knows the token of the link that was followed.
	TokenLost bool
	At        int64
}

// Refused turns an answer that is no success into a fault, or into another way to ask for the same rows: services
// refuse $orderby, counts and filters by key (P3). A load whose next link leads nowhere any more begins again.
func (pg *Page) Refused(r Refusal) (*Position, error) {
	t := pg.newTransition(PageInfo{Count: -1, At: r.At})
	_, keyed := pg.at.pager.(keysetPager)
	_, linked := pg.at.pager.(nextLinkPager)
	how, asked := "going on otherwise", pg.at.question.kind
	var err error
	switch {
	case (asked == askHighest || asked == askCount) && (r.rejectsOption() || r.Status == 408 || r.Status >= 500):
		// Also where the answer comes of sorting all rows: whoever could repeat the request has done so.
		how, t.next.question = "going on without an answer", &question{}
	case asked == askKeys && r.rejectsOption():
		err = t.abandonKeyset(r.Err.Message)
	case r.TokenLost && linked && asked == "":
		return t.end(t.retry(r.Err.Message))
	case asked == "" && pg.at.followsEmptyPage() && (r.TokenLost || r.rejectsOption()) && pg.at.url != t.keysetURL():
		how, err = t.retryEmptyPage()
	case asked != "" || !r.rejectsOption():
		return nil, r.Err
	case pg.at.isUnsolicited():
		how, err = "going on as the service doesn't say whether it has more rows", t.pageUnavailable()
	case keyed:
		err = t.restartWithoutKeyset(r.Err.Message)
	case pg.at.pager != nil || !t.dropOption(r):
		return nil, r.Err
	default:
		how = "going on without what the service may not know"
	}
	if err == nil {
		t.warn("GET " + pg.set.Target(pg.at) + ": " + r.Err.Message + "; " + how + ": " + pg.set.Target(t.next))
	}
	return t.end(err)
}

// rejectsOption reports whether it means that the service doesn't take an option.
func (r *Refusal) rejectsOption() bool {
	switch r.Status {
	case 400, 404, 405, 501:
		return r.Err.Kind != wit.ErrorTransient
	}
	return false
}

// dropOption asks for the first page with fewer options; false if there is nothing left to leave out. The one that
// the error names goes first, else $orderby, then the count in its place, then both.
func (t *transition) dropOption(r Refusal) bool {
	n, s := t.next, t.set
	if r.Status == 404 {
		return false
	}
	orders, counts := s.Ordered && !n.capabilities.has(refusesOrderBy), s.requestsCount(n.capabilities)
	namesCount := strings.Contains(r.Text, strings.TrimPrefix(s.countName(), "$"))
	switch {
	case orders && counts:
		n.capabilities.set(refusesOrderBy, !namesCount)
		n.capabilities.set(refusesCount, namesCount)
	case counts && s.Ordered && !namesCount: // without $orderby it wasn't accepted either
		n.capabilities.set(refusesOrderBy, false)
		n.capabilities.set(refusesCount, true)
	case counts, orders:
		n.capabilities.set(refusesOrderBy, true)
		n.capabilities.set(refusesCount, true)
	default:
		return false
	}
	n.url = s.pageURL(n, "", 0)
	return true
}
