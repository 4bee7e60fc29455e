package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
)

// gatherFigures returns the values of a standalone worker's metrics by NAME LABELS.
func gatherFigures(t *testing.T, connectors ...connect.Metrics) map[string]float64 {
	t.Helper()
	return gatherInGroup(t, (*cluster.Worker)(nil).Rebalances(), connectors...)
}

// gatherInGroup is [gatherFigures] of a worker in a group.
func gatherInGroup(t *testing.T, group cluster.Rebalances, connectors ...connect.Metrics) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	startups := func() (connectors, tasks connect.Startups) {
		return connect.Startups{Succeeded: 3, Failed: 1, LastMinute: task.OutcomeRatios{Succeeded: 0.75, Failed: 0.25}},
			connect.Startups{Succeeded: 6, LastMinute: task.OutcomeRatios{Succeeded: 1}}
	}
	r.MustRegister(taskCollector{connectors: func() []connect.Metrics { return connectors },
		startups: startups, group: func() cluster.Rebalances { return group }, clients: prometheus.NewRegistry(),
		rates: &rates{}})
	families, err := r.Gather()
	require.NoError(t, err)
	figures := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			value := m.GetGauge().GetValue()
			if m.Counter != nil {
				value = m.GetCounter().GetValue()
			}
			figures[strings.Join(append([]string{f.GetName()}, labels...), " ")] = value
		}
	}
	return figures
}

// exampleMetrics returns the metrics of a source with a running and a failed task, and of a paused sink.
func exampleMetrics() []connect.Metrics {
	hourAgo := time.Now().Add(-time.Hour)
	running := connect.TaskMetrics{Task: 0, ConnectState: connect.Running,
		Progress: &connect.Progress{Rows: 7, Pages: 2, Bytes: 99, CaughtUp: true,
			Feeds:            []connect.FeedProgress{{Name: "A", Complete: new("key")}, {Name: "B"}},
			InternalProgress: connect.InternalProgress{LastCaughtUp: hourAgo, LastNotified: hourAgo}}}
	failed := connect.TaskMetrics{Task: 1, ConnectState: connect.Failed, Running: 0.5, Paused: 0.25,
		Progress: &connect.Progress{Rows: 1, Failed: 2,
			InternalProgress: connect.InternalProgress{Read: 5, Errors: 9, LastError: time.UnixMilli(17),
				Counters: task.MetricsSnapshot{Retries: 6, Errors: 1, Logged: 2, DeadLetters: 3, LostDeadLetters: 1,
					Active: 4, Commits: 3, FailedCommits: 1,
					RecentCommits: task.OutcomeRatios{Succeeded: 0.75, Failed: 0.25},
					BatchSize:     task.Summary{Avg: 1, Max: 2, Min: 1},
					Transactions:  task.Summary{Avg: 6, Max: 8, Min: 5}}}}}
	paused := connect.TaskMetrics{ConnectState: connect.Paused,
		Progress: &connect.Progress{Rows: 3, Failed: 4, Lag: 5, Uncertain: 13,
			InternalProgress: connect.InternalProgress{IsLagKnown: true, Read: 7, Errors: 4, Partitions: 14,
				Batches: 10, Requests: 11, Reencoded: 12}}}
	return []connect.Metrics{
		{Name: "orders", Type: "source", Class: "Source", Version: "1", ConnectState: connect.Running,
			OwnsConnector: true, Tasks: []connect.TaskMetrics{running, failed},
			HTTP: &transport.Counters{Repeated: 6, BytesSent: 8, BytesReceived: 9, Answers: [6]int64{1, 0, 22, 3, 4, 5},
				Waited: 1500 * time.Millisecond}},
		{Name: "copies", Type: "sink", ConnectState: connect.Paused, OwnsConnector: true,
			Tasks: []connect.TaskMetrics{paused}},
	}
}

// wantFigures are the values for [exampleMetrics].
var wantFigures = map[string]float64{
	"kafka_connect_worker_connector_count":                         2,
	"kafka_connect_worker_task_count":                              3,
	"kafka_connect_worker_connector_total_task_count orders":       2,
	"kafka_connect_worker_connector_failed_task_count orders":      1,
	"kafka_connect_worker_connector_paused_task_count copies":      1,
	"kafka_connect_worker_connector_destroyed_task_count copies":   0,
	"kafka_connect_connector_info orders Source source 1 running":  1,
	"kafka_connect_connector_status orders failed 1":               1,
	"kafka_connect_connector_task_status copies paused 0":          1,
	"kafka_connect_source_task_source_record_write_total orders 0": 7,
	"kafka_connect_source_task_source_record_poll_total orders 1":  5,
	"kafka_connect_sink_task_sink_record_read_total copies 0":      7,
	"kafka_connect_sink_task_sink_record_send_total copies 0":      3,
	"kafka_connect_sink_task_sink_record_lag_max copies 0":         5,
	"kafka_connect_task_error_total_record_failures copies 0":      4,
	"culvert_source_pages_total orders 0":                          2,
	"culvert_source_bytes_total orders 0":                          99,
	"culvert_task_caught_up orders 0":                              1,
	"culvert_feed_load_complete key orders A 0":                    1,
	"culvert_sink_refused_total copies 0":                          4,
	"culvert_sink_batches_total copies 0":                          10,
	"culvert_sink_requests_total copies 0":                         11,
	"culvert_sink_again_total copies 0":                            12,
	"culvert_sink_uncertain_records copies 0":                      13,
	"culvert_sink_lag_records copies 0":                            5,
	"culvert_http_answers_total none orders":                       1,
	"culvert_http_answers_total 2xx orders":                        22,
	"culvert_http_answers_total 5xx orders":                        5,
	"culvert_http_answer_seconds_total orders":                     1.5,
	"culvert_http_repeated_total orders":                           6,
	"culvert_http_sent_bytes_total orders":                         8,
	"culvert_http_received_bytes_total orders":                     9,
	"kafka_connect_source_task_source_record_write_rate orders 0":  0,

	"kafka_connect_task_error_total_record_failures orders 1":                9,
	"kafka_connect_task_error_total_record_errors orders 1":                  1,
	"kafka_connect_task_error_total_records_skipped orders 1":                2,
	"kafka_connect_task_error_total_retries orders 1":                        6,
	"kafka_connect_task_error_total_errors_logged orders 1":                  2,
	"kafka_connect_task_error_deadletterqueue_produce_requests orders 1":     3,
	"kafka_connect_task_error_deadletterqueue_produce_failures orders 1":     1,
	"kafka_connect_task_error_last_error_timestamp orders 1":                 17,
	"kafka_connect_task_error_last_error_timestamp orders 0":                 0,
	"kafka_connect_connector_task_running_ratio orders 1":                    0.5,
	"kafka_connect_connector_task_pause_ratio orders 1":                      0.25,
	"kafka_connect_connector_task_offset_commit_success_percentage orders 1": 0.75,
	"kafka_connect_connector_task_offset_commit_failure_percentage orders 1": 0.25,
	"kafka_connect_connector_task_batch_size_max orders 1":                   2,
	"kafka_connect_source_task_source_record_active_count orders 1":          4,
	"kafka_connect_source_task_transaction_size_min orders 1":                5,
	"kafka_connect_source_task_transaction_size_max orders 1":                8,
	"kafka_connect_sink_task_partition_count copies 0":                       14,
	"kafka_connect_worker_connector_startup_attempts_total":                  4,
	"kafka_connect_worker_connector_startup_failure_percentage":              0.25,
	"kafka_connect_worker_task_startup_success_total":                        6,
	"kafka_connect_coordinator_assigned_tasks":                               3,
	"kafka_connect_worker_rebalance_rebalancing":                             0,
}

// Tasks have the metrics of their kind of connector, with the values of the example.
func TestTaskMetrics(t *testing.T) {
	figures := gatherFigures(t, exampleMetrics()...)
	for figure, want := range wantFigures {
		value, ok := figures[figure]
		assert.True(t, ok && value == want, "%s: expected %v, found %v (%t)", figure, want, value, ok)
	}
	for figure := range figures {
		isOfOtherKind := (strings.Contains(figure, "sink_task") && strings.Contains(figure, "orders")) ||
			(strings.Contains(figure, "source_") && strings.Contains(figure, "copies"))
		assert.True(t, !isOfOtherKind, "expected no figure %s for the other kind of connector", figure)
	}
}

// A failed or paused task has no work left that more workers could do.
func TestTasksThatCannotWorkAreNotCaughtUp(t *testing.T) {
	figures := gatherFigures(t, exampleMetrics()...)
	for _, task := range []string{"orders 1", "copies 0"} { // one has failed, one is paused
		_, ok := figures["culvert_task_caught_up "+task]
		assert.True(t, !ok, "%s: expected no figure", task)
	}
}

// The age of data has a figure once a task was caught up, or was notified.
func TestAgeOfDataIsMeasured(t *testing.T) {
	figures := gatherFigures(t, exampleMetrics()...)
	for _, figure := range []string{"culvert_source_delta_age_seconds", "culvert_source_notified_seconds"} {
		age := figures[figure+" orders 0"]
		assert.True(t, age >= 3600 && age <= 7200, "%s: expected an age of an hour, found %v", figure, age)
		_, ok := figures[figure+" orders 1"]
		assert.True(t, !ok, "%s: expected no age of a task that was never caught up, nor subscribes", figure)
	}
}

// Unknown values have no figure: the proof of a load that has not ended, and a lag that nothing measures.
func TestUnknownFiguresAreMissing(t *testing.T) {
	figures := gatherFigures(t, exampleMetrics()...)
	_, ok := figures["culvert_feed_load_complete orders B 0"]
	assert.True(t, !ok, "expected no proof of a feed whose load has not ended")
	figures = gatherFigures(t, connect.Metrics{Name: "copies", Type: "sink",
		Tasks: []connect.TaskMetrics{{Progress: &connect.Progress{}}}})
	for _, name := range []string{"culvert_sink_lag_records", "kafka_connect_sink_task_sink_record_lag_max"} {
		_, ok := figures[name+" copies 0"]
		assert.Equal(t, false, ok, "nothing measures it")
	}
}

// A worker of a group counts its own tasks, and the group's rebalances.
func TestMetricsOfWorkerInGroup(t *testing.T) {
	connectors := []connect.Metrics{
		{Name: "planned", Type: "source", ConnectState: connect.Running, OwnsConnector: true},
		{Name: "task", Type: "source", ConnectState: connect.Unassigned,
			Tasks: []connect.TaskMetrics{{Task: 3, ConnectState: connect.Running, Progress: new(connect.Progress)}}},
		{Name: "others", Type: "source", ConnectState: connect.Unassigned},
	}
	figures := gatherInGroup(t, cluster.Rebalances{
		Completed:  7,
		InProgress: true,
		Duration:   task.Summary{Avg: 20, Max: 30},
		SinceLast:  5,
		Generation: 9,
		Leader:     "http://a:1",
		Protocol:   "p",
	}, connectors...)
	for figure, want := range map[string]float64{
		"kafka_connect_worker_connector_count":                        1,
		"kafka_connect_coordinator_assigned_connectors":               1,
		"kafka_connect_worker_task_count":                             1,
		"kafka_connect_worker_connector_total_task_count task":        1,
		"kafka_connect_worker_rebalance_completed_rebalances_total":   7,
		"kafka_connect_worker_rebalance_rebalancing":                  1,
		"kafka_connect_worker_rebalance_rebalance_avg_time_ms":        20,
		"kafka_connect_worker_rebalance_rebalance_max_time_ms":        30,
		"kafka_connect_worker_rebalance_time_since_last_rebalance_ms": 5,
		"kafka_connect_worker_rebalance_epoch":                        9,
		"kafka_connect_worker_rebalance_leader_name p http://a:1":     1,
	} {
		value, ok := figures[figure]
		assert.True(t, ok && value == want, "%s: expected %v, found %v (%t)", figure, want, value, ok)
	}
	_, ok := figures["kafka_connect_worker_connector_total_task_count others"]
	assert.True(t, !ok, "expected no figures of a connector that others run")
}

// The number of tasks with their own metrics is bounded. All tasks are counted.
func TestNumberOfTasksWithMetricsIsBounded(t *testing.T) {
	many := connect.Metrics{Name: "many", Type: "source"}
	for n := range connect.MaxTasksWithMetrics + 5 {
		many.Tasks = append(many.Tasks, connect.TaskMetrics{Task: n, ConnectState: connect.Running,
			Progress: new(connect.Progress)})
	}
	withMetrics := 0
	figures := gatherFigures(t, many)
	for figure := range figures {
		if strings.HasPrefix(figure, "culvert_source_rows_total ") {
			withMetrics++
		}
	}
	assert.True(t, withMetrics == connect.MaxTasksWithMetrics &&
		figures["kafka_connect_worker_task_count"] == connect.MaxTasksWithMetrics+5,
		"expected %d tasks with metrics and 5 more, found %d and a count of %v", connect.MaxTasksWithMetrics,
		withMetrics, figures["kafka_connect_worker_task_count"])
}

// A rate compares with a sample that is a minute old, if there is one, and is zero after a reset. The samples of a
// counter that is not read any more are deleted.
func TestRates(t *testing.T) {
	var r rates
	key := rateKey{connector: "a"}
	start := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		after time.Duration
		value float64
		want  float64
	}{
		{after: 0, value: 100, want: 0}, // nothing to compare with
		{after: 10 * time.Second, value: 200, want: 10},
		{after: 70 * time.Second, value: 800, want: 10},       // 700 rows in 70 s
		{after: 80 * time.Second, value: 800, want: 600 / 70}, // since the second sample
		{after: 90 * time.Second, value: 5, want: 0},          // reset
		{after: 100 * time.Second, value: 25, want: 2},
	} {
		r.beginScrape()
		rate := r.rate(key, start.Add(c.after), c.value)
		r.endScrape()
		assert.True(t, rate >= c.want-1 && rate <= c.want+1,
			"after %v: expected a rate of about %v, found %v", c.after, c.want, rate)
	}
	r.beginScrape()
	r.endScrape()
	assert.Len(t, 0, r.samples, "the removed task's samples to be deleted")
}
