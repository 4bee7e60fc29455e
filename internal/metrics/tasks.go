package metrics

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
)

// taskCollector collects the metrics of the worker, its connectors and tasks. Kafka Connect's metrics have the names
// and labels of Prometheus' JMX exporter, on which dashboards rely; Culvert's own begin with culvert_.
type taskCollector struct {
	unchecked
	connectors func() []connect.Metrics
	startups   func() (connectors, tasks connect.Startups)
	group      func() cluster.Rebalances
	clients    prometheus.Gatherer
	rates      *rates
}

func (t taskCollector) Collect(to chan<- prometheus.Metric) {
	worker := workerCounts{group: t.group()}
	worker.connectorStartups, worker.taskStartups = t.startups()
	scrapedAt := time.Now()
	t.rates.beginScrape()
	defer t.rates.endScrape()
	for _, c := range t.connectors() {
		if !c.OwnsConnector && len(c.Tasks) == 0 {
			continue // another worker of the group runs it
		}
		worker.connectors = append(worker.connectors, c)
		name := label(c.Name)
		counts := connectorCounts{Metrics: c, states: map[connect.State]int{}}
		for _, snapshot := range c.Tasks {
			counts.states[snapshot.ConnectState]++
			// Further tasks are counted only, to bound the time of a scrape and the series in Prometheus.
			worker.tasks++
			if worker.tasks <= connect.MaxTasksWithMetrics {
				t.collectTask(to, scrapedAt, name, c.Type, snapshot)
			}
		}
		if worker.tasks <= connect.MaxTasksWithMetrics && c.HTTP != nil {
			httpMetrics.collect(to, c.HTTP, name)
		}
		connectorMetrics.collect(to, counts, name)
	}
	workerMetrics.collect(to, worker)
	if c := countClients(t.clients, func(name string, value float64) float64 {
		return t.rates.rate(rateKey{metric: name}, scrapedAt, value)
	}); c != nil {
		clientMetrics.collect(to, c, clientID)
	}
}

func (t taskCollector) collectTask(to chan<- prometheus.Metric, scrapedAt time.Time, connector, kind string,
	metrics connect.TaskMetrics) {
	sample := taskSample{metrics, scrapedAt, func(name string, value float64) float64 {
		return t.rates.rate(rateKey{name, connector, metrics.Task}, scrapedAt, value)
	}}
	number := strconv.Itoa(metrics.Task)
	taskMetrics.collect(to, sample, connector, number)
	switch kind {
	case "source":
		sourceMetrics.collect(to, sample, connector, number)
	case "sink":
		sinkMetrics.collect(to, sample, connector, number)
	}
}

type workerCounts struct {
	connectors        []connect.Metrics // of which this worker runs the connector or a task
	tasks             int
	connectorStartups connect.Startups
	taskStartups      connect.Startups
	group             cluster.Rebalances
}

// connectorCount counts the connectors that the worker runs itself, without the connectors of which it only runs tasks.
func connectorCount(w workerCounts) (n float64) {
	for _, c := range w.connectors {
		if c.OwnsConnector {
			n++
		}
	}
	return n
}

func taskCount(w workerCounts) float64 { return float64(w.tasks) }

var processStart = time.Now()

var workerMetrics = newMetrics("kafka_connect_", nil, slices.Concat(
	startupMetrics("connector", func(w workerCounts) connect.Startups { return w.connectorStartups }),
	startupMetrics("task", func(w workerCounts) connect.Startups { return w.taskStartups }), []metric[workerCounts]{
		gauge("worker_connector_count", "Connectors of this worker.", connectorCount),
		gauge("worker_task_count", "Tasks of this worker.", taskCount),
		labelled(prometheus.GaugeValue, "app_info",
			"Version and start time of this program, in Unix milliseconds.",
			[]string{"client_id", "version", "start_time_ms"}, func(_ workerCounts, emit func(float64, ...string)) {
				emit(1, clientID, buildinfo.Product(), strconv.FormatInt(processStart.UnixMilli(), 10))
			}),
		gauge("coordinator_assigned_connectors", "Connectors of this worker.", connectorCount),
		gauge("coordinator_assigned_tasks", "Tasks of this worker.", taskCount),
		counter("worker_rebalance_completed_rebalances_total",
			"Rebalances of the worker's group; 0 for a worker in no group.",
			func(w workerCounts) float64 { return float64(w.group.Completed) }),
		gauge("worker_rebalance_rebalancing", "1 while the worker's group rebalances, else 0. Tasks keep running.",
			func(w workerCounts) float64 { return boolValue(w.group.InProgress) }),
		gauge("worker_rebalance_rebalance_avg_time_ms", "How long rebalances took, in milliseconds. "+lastMinute,
			func(w workerCounts) float64 { return w.group.Duration.Avg }),
		gauge("worker_rebalance_rebalance_max_time_ms", "How long rebalances took, in milliseconds. "+lastMinute,
			func(w workerCounts) float64 { return w.group.Duration.Max }),
		gauge("worker_rebalance_time_since_last_rebalance_ms", "How long ago the last rebalance was, in milliseconds; "+
			"+Inf before the first one, as in Kafka.", func(w workerCounts) float64 { return w.group.SinceLast }),
		gauge("worker_rebalance_epoch", "The group's generation, 0 before the first one.",
			func(w workerCounts) float64 { return float64(w.group.Generation) }),
		labelled(prometheus.GaugeValue, "worker_rebalance_leader_name", "1 where the group has a leader, which the "+
			"labels name, else 0.", []string{"leader_name", "connect_protocol"},
			func(w workerCounts, emit func(float64, ...string)) {
				emit(boolValue(w.group.Leader != ""), w.group.Leader, w.group.Protocol)
			}),
	})...)

func startupMetrics(subject string, counts func(workerCounts) connect.Startups) []metric[workerCounts] {
	name := "worker_" + subject + "_startup_"
	help := "Starts of a " + subject
	return []metric[workerCounts]{
		counter(name+"attempts_total", help+".",
			func(w workerCounts) float64 { return float64(counts(w).Succeeded + counts(w).Failed) }),
		counter(name+"success_total", help+" that succeeded.",
			func(w workerCounts) float64 { return float64(counts(w).Succeeded) }),
		counter(name+"failure_total", help+" that failed.",
			func(w workerCounts) float64 { return float64(counts(w).Failed) }),
		gauge(name+"success_percentage", help+" that succeeded in the last minute, from 0 to 1; 0 without any, as "+
			"in Kafka.", func(w workerCounts) float64 { return counts(w).LastMinute.Succeeded }),
		gauge(name+"failure_percentage", help+" that failed in the last minute, from 0 to 1.",
			func(w workerCounts) float64 { return counts(w).LastMinute.Failed }),
	}
}

type connectorCounts struct {
	connect.Metrics
	states map[connect.State]int
}

var taskStates = []connect.State{connect.Running, connect.Paused, connect.Failed, connect.Unassigned,
	connect.Restarting, "DESTROYED"} // never visible, as in Kafka Connect

var connectorMetrics = newMetrics("kafka_connect_", []string{"connector"}, append(tasksByState(),
	gauge("worker_connector_total_task_count", "Tasks of a connector.",
		func(c connectorCounts) float64 { return float64(len(c.Tasks)) }),
	connectorText("connector_info", "A connector: its state, type, class and version.",
		[]string{"status", "connector_type", "connector_class", "connector_version"}, func(c connectorCounts) []string {
			return []string{strings.ToLower(string(c.ConnectState)), c.Type, label(c.Class), label(c.Version)}
		}),
	// Strimzi's dashboards join each of these with the state of a task by one label.
	connectorText("connector_connector_class", "The class of a connector.", []string{"connector_class"},
		func(c connectorCounts) []string { return []string{label(c.Class)} }),
	connectorText("connector_connector_type", "The type of a connector.", []string{"connector_type"},
		func(c connectorCounts) []string { return []string{c.Type} }),
	connectorText("connector_connector_version", "The version of a connector.", []string{"connector_version"},
		func(c connectorCounts) []string { return []string{label(c.Version)} }))...)

// connectorText is a metric of value 1 whose information is in its labels.
func connectorText(name, help string, labels []string, texts func(connectorCounts) []string) metric[connectorCounts] {
	return labelled(prometheus.GaugeValue, name, help, labels,
		func(c connectorCounts, emit func(float64, ...string)) { emit(1, texts(c)...) })
}

func tasksByState() (metrics []metric[connectorCounts]) {
	for _, state := range taskStates {
		metrics = append(metrics, gauge("worker_connector_"+strings.ToLower(string(state))+"_task_count",
			"Tasks of a connector that are "+string(state)+".",
			func(c connectorCounts) float64 { return float64(c.states[state]) }))
	}
	return metrics
}

var httpMetrics = newMetrics("culvert_http_", []string{"connector"},
	labelled(prometheus.CounterValue, "answers_total",
		"Responses of the service to requests of a connector, by the first digit of their status (2xx), or none "+
			"without a response.", []string{"code"},
		func(n *transport.Counters, emit func(float64, ...string)) {
			for class, answers := range n.Answers {
				code := "none"
				if class > 0 {
					code = strconv.Itoa(class) + "xx"
				}
				emit(float64(answers), code)
			}
		}),
	counter("answer_seconds_total", "Time that requests of a connector waited for response headers.",
		func(n *transport.Counters) float64 { return n.Waited.Seconds() }),
	counter("repeated_total", "Retried requests of a connector.",
		func(n *transport.Counters) float64 { return float64(n.Repeated) }),
	counter("sent_bytes_total", "Bytes of request bodies, as compressed on the wire.",
		func(n *transport.Counters) float64 { return float64(n.BytesSent) }),
	counter("received_bytes_total", "Bytes of response bodies, as compressed on the wire.",
		func(n *transport.Counters) float64 { return float64(n.BytesReceived) }))

type taskSample struct {
	connect.TaskMetrics
	scrapedAt time.Time
	rate      func(name string, value float64) float64 // growth of a value per second
}

func integer(get func(*taskSample) int64) func(taskSample) float64 {
	return func(t taskSample) float64 { return float64(get(&t)) }
}

func withRate(name, help string, value func(*taskSample) int64) []metric[taskSample] {
	name = "kafka_connect_" + name
	return []metric[taskSample]{counter(name+"_total", help, integer(value)),
		gauge(name+"_rate", help+" Per second, averaged over one to two minutes.",
			func(t taskSample) float64 { return t.rate(name, float64(value(&t))) })}
}

const lastMinute = "In the last minute; NaN without any, as in Kafka."

// averageAndMax returns PREFIX_avgSUFFIX and PREFIX_maxSUFFIX of the last minute.
func averageAndMax(prefix, suffix, help string, value func(*task.MetricsSnapshot) task.Summary) []metric[taskSample] {
	prefix = "kafka_connect_" + prefix
	help = help + " " + lastMinute
	return []metric[taskSample]{
		gauge(prefix+"_avg"+suffix, help, func(t taskSample) float64 { return value(&t.Counters).Avg }),
		gauge(prefix+"_max"+suffix, help, func(t taskSample) float64 { return value(&t.Counters).Max }),
	}
}

// since is a gauge of the seconds since a time; it is absent while the time is zero.
func since(name, help string, startOf func(*taskSample) time.Time) metric[taskSample] {
	return labelled(prometheus.GaugeValue, name, help, nil, func(t taskSample, emit func(float64, ...string)) {
		if start := startOf(&t); !start.IsZero() {
			emit(max(t.scrapedAt.Sub(start), 0).Seconds())
		}
	})
}

func taskStatus(name string) metric[taskSample] {
	return labelled(prometheus.GaugeValue, name, "The state of a task.", []string{"status"},
		func(t taskSample, emit func(float64, ...string)) { emit(1, strings.ToLower(string(t.ConnectState))) })
}

func rows(t *taskSample) int64        { return t.Rows }
func rowsRead(t *taskSample) int64    { return t.Read }
func rowsSkipped(t *taskSample) int64 { return t.Failed }
func rowsActive(t *taskSample) int64  { return t.Counters.Active }

var taskLabels = []string{"connector", "task"}

var taskMetrics = newMetrics("", taskLabels, slices.Concat([]metric[taskSample]{
	// Both names are in use: the first by Prometheus' example of the JMX exporter, the second by Strimzi's dashboards.
	taskStatus("kafka_connect_connector_status"),
	taskStatus("kafka_connect_connector_task_status"),
	counter("kafka_connect_task_error_total_records_skipped",
		"Records that were skipped because of an error (errors.tolerance=all).", integer(rowsSkipped)),
	counter("kafka_connect_task_error_total_record_failures", "Errors of records and of retried operations.",
		integer(func(t *taskSample) int64 { return t.Errors })),
	counter("kafka_connect_task_error_total_record_errors", "Records that made a task fail.",
		integer(func(t *taskSample) int64 { return t.Counters.Errors })),
	counter("kafka_connect_task_error_total_retries", "Failed operations that were retried.",
		integer(func(t *taskSample) int64 { return t.Counters.Retries })),
	counter("kafka_connect_task_error_total_errors_logged", "Skipped records that were logged.",
		integer(func(t *taskSample) int64 { return t.Counters.Logged })),
	counter("kafka_connect_task_error_deadletterqueue_produce_requests", "Dead letters that a task tried to send.",
		integer(func(t *taskSample) int64 { return t.Counters.DeadLetters })),
	counter("kafka_connect_task_error_deadletterqueue_produce_failures",
		"Dead letters that could not be sent, or whose batch had one that could not be sent.",
		integer(func(t *taskSample) int64 { return t.Counters.LostDeadLetters })),
	gauge("kafka_connect_task_error_last_error_timestamp",
		"Time of the last error in Unix milliseconds, 0 before the first.", integer(func(t *taskSample) int64 {
			if t.LastError.IsZero() {
				return 0
			}
			return t.LastError.UnixMilli()
		})),
	gauge("kafka_connect_connector_task_running_ratio", "Share of its time that a task was RUNNING, from 0 to 1.",
		func(t taskSample) float64 { return t.Running }),
	gauge("kafka_connect_connector_task_pause_ratio", "Share of its time that a task was PAUSED, from 0 to 1.",
		func(t taskSample) float64 { return t.Paused }),
	gauge("kafka_connect_connector_task_offset_commit_success_percentage",
		"Share of offset commits that succeeded in the last minute, from 0 to 1; 0 without any, as in Kafka.",
		func(t taskSample) float64 { return t.Counters.RecentCommits.Succeeded }),
	gauge("kafka_connect_connector_task_offset_commit_failure_percentage",
		"Share of offset commits that failed in the last minute, from 0 to 1.",
		func(t taskSample) float64 { return t.Counters.RecentCommits.Failed }),
	labelled(prometheus.GaugeValue, "culvert_task_caught_up",
		"1 while a task has caught up, else 0. Only for RUNNING tasks: more workers do not help failed and paused "+
			"ones.", nil,
		func(t taskSample, emit func(float64, ...string)) {
			if t.ConnectState == connect.Running {
				emit(boolValue(t.CaughtUp))
			}
		}),
},
	averageAndMax("connector_task_offset_commit", "_time_ms", "Duration of offset commits, in milliseconds.",
		func(m *task.MetricsSnapshot) task.Summary { return m.CommitTime }),
	averageAndMax("connector_task_batch_size", "", "Rows of a source's pages, or of a sink's batches.",
		func(m *task.MetricsSnapshot) task.Summary { return m.BatchSize }),
)...)

// sourceMetrics has the age of the delta token instead of a lag, which services do not report. The time since the last
// notification reveals a subscription that does not work.
var sourceMetrics = newMetrics("", taskLabels, slices.Concat(
	withRate("source_task_source_record_poll", "Rows that a source has read, acknowledged by Kafka or not.", rowsRead),
	withRate("source_task_source_record_write", "Rows of a source that Kafka has acknowledged.", rows),
	averageAndMax("source_task_poll_batch", "_time_ms",
		"Time from the request of a page to its last row, in milliseconds.",
		func(m *task.MetricsSnapshot) task.Summary { return m.BatchTime }),
	averageAndMax("source_task_source_record_active_count", "",
		"Rows that a source has read and that are not acknowledged yet.",
		func(m *task.MetricsSnapshot) task.Summary { return m.ActiveRows }),
	averageAndMax("source_task_transaction_size", "", "Records of a transaction.",
		func(m *task.MetricsSnapshot) task.Summary { return m.Transactions }), []metric[taskSample]{
		gauge("kafka_connect_source_task_transaction_size_min",
			"Records of a transaction. "+lastMinute, func(t taskSample) float64 { return t.Counters.Transactions.Min }),
		gauge("kafka_connect_source_task_source_record_active_count",
			"Rows that a source has read and that are not acknowledged yet.", integer(rowsActive)),
		counter("culvert_source_pages_total", "Pages that a source has read.",
			integer(func(t *taskSample) int64 { return t.Pages })),
		counter("culvert_source_bytes_total", "Bytes of the bodies of these pages.",
			integer(func(t *taskSample) int64 { return t.Bytes })),
		counter("culvert_source_rows_total", "Rows of a source that Kafka has acknowledged.", integer(rows)),
		since("culvert_source_delta_age_seconds",
			"Time since the feed that is furthest behind had read everything; in delta mode the age of its token.",
			func(t *taskSample) time.Time { return t.LastCaughtUp }),
		labelled(prometheus.GaugeValue, "culvert_feed_load_complete",
			"1 for each feed whose last load has ended; the label complete names what proves that it has every row "+
				"(key, count, delta), or is unproven.", []string{"feed", "complete"},
			func(t taskSample, emit func(float64, ...string)) {
				for _, feed := range t.Feeds {
					if feed.Complete != nil {
						emit(1, label(feed.Name), *feed.Complete)
					}
				}
			}),
		since("culvert_source_notified_seconds",
			"Time since the last notification, or since the subscription, of the subscribed feed for which it is "+
				"longest.",
			func(t *taskSample) time.Time { return t.LastNotified }),
	})...)

var sinkMetrics = newMetrics("", taskLabels, slices.Concat(
	withRate("sink_task_sink_record_read", "Records that a sink has read from Kafka.", rowsRead),
	withRate("sink_task_sink_record_send", "Records of a sink that its service has accepted.", rows),
	withRate("sink_task_offset_commit_completion", "Offset commits that succeeded.",
		func(t *taskSample) int64 { return t.Counters.Commits }),
	averageAndMax("sink_task_put_batch", "_time_ms",
		"Time until the last row of a batch was settled, in milliseconds.",
		func(m *task.MetricsSnapshot) task.Summary { return m.BatchTime }),
	averageAndMax("sink_task_sink_record_active_count", "",
		"Rows that a sink has in its batches and that are not settled.",
		func(m *task.MetricsSnapshot) task.Summary { return m.ActiveRows }), []metric[taskSample]{
		lag("kafka_connect_sink_task_sink_record_lag_max"),
		gauge("kafka_connect_sink_task_sink_record_active_count",
			"Rows that a sink has in its batches and that are not settled.", integer(rowsActive)),
		gauge("kafka_connect_sink_task_partition_count", "Partitions that are assigned to a task.",
			integer(func(t *taskSample) int64 { return t.Partitions })),
		gauge("kafka_connect_sink_task_offset_commit_seq_no", "Offset commits that were started.",
			integer(func(t *taskSample) int64 { return t.Counters.Commits + t.Counters.FailedCommits })),
		counter("kafka_connect_sink_task_offset_commit_skip_total",
			"Always 0: the task waits for late commits and skips none.", func(taskSample) float64 { return 0 }),
		constant[taskSample]("kafka_connect_sink_task_offset_commit_skip_rate",
			"Always 0: the task waits for late commits and skips none.", 0),
		counter("culvert_sink_rows_total", "Records of a sink that its service has accepted.", integer(rows)),
		counter("culvert_sink_refused_total",
			"Records of a sink that were rejected and skipped (errors.tolerance=all).", integer(rowsSkipped)),
		counter("culvert_sink_warnings_total",
			"Warnings that a sink's plugin has logged about responses, such as SAP messages in a successful one.",
			integer(func(t *taskSample) int64 { return t.Warnings })),
		lag("culvert_sink_lag_records"),
		counter("culvert_sink_batches_total", "Batches of records that a sink has sent.",
			integer(func(t *taskSample) int64 { return t.Batches })),
		counter("culvert_sink_requests_total", "Requests that a sink has sent for its batches.",
			integer(func(t *taskSample) int64 { return t.Requests })),
		counter("culvert_sink_again_total",
			"How often a row was sent in another request because its request was rejected as a whole.",
			integer(func(t *taskSample) int64 { return t.Reencoded })),
		gauge("culvert_sink_uncertain_records",
			"Records in doubt: the service may or may not have them; the status of the failed task names them.",
			integer(func(t *taskSample) int64 { return t.Uncertain })),
	})...)

// lag is a gauge that the first task reports for all tasks; it is absent while nothing measures it.
func lag(name string) metric[taskSample] {
	return labelled(prometheus.GaugeValue, name,
		"Records that the tasks of a sink have not processed yet; its first task reports them.", nil,
		func(t taskSample, emit func(float64, ...string)) {
			if t.IsLagKnown {
				emit(float64(t.Lag))
			}
		})
}
