package load

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// answered goes on by the answer to a question.
func (t *turn) answered() error {
	n, asked := t.next, t.at.ask
	n.ask = &question{}
	switch asked.kind {
	case askKeys:
		if !t.holds() {
			return t.withoutKeys("the service does not sort by keys, or does not compare them")
		}
		n.facts.set(keysHold, true)
	case askCount:
		if t.Count > t.Rows {
			n.facts.set(countsAll, true)
			return t.complete()
		}
	case askRows:
		if t.Count < 0 || t.Count > n.seen {
			why := "and it counts " + number(t.Count) + " now"
			moved := t.Count >= 0 && t.Count != n.count // rows were inserted below keys that came, and others went
			if _, keyed := t.at.walk.(byKey); keyed && !moved {
				return t.nextWalk(why)
			}
			return t.again(why)
		}
		t.info(number(n.seen) + " rows came of " + number(n.count) + ": the others were deleted meanwhile, the " +
			"service counts " + number(t.Count) + " now")
		return t.complete()
	}
	return nil
}

// holds reports whether the answer to keysHeld is a yes. Where the second key's row was deleted meanwhile, another one
// comes in its place: one after the first key, and in the reverse order the first key's own.
func (t *turn) holds() bool {
	came, prior := t.set.texts(t.first), t.set.unpack(t.at.ask.prior)
	switch {
	case came == nil:
		return false
	case t.at.count >= 0:
		return t.isAfter(came, t.set.unpack(cmp.Or(t.at.ask.prior, t.at.memory.key)))
	}
	return slices.Equal(came, t.set.unpack(t.at.memory.key)) || t.at.seen > 2 && slices.Equal(came, prior)
}

// isAfter reports whether a key is above another, in the way in which those of the load ascend.
func (t *turn) isAfter(a, b []string) bool {
	plain, folded, known := t.set.Keys.CompareTexts(a, b)
	if !t.at.memory.sorted {
		plain = folded
	}
	return known && plain > 0
}

// withoutKeys goes on by links or by number where pages can't be asked for by key. Nothing was handed on yet that was
// asked for so, unless the page was not announced.
func (t *turn) withoutKeys(why string) error {
	n, link := t.next, t.at.ask.link
	if n.facts.has(unannounced) {
		return t.nextWalk(why)
	}
	t.ignoresKeys()
	n.ask = &question{}
	n.seen, n.unread, n.faults = n.seen+n.unread, 0, "" // they stood on the page before
	if link == "" {
		t.info(why + "; going on by number")
		t.skipFrom(n.count < 0)
		return nil
	}
	t.info(why + "; going on by its next links")
	last := n.memory.last
	err := t.follow(link, true)
	n.memory.last = last
	return err
}

// Refusal is an answer that is no success.
type Refusal struct {
	Status int
	// Fault is the result if no other request can be tried. Said is the answer's text in lower case, without
	// the request's address.
	Fault *wit.Error
	Said  string
	// Lost: it says that the service no longer knows the token of the link that was followed.
	Lost bool
	At   int64
}

// Refused turns an answer that is no success into a fault, or into another way to ask for the same rows: services
// refuse $orderby, counts and filters by key (P3). A load whose next link leads nowhere any more begins again.
func (pg *Page) Refused(r Refusal) (*Position, error) {
	t := pg.turn(Answer{Count: -1, At: r.At})
	_, keyed := pg.at.walk.(byKey)
	_, linked := pg.at.walk.(byLinks)
	how, asked := "going on otherwise", pg.at.ask.kind
	var err error
	switch {
	case (asked == askHighest || asked == askCount) && (r.refuses() || r.Status == 408 || r.Status >= 500):
		// Also where the answer comes of sorting all rows: whoever could repeat the request has done so.
		how, t.next.ask = "going on without an answer", &question{}
	case asked == askKeys && r.refuses():
		err = t.withoutKeys(r.Fault.Message)
	case r.Lost && linked && asked == "":
		return t.end(t.again(r.Fault.Message))
	case asked == "" && pg.at.isBehindEmpty() && (r.Lost || r.refuses()) && pg.at.url != t.afterKey():
		how, err = t.pastEmpty()
	case asked != "" || !r.refuses():
		return nil, r.Fault
	case pg.at.isUnannounced():
		how, err = "going on as the service doesn't say whether it has more rows", t.notToBeHad()
	case keyed:
		err = t.nextWalk(r.Fault.Message)
	case pg.at.walk != nil || !t.fewerOptions(r):
		return nil, r.Fault
	default:
		how = "going on without what the service may not know"
	}
	if err == nil {
		t.warn("GET " + pg.set.Target(pg.at) + ": " + r.Fault.Message + "; " + how + ": " + pg.set.Target(t.next))
	}
	return t.end(err)
}

// refuses reports whether it means that the service doesn't take an option.
func (r *Refusal) refuses() bool {
	switch r.Status {
	case 400, 404, 405, 501:
		return r.Fault.Kind != wit.ErrorTransient
	}
	return false
}

// fewerOptions asks for the first page with fewer options; false if there is nothing left to leave out. The one that
// the error names goes first, else $orderby, then the count in its place, then both.
func (t *turn) fewerOptions(r Refusal) bool {
	n, s := t.next, t.set
	if r.Status == 404 {
		return false
	}
	orders, counts := s.Ordered && !n.facts.has(unordered), s.counts(n.facts)
	namesCount := strings.Contains(r.Said, strings.TrimPrefix(s.countName(), "$"))
	switch {
	case orders && counts:
		n.facts.set(unordered, !namesCount)
		n.facts.set(uncounted, namesCount)
	case counts && s.Ordered && !namesCount: // without $orderby it wasn't accepted either
		n.facts.set(unordered, false)
		n.facts.set(uncounted, true)
	case counts, orders:
		n.facts.set(unordered, true)
		n.facts.set(uncounted, true)
	default:
		return false
	}
	n.url = s.page(n, "", 0)
	return true
}
