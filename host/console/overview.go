package console

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/host/rest"
)

// perPage is how many connectors a page has.
const perPage = 50

// listing is the overview with what it is filtered by.
type listing struct {
	rest.Listing
	State, Search, After string
	States               []stateCount
	// First is the page without ?after=, Next that behind this one; "" for none.
	First, Next string
	// Alone says that the figures of other workers are not there, and why.
	Alone string
}

type stateCount struct {
	State string
	Count int
	// Link leads to the connectors in that state alone.
	Link string
}

// states are those of a listing, the most urgent first.
var states = []string{"failed", "waiting-for-service", "maintenance", "throttled", "running", "idle", "paused",
	"stopped"}

func (v *visit) overview() (any, error) {
	l := listing{State: v.query.Get("state"), Search: v.query.Get("search"), After: v.query.Get("after")}
	q := url.Values{"limit": {strconv.Itoa(perPage)}}
	for name, value := range map[string]string{"state": l.State, "search": l.Search, "after": l.After} {
		if value != "" {
			q.Set(name, value)
		}
	}
	err := v.get("GET /culvert/connectors?"+q.Encode(), &l.Listing)
	if isRefused(err, 409) { // no worker leads: what this one knows is better than nothing
		l.Alone = err.Error()
		q.Set("own", "true")
		err = v.get("GET /culvert/connectors?"+q.Encode(), &l.Listing)
		l.Connectors = l.Connectors[:min(len(l.Connectors), perPage)]
	}
	if err != nil {
		return nil, err
	}
	link := func(state, after string) string {
		q := url.Values{}
		for name, value := range map[string]string{"state": state, "search": l.Search, "after": after} {
			if value != "" {
				q.Set(name, value)
			}
		}
		return "./?" + q.Encode()
	}
	for _, s := range states {
		if n := l.Counts[s]; n > 0 || s == l.State || slices.Contains([]string{"failed", "running"}, s) {
			l.States = append(l.States, stateCount{s, n, link(s, "")})
		}
	}
	l.States = append([]stateCount{{"", l.Total, link("", "")}}, l.States...)
	if l.After != "" {
		l.First = link(l.State, "")
	}
	if l.Listing.Next != "" {
		l.Next = link(l.State, l.Listing.Next)
	}
	return l, nil
}
