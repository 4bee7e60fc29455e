package console

import (
	"strconv"
	"sync"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/console/svg"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/rest"
)

const perPage = 100

type overviewPage struct {
	rest.ConnectorList
	State   string
	Search  string
	Sort    string
	After   string
	States  []stateCount
	Columns map[string]string // links that sort by a column
	Figures figures
	// First and Next are the addresses of other pages, "" for none.
	First string
	Next  string
	// GroupError is why only this worker's data is shown.
	GroupError string
	// Compiling means that there are no connectors because plugins are still being compiled.
	Compiling bool
}

// Here is the address of this page.
func (p overviewPage) Here() string {
	return "./" + query("state", p.State, "search", p.Search, "sort", p.Sort, "after", p.After)
}

type stateCount struct {
	State string
	Count int
	Link  string
}

// figures are the cards above the list.
type figures struct {
	Shares        []svg.Share
	Failed        int
	Attention     int
	Healthy       int
	Rows          *float64 // per minute
	RowsSpark     *svg.Sparkline
	RefusedSpark  *svg.Sparkline
	Refused       *float64 // in the last hour
	Services      int
	Away          int
	RefusedLogons int
}

// Answering is the number of services that are not away.
func (f figures) Answering() int { return f.Services - f.Away }

func (pr *pageRequest) overview() (any, error) {
	l := overviewPage{State: pr.query.Get("state"), Search: pr.query.Get("search"), Sort: pr.query.Get("sort"),
		After: pr.query.Get("after"), Columns: map[string]string{}}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer guard.Recover(nil, "console, figures", nil)
		l.Figures.read(pr)
	})
	groupErr, err := pr.getOfGroup("GET /culvert/connectors", pairs("limit", strconv.Itoa(perPage), "state", l.State,
		"search", l.Search, "sort", l.Sort, "after", l.After), &l.ConnectorList)
	waiting.Wait()
	if err != nil {
		return nil, err
	}
	if groupErr != nil {
		l.GroupError = groupErr.Error()
		l.Connectors = l.Connectors[:min(len(l.Connectors), perPage)]
	}
	link := func(state, sort, after string) string {
		return "./" + query("state", state, "search", l.Search, "sort", sort, "after", after)
	}
	l.States = []stateCount{{"", l.Total, link("", l.Sort, "")}}
	for _, s := range connect.Conditions {
		if n := l.Counts[s]; n > 0 || string(s) == l.State {
			l.States = append(l.States, stateCount{string(s), n, link(string(s), l.Sort, "")})
		}
	}
	for _, sort := range []string{"", "name", "rows", "letters", "activity"} {
		l.Columns[sort] = link(l.State, sort, "")
	}
	l.Figures.count(&l.ConnectorList)
	if l.After != "" {
		l.First = link(l.State, l.Sort, "")
	}
	if l.ConnectorList.Next != "" {
		l.Next = link(l.State, l.Sort, l.ConnectorList.Next)
	}
	if l.Total == 0 && l.Search == "" {
		var modules []rest.Module
		err := pr.get("GET /culvert/plugins", &modules)
		l.Compiling = err == nil && len(modules) == 0
	}
	return l, nil
}

// count sums the states of all connectors that match the search. Those with open dead letters need attention.
func (f *figures) count(list *rest.ConnectorList) {
	byColor := map[string]int{}
	for state, n := range list.Counts {
		color := lookOf(state).Color
		byColor[color] += n
		if color != "bad" {
			byColor[color] -= list.WithLetters[state]
			byColor["warn"] += list.WithLetters[state]
		}
	}
	f.Shares = svg.Stack(byColor)
	f.Failed = byColor["bad"]
	f.Attention = byColor["warn"]
	f.Healthy = byColor["good"] + byColor["info"] + byColor["off"]
}

// read reads the figures that the list does not have. Unknown ones stay nil.
func (f *figures) read(v *pageRequest) {
	var h history.History
	if err := v.get("GET /culvert/history", &h); err == nil && h.Step > 0 {
		steps := max(60/h.Step, 1)
		rows := svg.Merge(h.Rows, steps, false)
		refused := svg.Merge(h.Refused, steps, false)
		if n, ok := svg.Last(rows); ok {
			f.Rows = &n
		}
		sum := 0.0
		for _, n := range refused {
			sum += svg.Highest(n)
		}
		f.Refused = &sum
		f.RowsSpark = new(svg.NewSparkline("rows a minute in the last hour", rows, 240, 32))
		f.RefusedSpark = new(svg.NewSparkline("refused records in the last hour", refused, 240, 32))
	}
	services, err := v.services()
	if err != nil {
		return
	}
	isAway := map[string]bool{} // by origin: several workers may use it
	logons := map[string]bool{}
	for _, s := range services.Services {
		isAway[s.Origin] = isAway[s.Origin] || s.AwaySince != nil
		for _, l := range s.Lockouts {
			logons[l.Origin+" "+l.Client+" "+l.User] = true
		}
	}
	f.Services = len(isAway)
	f.RefusedLogons = len(logons)
	for _, away := range isAway {
		if away {
			f.Away++
		}
	}
}
