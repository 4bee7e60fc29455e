package console

import (
	"strconv"
	"sync"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/rest"
)

const perPage = 100

type overviewPage struct {
	rest.ConnectorList
	State      string
	Search     string
	Sort       string
	After      string
	States     []stateCount
	Columns    map[string]string // links that sort by a column
	Figures    figures
	First      string // address of the first page; "" if this is the first one
	Next       string // address of the next page; "" if this is the last one
	GroupError string // why only this worker's data is shown; "" if the data of all workers is shown
	Former     []groupview.FormerWorker
	Compiling  bool // there are no connectors, because plugins are still being compiled
}

// Here returns the address of this page.
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
	Shares        []share
	Failed        int
	Attention     int
	Healthy       int
	Rows          *float64 // per minute
	RowsSpark     *sparkline
	RefusedSpark  *sparkline
	Refused       *float64 // in the last hour
	Services      int
	Away          int
	RefusedLogons int
}

// Answering returns the number of services that are not away.
func (f figures) Answering() int { return f.Services - f.Away }

func (pr *pageRequest) overview() (any, error) {
	page := overviewPage{State: pr.query.Get("state"), Search: pr.query.Get("search"), Sort: pr.query.Get("sort"),
		After: pr.query.Get("after"), Columns: map[string]string{}}
	var reads sync.WaitGroup
	reads.Go(func() {
		defer guard.Recover(nil, "console, figures", nil)
		page.Figures.read(pr)
	})
	groupErr, err := pr.getOfGroup("GET /culvert/connectors", pairs("limit", strconv.Itoa(perPage), "state", page.State,
		"search", page.Search, "sort", page.Sort, "after", page.After), &page.ConnectorList)
	reads.Wait()
	if err != nil {
		return nil, err
	}
	var group groupview.Group
	_ = pr.get("GET /culvert/cluster", &group) // there is no group, or no leader
	page.Former = group.Former
	if groupErr != nil {
		page.GroupError = groupErr.Error()
		page.Connectors = page.Connectors[:min(len(page.Connectors), perPage)] // ?own=true ignores the limit
	}
	link := func(state, sort, after string) string {
		return "./" + query("state", state, "search", page.Search, "sort", sort, "after", after)
	}
	page.States = []stateCount{{Count: page.Total, Link: link("", page.Sort, "")}}
	for _, s := range connect.Conditions {
		if n := page.Counts[s]; n > 0 || string(s) == page.State {
			count := stateCount{State: string(s), Count: n, Link: link(string(s), page.Sort, "")}
			page.States = append(page.States, count)
		}
	}
	for _, sort := range []string{"", "name", "rows", "letters", "activity"} {
		page.Columns[sort] = link(page.State, sort, "")
	}
	page.Figures.count(&page.ConnectorList)
	if page.After != "" {
		page.First = link(page.State, page.Sort, "")
	}
	if page.ConnectorList.Next != "" {
		page.Next = link(page.State, page.Sort, page.ConnectorList.Next)
	}
	if page.Total == 0 && page.Search == "" {
		var modules []rest.Module
		err := pr.get("GET /culvert/plugins", &modules)
		page.Compiling = err == nil && len(modules) == 0
	}
	return page, nil
}

// count sums the states of all connectors that match the search. Connectors with open dead letters need attention.
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
	f.Shares = stackShares(byColor)
	f.Failed = byColor["bad"]
	f.Attention = byColor["warn"]
	f.Healthy = byColor["good"] + byColor["info"] + byColor["off"]
}

// read reads the figures that the list does not have. Unknown ones stay nil.
func (f *figures) read(pr *pageRequest) {
	var hour history.History
	if err := pr.get("GET /culvert/history", &hour); err == nil && hour.Step > 0 {
		steps := max(60/hour.Step, 1)
		rows := mergeSteps(hour.Rows, steps, false)
		refused := mergeSteps(hour.Refused, steps, false)
		if n := len(rows); n > 0 {
			f.Rows = rows[n-1]
		}
		f.Refused = new(float64)
		for _, n := range refused {
			*f.Refused += highestValue(n)
		}
		f.RowsSpark = new(newSparkline("rows a minute in the last hour", rows, 240, 32))
		f.RefusedSpark = new(newSparkline("refused records in the last hour", refused, 240, 32))
	}
	services, err := pr.services()
	if err != nil {
		return
	}
	isAway := map[string]bool{} // by origin: several workers may use it
	for _, s := range services.Services {
		isAway[s.Origin] = isAway[s.Origin] || s.AwaySince != nil
	}
	f.Services = len(isAway)
	f.RefusedLogons = len(services.RefusedLogons())
	for _, away := range isAway {
		if away {
			f.Away++
		}
	}
}
