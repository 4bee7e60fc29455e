package rest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/history"
)

// Flow reports how a connector's tasks spent the last minute, on this worker and those that responded.
type Flow struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Seconds is the observed time: 60, or less for younger tasks, as the mean of all Tasks.
	Seconds float64 `json:"seconds"`
	Tasks   int     `json:"tasks"`
	// Stages are in the order of a row: wait, fetch, decode, transform, produce of a source; consume, convert,
	// transform, encode, wait, send, settle of a sink.
	Stages []StageTime `json:"stages"`
	// Rows counts delivered rows, Bytes counts fetched or consumed bytes.
	Rows   float64  `json:"rows_per_second"`
	Bytes  float64  `json:"bytes_per_second"`
	Silent []string `json:"silent,omitempty"` // workers that did not respond, with the reason
}

// StageTime is the share of a stage. Stages run in parallel, so the shares may add up to more than 1.
//
// fetch and send include no waits for limits, maintenance windows and retries, which are wait. transform of a source
// includes converters, produce waits for the Kafka client and transactions, consume no waits for records.
type StageTime struct {
	Stage       string  `json:"stage"`
	Share       float64 `json:"share"` // the busy time divided by the time of all tasks, from 0 to 1
	BusySeconds float64 `json:"work_seconds"`
	Calls       int64   `json:"calls"`
}

func (f *Flow) add(other Flow) {
	if other.Tasks == 0 {
		return
	}
	n := float64(f.Tasks + other.Tasks)
	f.Seconds = (f.Seconds*float64(f.Tasks) + other.Seconds*float64(other.Tasks)) / n
	f.Tasks += other.Tasks
	f.Rows += other.Rows
	f.Bytes += other.Bytes
	for _, s := range other.Stages {
		for i := range f.Stages {
			if stage := &f.Stages[i]; stage.Stage == s.Stage {
				stage.BusySeconds += s.BusySeconds
				stage.Calls += s.Calls
			}
		}
	}
	for i := range f.Stages {
		f.Stages[i].Share = min(f.Stages[i].BusySeconds/(f.Seconds*n), 1)
	}
}

var stagesByType = map[string][]string{"source": {"wait", "fetch", "decode", "transform", "produce"},
	"sink": {"consume", "convert", "transform", "encode", "wait", "send", "settle"}}

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

func (req *request) history() {
	timeRange := cmp.Or(req.queryValue("range"), "1h")
	if !slices.Contains(history.Ranges, timeRange) {
		req.failErr(oneOf("range", history.Ranges, timeRange))
		return
	}
	result, err := req.herder().History(req.name(), timeRange)
	var answers []workerAnswer
	if err == nil {
		answers, err = req.queryWorkers("range="+timeRange, http.StatusOK)
	}
	silent := mergeAnswers(answers, func(_ string, other history.History) { result.Add(other) })
	result.Silent = append(result.Silent, silent...)
	req.reply(result, err)
}

// mergeAnswers merges the responses of other workers. It returns the errors of workers that did not respond.
func mergeAnswers[T any](answers []workerAnswer, merge func(worker string, response T)) (silent []string) {
	for _, answer := range answers {
		var value T
		switch {
		case answer.err != nil:
			silent = append(silent, answer.err.Error())
		case json.Unmarshal(answer.body, &value) != nil:
			silent = append(silent, "worker "+answer.worker+": expected a response of this route, found something else")
		default:
			merge(answer.worker, value)
		}
	}
	slices.Sort(silent)
	return silent
}
