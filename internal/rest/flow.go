package rest

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
)

// Flow is where the time of a connector's tasks went in the last minute, on this worker and on those that have
// answered.
type Flow struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Seconds is how much time the figures are about: 60, or less where the tasks are younger, as the mean of the
	// Tasks that have run.
	Seconds float64 `json:"seconds"`
	Tasks   int     `json:"tasks"`
	// Stages are those of the connector's type in the order in which a row goes through them: fetch, decode, transform,
	// produce of a source; consume, convert, transform, encode, send, settle of a sink.
	Stages []StageTime `json:"stages"`
	// Rows is how many rows were delivered in a second, Bytes how many bytes were fetched or consumed.
	Rows  float64 `json:"rows_per_second"`
	Bytes float64 `json:"bytes_per_second"`
	// Silent are the workers that have not said, with the reason.
	Silent []string `json:"silent,omitempty"`
}

// StageTime is a stage's part of the time. Stages run side by side, so that the shares of all may be more than 1.
//
// A fetch is at work from its request to the last byte of the answer, a send likewise; what they wait for room under
// the limits of the service, for a maintenance window or between two tries is not among it. Converters are part of a
// source's transform. To produce has the wait for room in the Kafka client's buffer and for the end of a transaction in
// it, to consume not the wait for records.
type StageTime struct {
	Stage string `json:"stage"`
	// Share is the time that the stage was at work, of the time of all tasks: from 0 to 1.
	Share float64 `json:"share"`
	// BusySeconds is the same in seconds, Calls how often the stage was at work.
	BusySeconds float64 `json:"work_seconds"`
	Calls       int64   `json:"calls"`
}

func (f *Flow) add(other Flow) {
	if other.Tasks == 0 {
		return
	}
	n := float64(f.Tasks + other.Tasks)
	f.Seconds = (f.Seconds*float64(f.Tasks) + other.Seconds*float64(other.Tasks)) / n
	f.Tasks, f.Rows, f.Bytes = f.Tasks+other.Tasks, f.Rows+other.Rows, f.Bytes+other.Bytes
	for _, s := range other.Stages {
		for i := range f.Stages {
			if own := &f.Stages[i]; own.Stage == s.Stage {
				own.BusySeconds, own.Calls = own.BusySeconds+s.BusySeconds, own.Calls+s.Calls
			}
		}
	}
	for i := range f.Stages {
		f.Stages[i].Share = min(f.Stages[i].BusySeconds/(f.Seconds*n), 1)
	}
}

// stagesByType are those of connectors by their types.
var stagesByType = map[string][]string{"source": {"fetch", "decode", "transform", "produce"},
	"sink": {"consume", "convert", "transform", "encode", "send", "settle"}}

func newFlow(metrics connect.Metrics) Flow {
	flow := Flow{Name: metrics.Name, Type: metrics.Type, Stages: []StageTime{}}
	for _, name := range stagesByType[flow.Type] {
		flow.Stages = append(flow.Stages, StageTime{Stage: name})
	}
	for _, task := range metrics.Tasks {
		if task.Progress == nil || task.Flow.Stages == nil {
			continue
		}
		taskFlow := Flow{Tasks: 1, Seconds: task.Flow.Period.Seconds(), Rows: task.Flow.Rows, Bytes: task.Flow.Bytes}
		for _, s := range task.Flow.Stages {
			taskFlow.Stages = append(taskFlow.Stages, StageTime{Stage: s.Name, BusySeconds: s.Busy.Seconds(),
				Calls: s.Calls})
		}
		flow.add(taskFlow)
	}
	return flow
}

func (req *request) flow() {
	metrics, err := req.herder().ConnectorMetrics(req.name())
	var answers []workerAnswer
	if err == nil {
		answers, err = req.queryWorkers("", http.StatusOK)
	}
	flow := newFlow(metrics)
	flow.Silent = mergeAnswers(answers, func(_ string, other Flow) { flow.add(other) })
	req.reply(flow, err)
}

// mergeAnswers takes what other workers have answered, and says which of them have not, with the reason.
func mergeAnswers[T any](parts []workerAnswer, merge func(worker string, said T)) (silent []string) {
	for _, answer := range parts {
		var value T
		switch {
		case answer.err != nil:
			silent = append(silent, answer.err.Error())
		case json.Unmarshal(answer.body, &value) != nil:
			silent = append(silent, "worker "+answer.worker+": expected an answer of this route, found another")
		default:
			merge(answer.worker, value)
		}
	}
	slices.Sort(silent)
	return silent
}
