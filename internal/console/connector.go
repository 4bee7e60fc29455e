package console

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/rest"
)

type connectorPage struct {
	Head      *connectorHead
	Motion    connect.Metrics
	Flow      rest.Flow
	Feeds     []feed
	FlowError string
	Ranges    []chartRange
	Charts    []chart // nil without a sample
	Events    rest.ConnectorEvents
}

// chartRange is a link to the charts of a range.
type chartRange struct {
	Name      string // in [history.Ranges]
	Link      string
	IsCurrent bool
}

type feed struct {
	Task int
	connect.FeedProgress
}

func (pr *pageRequest) connector() (any, error) {
	name := pr.query.Get("name")
	head, err := pr.head(name, "connector")
	page := connectorPage{Head: head}
	if err != nil || head == nil {
		return nil, cmp.Or(err, newRefusal(400, "expected the name of a connector in the address"))
	}
	if _, err := pr.getOfGroup("GET /culvert/connectors/{name}", url.Values{}, &page.Motion, name); err != nil {
		return nil, err
	}
	if err := pr.get("GET /culvert/connectors/{name}/flow", &page.Flow, name); err != nil {
		page.FlowError = err.Error()
	}
	timeRange := cmp.Or(pr.query.Get("range"), "1h")
	for _, other := range history.Ranges {
		link := "connector" + query("name", name, "range", other)
		page.Ranges = append(page.Ranges, chartRange{Name: other, Link: link, IsCurrent: other == timeRange})
	}
	var steps history.History
	route := "GET /culvert/connectors/{name}/history" + query("range", timeRange)
	if err := pr.get(route, &steps, name); err == nil && steps.Step > 0 {
		unread := "rows"
		if head.Status.Type == "sink" {
			unread = "records"
		}
		page.Charts = newCharts(&steps, unread, formatRate)
	}
	page.Feeds = feedsOf(&page.Motion)
	_ = pr.get("GET /culvert/connectors/{name}/events", &page.Events, name) // without an answer no event is shown
	return page, nil
}

func feedsOf(metrics *connect.Metrics) (feeds []feed) {
	for _, task := range metrics.Tasks {
		if task.Progress == nil {
			continue
		}
		for _, f := range task.Feeds {
			feeds = append(feeds, feed{task.Task, f})
		}
	}
	return feeds
}

// Busiest returns the stage with the greatest share, "" if all were idle.
func (c connectorPage) Busiest() string {
	stages := append([]rest.StageTime{{}}, c.Flow.Stages...) // the first one has no share
	return slices.MaxFunc(stages, func(a, b rest.StageTime) int { return cmp.Compare(a.Share, b.Share) }).Stage
}

type offsetRow struct{ Partition, Offset json.RawMessage }

const maxOffsets = 100

type offsetsPage struct {
	Head    *connectorHead
	Offsets []offsetRow
	Error   string
}

func (pr *pageRequest) offsets() (any, error) {
	head, err := pr.head(pr.query.Get("name"), "offsets")
	page := offsetsPage{Head: head}
	if err != nil || pr.isScript { // the script does not poll them, because each request reads a topic
		return page, err
	}
	var response struct{ Offsets []offsetRow }
	if err := pr.get("GET /connectors/{name}/offsets", &response, pr.query.Get("name")); err != nil {
		page.Error = err.Error()
	}
	page.Offsets = response.Offsets[:min(len(response.Offsets), maxOffsets)]
	return page, nil
}
