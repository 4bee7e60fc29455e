package console

import (
	"strconv"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
)

const perPage = 50

type overviewPage struct {
	rest.ConnectorList
	State, Search, After string
	States               []stateCount
	// First and Next are the addresses of other pages, "" for none.
	First, Next string
	// GroupError is why only this worker's data is shown.
	GroupError string
}

type stateCount struct {
	State string
	Count int
	Link  string
}

func (v *pageRequest) overview() (any, error) {
	l := overviewPage{State: v.query.Get("state"), Search: v.query.Get("search"), After: v.query.Get("after")}
	groupErr, err := v.getOfGroup("GET /culvert/connectors", pairs("limit", strconv.Itoa(perPage), "state", l.State,
		"search", l.Search, "after", l.After), &l.ConnectorList)
	if err != nil {
		return nil, err
	}
	if groupErr != nil {
		l.GroupError = groupErr.Error()
		l.Connectors = l.Connectors[:min(len(l.Connectors), perPage)]
	}
	link := func(state, after string) string {
		return "./?" + pairs("state", state, "search", l.Search, "after", after).Encode()
	}
	l.States = []stateCount{{"", l.Total, link("", "")}}
	for _, condition := range connect.Conditions {
		s := string(condition)
		if n := l.Counts[condition]; n > 0 || s == l.State || s == "failed" || s == "running" {
			l.States = append(l.States, stateCount{s, n, link(s, "")})
		}
	}
	if l.After != "" {
		l.First = link(l.State, "")
	}
	if l.ConnectorList.Next != "" {
		l.Next = link(l.State, l.ConnectorList.Next)
	}
	return l, nil
}
