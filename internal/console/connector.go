package console

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/console/svg"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/rest"
)

type connectorPage struct {
	Head      *connectorHead
	Motion    connect.Metrics
	Flow      rest.Flow
	Feeds     []feed
	FlowError string
	Charts    []svg.Chart
}

type feed struct {
	Task int
	connect.FeedProgress
}

func (pr *pageRequest) connector() (any, error) {
	name := pr.query.Get("name")
	head, err := pr.head(name, "connector")
	c := connectorPage{Head: head}
	if err != nil || head == nil {
		return nil, cmp.Or(err, refuse(400, "expected the name of a connector in the address"))
	}
	if _, err := pr.getOfGroup("GET /culvert/connectors/{name}", url.Values{}, &c.Motion, name); err != nil {
		return nil, err
	}
	if err := pr.get("GET /culvert/connectors/{name}/flow", &c.Flow, name); err != nil {
		c.FlowError = err.Error()
	}
	var h history.History
	if err := pr.get("GET /culvert/connectors/{name}/history", &h, name); err == nil && len(h.Rows) > 0 {
		unread := "rows"
		if head.Status.Type == "sink" {
			unread = "records"
		}
		c.Charts = svg.Charts(&h, unread, formatRate)
	}
	c.Feeds = feedsOf(&c.Motion)
	return c, nil
}

// feedsOf returns what the tasks of a source read.
func feedsOf(m *connect.Metrics) (feeds []feed) {
	for _, t := range m.Tasks {
		if t.Progress != nil {
			for _, f := range t.Feeds {
				feeds = append(feeds, feed{t.Task, f})
			}
		}
	}
	return feeds
}

// Busiest is the stage with the greatest share, "" if none was at work.
func (c connectorPage) Busiest() string {
	stages := append([]rest.StageTime{{}}, c.Flow.Stages...) // the first one has no share
	return slices.MaxFunc(stages, func(a, b rest.StageTime) int { return cmp.Compare(a.Share, b.Share) }).Stage
}

type offsetRow struct{ Partition, Offset json.RawMessage }

const maxOffsets = 100

// offsetsPage is the page of the stored offsets.
type offsetsPage struct {
	Head    *connectorHead
	Offsets []offsetRow
	Error   string
}

func (pr *pageRequest) offsets() (any, error) {
	head, err := pr.head(pr.query.Get("name"), "offsets")
	p := offsetsPage{Head: head}
	if err != nil || pr.script { // each of them reads a topic of Kafka's, so once
		return p, err
	}
	var stored struct{ Offsets []offsetRow }
	if err := pr.get("GET /connectors/{name}/offsets", &stored, pr.query.Get("name")); err != nil {
		p.Error = err.Error()
	}
	p.Offsets = stored.Offsets[:min(len(stored.Offsets), maxOffsets)]
	return p, nil
}
