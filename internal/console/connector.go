package console

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
)

type connectorPage struct {
	Name         string
	Summary      rest.ConnectorSummary
	Status       connect.Status
	Motion       connect.Metrics
	Flow         rest.Flow
	Feeds        []feed
	Offsets      []offsetRow
	OffsetsError string
	FlowError    string
	Info         connect.Info
}

type feed struct {
	Task int
	connect.FeedProgress
}

type offsetRow struct{ Partition, Offset json.RawMessage }

const maxOffsets = 100

func (v *pageRequest) connector() (any, error) {
	name := v.query.Get("name")
	c := connectorPage{Name: name}
	v.title = name
	if err := v.get("GET /connectors/{name}/status", &c.Status, name); err != nil {
		return nil, err
	}
	if err := v.get("GET /connectors/{name}", &c.Info, name); err != nil {
		return nil, err
	}
	if _, err := v.getOfGroup("GET /culvert/connectors/{name}", url.Values{}, &c.Motion, name); err != nil {
		return nil, err
	}
	if err := v.get("GET /culvert/connectors/{name}/flow", &c.Flow, name); err != nil {
		c.FlowError = err.Error()
	}
	c.Summary = v.summary(name)
	for _, t := range c.Motion.Tasks {
		if t.Progress != nil {
			for _, f := range t.Feeds {
				c.Feeds = append(c.Feeds, feed{t.Task, f})
			}
		}
	}
	if !v.script { // each of them reads a topic of Kafka's, so once
		var offsets struct{ Offsets []offsetRow }
		if err := v.get("GET /connectors/{name}/offsets", &offsets, name); err != nil {
			c.OffsetsError = err.Error()
		}
		c.Offsets = offsets.Offsets[:min(len(offsets.Offsets), maxOffsets)]
	}
	return c, nil
}

// summary returns the overview line of a connector, without state if it is not available.
func (v *pageRequest) summary(name string) rest.ConnectorSummary {
	var l rest.ConnectorList
	_, _ = v.getOfGroup("GET /culvert/connectors", pairs("search", name, "limit", "1000"), &l)
	if at := slices.IndexFunc(l.Connectors, func(c rest.ConnectorSummary) bool { return c.Name == name }); at >= 0 {
		return l.Connectors[at]
	}
	return rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: name}}
}

// LogWorker is the worker whose log is the most relevant: of the first task, else of the connector.
func (c connectorPage) LogWorker() string {
	if len(c.Status.Tasks) > 0 {
		return c.Status.Tasks[0].WorkerID
	}
	return c.Status.Connector.WorkerID
}

// Trace returns the full error texts of the connector and its tasks.
func (c connectorPage) Trace() string {
	var all []string
	for _, text := range []string{c.Status.Connector.ConfigError, c.Status.Connector.Trace} {
		if text != "" {
			all = append(all, text)
		}
	}
	for _, t := range c.Status.Tasks {
		if t.Trace != "" && !slices.Contains(all, t.Trace) {
			all = append(all, t.Trace)
		}
	}
	return strings.Join(all, "\n\n")
}

func (c connectorPage) Address() string { return "connector?" + pairs("name", c.Name).Encode() }
