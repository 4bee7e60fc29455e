package connect

import (
	"context"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/history"
)

// History returns what a connector's tasks on this worker did in one of [history.Ranges]. The name "" means all
// connectors.
func (h *Herder) History(name, timeRange string) (history.History, error) {
	if name == "" {
		return h.history.All(time.Now(), timeRange), nil
	}
	if _, err := h.find(name); err != nil {
		return history.History{}, err
	}
	return h.history.Connector(name, time.Now(), timeRange), nil
}

// Hour returns the rows of each minute and the refused records of the last hour, of a connector's tasks on this worker.
func (h *Herder) Hour(name string) (hour Activity) {
	hour.Minutes, hour.RefusedHour = h.history.Hour(name, time.Now())
	return hour
}

// recordHistory records a sample of each connector at the times of [history.NextSample] until ctx ends.
func (h *Herder) recordHistory(ctx context.Context) {
	for pause.For(ctx, time.Until(history.NextSample(time.Now()))) == nil {
		var samples []history.Sample
		existing := map[string]bool{}
		for _, ctl := range h.allControllers() {
			existing[ctl.name] = true
			if sample, hasTasks := ctl.observe().sample(); hasTasks {
				sample.Created = ctl.createdAt
				samples = append(samples, sample)
			}
		}
		h.history.Record(time.Now(), samples, existing)
	}
}

// sample returns the counts of the tasks on this worker. hasTasks is false if it has no tasks.
func (v *view) sample() (sample history.Sample, hasTasks bool) {
	sample = history.Sample{Name: v.name}
	for i := range v.tasks {
		progress := v.tasks[i].currentProgress()
		sample.Parts = append(sample.Parts, history.Part{Task: v.tasks[i].number, Counts: history.Counts{
			Rows: progress.Rows, Errors: progress.Errors, Refused: progress.Failed, Lag: taskActivity(&progress).Lag}})
	}
	if v.client != nil {
		counters := v.client.Counters()
		sample.Parts = append(sample.Parts, history.Part{Task: history.Client,
			Counts: history.Counts{Requests: counters.Requests, Latency: counters.Latency}})
	}
	return sample, len(v.tasks) > 0
}
