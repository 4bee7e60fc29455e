package rest

import (
	"net/http"
	"time"

	"github.com/culvert-project/culvert/internal/events"
)

// ConnectorEvents is the response of GET /culvert/connectors/{name}/events.
type ConnectorEvents struct {
	Since  time.Time      `json:"since"` // the last start of a worker, which has no earlier events
	Events []events.Event `json:"events"`
	Silent []string       `json:"silent"` // workers that did not answer
}

func (req *request) events() {
	parts := req.worker.Now()
	result := ConnectorEvents{Since: parts.Started.UTC().Truncate(time.Second), Events: parts.Events.List(req.name())}
	answers, err := req.queryWorkers("", http.StatusOK)
	silent := mergeAnswers(answers, func(_ string, other ConnectorEvents) {
		result.Events = append(result.Events, other.Events...)
		if other.Since.After(result.Since) {
			result.Since = other.Since
		}
	})
	result.Silent = append([]string{}, silent...)
	result.Events = events.Merge(result.Events)
	for i := range result.Events { // a value may have become a secret since
		result.Events[i].Text = req.worker.Redact(result.Events[i].Text)
		result.Events[i].Reason = req.worker.Redact(result.Events[i].Reason)
	}
	if err == nil && len(result.Events) == 0 && !req.queryBool("own") {
		_, err = parts.Herder.Info(req.name())
	}
	req.reply(result, err)
}

// eventHeader has the event of a forwarded request in its answer, see [events.Sender.Encode].
const eventHeader = "X-Culvert-Event"

// recordEvent records the event of the route, and returns the event of a forwarded request.
func (req *request) recordEvent() {
	sender := events.SenderIn(req.r.Context())
	if sender == nil || req.route == nil || (req.route.target == fanOut && req.queryBool("own")) {
		return // the leader records what it requests of other workers
	}
	if req.route.event != "" && !req.isForwarded {
		e := events.Event{Connector: req.name(), Kind: req.route.event}
		for _, part := range []string{"task", "feed"} {
			if value := req.r.PathValue(part); value != "" {
				e.Text = part + " " + value
			}
		}
		req.worker.Now().Events.Record(req.r.Context(), e)
	}
	if encoded := sender.Encode(); encoded != "" && req.queryValues("forward") != nil {
		req.w.Header().Set(eventHeader, encoded)
	}
}
