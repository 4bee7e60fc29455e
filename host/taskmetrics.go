package host

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/transport"
)

// taskFigures are Kafka Connect's figures of connectors and tasks, by the names under which Prometheus' JMX exporter
// shows them, and Culvert's own. Counters begin anew with a task, as Prometheus expects.
type taskFigures struct {
	connectors func() []connect.Figures
	// startups are those of connectors and of tasks.
	startups func() (connectors, tasks connect.Startups)
	// clients are what kprom has counted of Kafka's clients.
	clients prometheus.Gatherer
	rates   *rates
}

// taskStates are those that the worker counts tasks by, in lower case as JMX has them.
var taskStates = []connect.State{connect.Running, connect.Paused, connect.Failed, connect.Unassigned,
	connect.Restarting, "DESTROYED"}

func connectFigure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kafka_connect_"+name, help, labels, nil)
}

var (
	connectorCountFigure = connectFigure("worker_connector_count", "Connectors of this worker.")
	taskCountFigure      = connectFigure("worker_task_count", "Tasks of this worker.")
	connectorInfoFigure  = connectFigure("connector_info", "A connector: its state, type, class and version.",
		"connector", "status", "connector_type", "connector_class", "connector_version")
	// Strimzi's dashboards join these with the state of a task, one label of each.
	classFigure   = connectFigure("connector_connector_class", "The class of a connector.", "connector", "connector_class")
	typeFigure    = connectFigure("connector_connector_type", "The type of a connector.", "connector", "connector_type")
	versionFigure = connectFigure("connector_connector_version", "The version of a connector.", "connector",
		"connector_version")
	appFigure = connectFigure("app_info", "This program: its version, and when it was started, in milliseconds of Unix.",
		"client_id", "version", "start_time_ms")
	// Both names are in use: the first by Prometheus' example of the JMX exporter, the second by Strimzi's dashboards.
	taskStatusFigure = connectFigure("connector_status", "The state of a task.", "connector", "task", "status")
	taskStateFigure  = connectFigure("connector_task_status", "The state of a task.", "connector", "task", "status")
	totalTasksFigure = connectFigure("worker_connector_total_task_count", "Tasks of a connector.", "connector")
	stateTasksFigure = func() map[connect.State]*prometheus.Desc {
		by := map[connect.State]*prometheus.Desc{}
		for _, s := range taskStates {
			state := strings.ToLower(string(s))
			by[s] = connectFigure("worker_connector_"+state+"_task_count", "Tasks of a connector that are "+
				strings.ToUpper(state)+".", "connector")
		}
		return by
	}()
)

// processStart is when this program was started, as good as it can tell.
var processStart = time.Now()

// perTask is a figure of a task.
type perTask struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	// of is source or sink, "" for both.
	of    string
	value func(connect.Progress) int64
	// rate is the figure for how much it grows in a second, nil for none.
	rate *prometheus.Desc
}

func taskFigure(of, name, help string, kind prometheus.ValueType, value func(connect.Progress) int64) perTask {
	return perTask{desc: prometheus.NewDesc(name, help, []string{"connector", "task"}, nil), kind: kind, of: of,
		value: value}
}

// rated is a counter NAME_total with NAME_rate beside it.
func rated(of, name, help string, value func(connect.Progress) int64) perTask {
	f := taskFigure(of, "kafka_connect_"+name+"_total", help, prometheus.CounterValue, value)
	f.rate = connectFigure(name+"_rate", help+" In a second, over about a minute.", "connector", "task")
	return f
}

func rows(p connect.Progress) int64        { return p.Rows }
func refusedRows(p connect.Progress) int64 { return p.Failed }

var perTaskFigures = []perTask{
	rated("source", "source_task_source_record_poll", "Rows that a source has read, whether or not Kafka has them yet.",
		func(p connect.Progress) int64 { return p.Read }),
	rated("source", "source_task_source_record_write", "Rows of a source that Kafka has acknowledged.", rows),
	rated("sink", "sink_task_sink_record_read", "Records that a sink has read from Kafka.",
		func(p connect.Progress) int64 { return p.Read }),
	rated("sink", "sink_task_sink_record_send", "Records of a sink that its service has taken.", rows),
	taskFigure("sink", "kafka_connect_sink_task_sink_record_lag_max", "Records that a sink has before it.",
		prometheus.GaugeValue, func(p connect.Progress) int64 { return p.Lag }),
	taskFigure("", "kafka_connect_task_error_total_records_skipped", "Records that were left out because they could "+
		"not be handled (errors.tolerance=all).", prometheus.CounterValue, refusedRows),
	taskFigure("", "kafka_connect_task_error_total_record_failures", "Faults of records and of what was tried again.",
		prometheus.CounterValue, func(p connect.Progress) int64 { return p.Faults }),
	taskFigure("", "kafka_connect_task_error_total_record_errors", "Records by which a task failed.",
		prometheus.CounterValue, func(p connect.Progress) int64 { return p.Measures.Errors }),
	taskFigure("", "kafka_connect_task_error_total_retries", "Operations that failed and were tried again.",
		prometheus.CounterValue, func(p connect.Progress) int64 { return p.Measures.Retries }),
	taskFigure("", "kafka_connect_task_error_total_errors_logged", "Records of which a line of the log says that they "+
		"were left out.", prometheus.CounterValue, func(p connect.Progress) int64 { return p.Measures.Logged }),
	taskFigure("", "kafka_connect_task_error_deadletterqueue_produce_requests", "Dead letters that were to be sent.",
		prometheus.CounterValue, func(p connect.Progress) int64 { return p.Measures.Letters }),
	taskFigure("", "kafka_connect_task_error_deadletterqueue_produce_failures", "Dead letters that could not be sent, "+
		"or were sent with others of which one could not be.", prometheus.CounterValue,
		func(p connect.Progress) int64 { return p.Measures.LostLetters }),
	taskFigure("", "kafka_connect_task_error_last_error_timestamp", "When the last fault came, in milliseconds of "+
		"Unix, 0 before the first.", prometheus.GaugeValue, func(p connect.Progress) int64 {
		if p.LastFault.IsZero() {
			return 0
		}
		return p.LastFault.UnixMilli()
	}),
	taskFigure("source", "kafka_connect_source_task_source_record_active_count",
		"Rows that a source has read and that "+
			"are not settled.", prometheus.GaugeValue, func(p connect.Progress) int64 { return p.Measures.Active }),
	taskFigure("sink", "kafka_connect_sink_task_sink_record_active_count",
		"Rows that a sink has in its batches and that "+
			"are not settled.", prometheus.GaugeValue, func(p connect.Progress) int64 { return p.Measures.Active }),
	taskFigure("sink", "kafka_connect_sink_task_partition_count", "Partitions that a task has of its group.",
		prometheus.GaugeValue, func(p connect.Progress) int64 { return p.Partitions }),
	taskFigure("sink", "kafka_connect_sink_task_offset_commit_seq_no", "Commits of offsets that were begun.",
		prometheus.GaugeValue,
		func(p connect.Progress) int64 { return p.Measures.Commits + p.Measures.FailedCommits }),
	rated("sink", "sink_task_offset_commit_completion", "Commits of offsets that were done.",
		func(p connect.Progress) int64 { return p.Measures.Commits }),
	taskFigure("sink", "kafka_connect_sink_task_offset_commit_skip_total", "Always 0: a commit that is late is waited "+
		"for, none is skipped.", prometheus.CounterValue, func(connect.Progress) int64 { return 0 }),
	taskFigure("sink", "kafka_connect_sink_task_offset_commit_skip_rate", "Always 0: a commit that is late is waited "+
		"for, none is skipped.", prometheus.GaugeValue, func(connect.Progress) int64 { return 0 }),
	taskFigure("source", "culvert_source_pages_total", "Pages that a source has read.", prometheus.CounterValue,
		func(p connect.Progress) int64 { return p.Pages }),
	taskFigure("source", "culvert_source_bytes_total", "Bytes of their bodies.", prometheus.CounterValue,
		func(p connect.Progress) int64 { return p.Bytes }),
	taskFigure("source", "culvert_source_rows_total", "Rows of a source that Kafka has acknowledged.",
		prometheus.CounterValue, rows),
	taskFigure("sink", "culvert_sink_rows_total", "Records of a sink that its service has taken.",
		prometheus.CounterValue, rows),
	taskFigure("sink", "culvert_sink_refused_total", "Records of a sink that were refused and tolerated.",
		prometheus.CounterValue, refusedRows),
	taskFigure("sink", "culvert_sink_warnings_total",
		"Warnings that a sink's plugin has logged about answers, such as "+
			"messages of SAP beside a success.", prometheus.CounterValue,
		func(p connect.Progress) int64 { return p.Warnings }),
	taskFigure("sink", "culvert_sink_lag_records", "Records that a sink has before it.", prometheus.GaugeValue,
		func(p connect.Progress) int64 { return p.Lag }),
	taskFigure("sink", "culvert_sink_batches_total", "Batches of records that a sink has made requests of.",
		prometheus.CounterValue, func(p connect.Progress) int64 { return p.Batches }),
	taskFigure("sink", "culvert_sink_requests_total", "Requests that it has sent for them.",
		prometheus.CounterValue, func(p connect.Progress) int64 { return p.Requests }),
	taskFigure("sink", "culvert_sink_again_total", "How often a row was put into another request, since the one "+
		"before was refused as a whole.", prometheus.CounterValue, func(p connect.Progress) int64 { return p.Again }),
	taskFigure("sink", "culvert_sink_uncertain_records", "Records of which nobody knows whether the service has them: "+
		"the status of the task that failed by them names them.", prometheus.GaugeValue,
		func(p connect.Progress) int64 { return p.Uncertain }),
	taskFigure("", "culvert_task_caught_up", "1 while a task has nothing left to do, else 0.", prometheus.GaugeValue,
		func(p connect.Progress) int64 {
			if p.CaughtUp {
				return 1
			}
			return 0
		}),
}

// measured is a figure of a task that is no whole number.
type measured struct {
	desc  *prometheus.Desc
	of    string
	value func(connect.TaskFigures) float64
}

func measuredFigure(of, name, help string, value func(connect.TaskFigures) float64) measured {
	return measured{connectFigure(name, help, "connector", "task"), of, value}
}

// summed are figures PREFIX_avgSUFFIX and PREFIX_maxSUFFIX of the last minute.
func summed(of, prefix, suffix, help string, value func(*task.Tallied) task.Summary) []measured {
	help += " In the last minute; NaN where there was none, as in Kafka."
	return []measured{
		measuredFigure(of, prefix+"_avg"+suffix, help,
			func(t connect.TaskFigures) float64 { return value(&t.Progress.Measures).Avg }),
		measuredFigure(of, prefix+"_max"+suffix, help,
			func(t connect.TaskFigures) float64 { return value(&t.Progress.Measures).Max }),
	}
}

var measuredFigures = slices.Concat(
	[]measured{
		measuredFigure("", "connector_task_running_ratio", "How much of its time a task was RUNNING, from 0 to 1.",
			func(t connect.TaskFigures) float64 { return t.Running }),
		measuredFigure("", "connector_task_pause_ratio", "How much of its time a task was PAUSED, from 0 to 1.",
			func(t connect.TaskFigures) float64 { return t.Paused }),
		measuredFigure("", "connector_task_offset_commit_success_percentage",
			"How many commits of offsets were done in "+
				"the last minute, from 0 to 1; 0 where there was none, as in Kafka.",
			func(t connect.TaskFigures) float64 { return t.Progress.Measures.Recent.Well }),
		measuredFigure("", "connector_task_offset_commit_failure_percentage",
			"How many commits of offsets failed in the last minute, from 0 to 1.",
			func(t connect.TaskFigures) float64 { return t.Progress.Measures.Recent.Badly }),
		measuredFigure("source", "source_task_transaction_size_min",
			"Records of a transaction. In the last minute; NaN where there was none, as in Kafka.",
			func(t connect.TaskFigures) float64 { return t.Progress.Measures.Transactions.Min }),
	},
	summed("", "connector_task_offset_commit", "_time_ms", "How long commits of offsets took, in milliseconds.",
		func(m *task.Tallied) task.Summary { return m.CommitTime }),
	summed("", "connector_task_batch_size", "", "Rows of a source's pages, or of a sink's batches.",
		func(m *task.Tallied) task.Summary { return m.BatchSize }),
	summed("source", "source_task_poll_batch", "_time_ms", "How long pages took from their request to their last row, "+
		"in milliseconds.", func(m *task.Tallied) task.Summary { return m.BatchTime }),
	summed("source", "source_task_source_record_active_count", "",
		"Rows that a source has read and that are not settled.",
		func(m *task.Tallied) task.Summary { return m.ActiveRows }),
	summed("source", "source_task_transaction_size", "", "Records of a transaction.",
		func(m *task.Tallied) task.Summary { return m.Transactions }),
	summed("sink", "sink_task_put_batch", "_time_ms", "How long batches took until the last row was settled, in "+
		"milliseconds.", func(m *task.Tallied) task.Summary { return m.BatchTime }),
	summed("sink", "sink_task_sink_record_active_count", "", "Rows that a sink has in its batches and that are not "+
		"settled.", func(m *task.Tallied) task.Summary { return m.ActiveRows }),
)

// startupFigures are those of connectors or of tasks.
type startupFigures struct{ attempts, success, failure, successShare, failureShare *prometheus.Desc }

func newStartupFigures(of string) startupFigures {
	figure := func(name, help string) *prometheus.Desc {
		return connectFigure("worker_"+of+"_startup_"+name, "Starts of a "+of+help)
	}
	return startupFigures{figure("attempts_total", "."), figure("success_total", " that went well."),
		figure("failure_total", " that failed."), figure("success_percentage", " that went well in the last "+
			"minute, from 0 to 1; 0 where there was none, as in Kafka."),
		figure("failure_percentage", " that failed in the last minute, from 0 to 1.")}
}

func (f startupFigures) all() []*prometheus.Desc {
	return []*prometheus.Desc{f.attempts, f.success, f.failure, f.successShare, f.failureShare}
}

func (f startupFigures) collect(to chan<- prometheus.Metric, n connect.Startups) {
	for i, value := range []float64{float64(n.Done + n.Failed), float64(n.Done), float64(n.Failed)} {
		to <- prometheus.MustNewConstMetric(f.all()[i], prometheus.CounterValue, value)
	}
	to <- prometheus.MustNewConstMetric(f.successShare, prometheus.GaugeValue, n.Recent.Well)
	to <- prometheus.MustNewConstMetric(f.failureShare, prometheus.GaugeValue, n.Recent.Badly)
}

var connectorStartups, taskStartups = newStartupFigures("connector"), newStartupFigures("task")

// A worker is alone: it never has to share connectors out anew, and all of them are its own.
var (
	rebalancesFigure  = connectFigure("worker_rebalance_completed_rebalances_total", "Always 0: a worker is alone.")
	rebalancingFigure = connectFigure("worker_rebalance_rebalancing", "Always 0: a worker is alone.")
	assignedFigure    = connectFigure("coordinator_assigned_connectors", "Connectors of this worker.")
	assignedTasks     = connectFigure("coordinator_assigned_tasks", "Tasks of this worker.")
	rebalanceTime     = connectFigure("worker_rebalance_rebalance_avg_time_ms", "Always NaN: a worker is alone.")
	longestRebalance  = connectFigure("worker_rebalance_rebalance_max_time_ms", "Always NaN: a worker is alone.")
	sinceRebalance    = connectFigure("worker_rebalance_time_since_last_rebalance_ms", "Always +Inf, as in Kafka before "+
		"the first one: a worker is alone.")
)

// deltaAgeFigure is for the source what lag is for the sink. The host does not know what a token is: it is as old as
// the answer behind which there was nothing more.
var deltaAgeFigure = prometheus.NewDesc("culvert_source_delta_age_seconds", "How long ago a source had read all that "+
	"there was, in its feed for which that is longest ago: so old are its delta tokens.", []string{"connector", "task"},
	nil)

// notifiedFigure shows a subscription that leads nowhere: that a service lists it proves nothing.
var notifiedFigure = prometheus.NewDesc("culvert_source_notified_seconds", "How long ago a notification came to a "+
	"source that subscribes, or since when one is to come, in its feed for which that is longest ago.",
	[]string{"connector", "task"}, nil)

var (
	httpAnswersFigure = httpFigure("answers_total", "Answers of the service to requests of a connector, by the first "+
		"digit of their status (2xx), or none where no answer came.", "code")
	httpSecondsFigure = httpFigure("answer_seconds_total", "How long requests of a connector waited for the heads of "+
		"their answers.")
	httpRepeatedFigure = httpFigure("repeated_total", "Requests of a connector that were sent once more.")
	httpSentFigure     = httpFigure("sent_bytes_total", "Bytes of bodies that were sent, as they travel.")
	httpReceivedFigure = httpFigure("received_bytes_total", "Bytes of bodies that were received, as they travel.")
)

func httpFigure(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("culvert_http_"+name, help, append([]string{"connector"}, more...), nil)
}

// exchanges sends what a connector's client has done.
func exchanges(to chan<- prometheus.Metric, name string, n *transport.Counters) {
	if n == nil {
		return
	}
	count := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, append([]string{name}, labels...)...)
	}
	for class, answers := range n.Answers {
		code := "none"
		if class > 0 {
			code = strconv.Itoa(class) + "xx"
		}
		count(httpAnswersFigure, float64(answers), code)
	}
	count(httpSecondsFigure, n.Waited.Seconds())
	count(httpRepeatedFigure, float64(n.Repeated))
	count(httpSentFigure, float64(n.BytesSent))
	count(httpReceivedFigure, float64(n.BytesReceived))
}

// Describe lists all figures.
func (taskFigures) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connectorCountFigure, taskCountFigure, connectorInfoFigure, taskStatusFigure,
		taskStateFigure, totalTasksFigure, deltaAgeFigure, notifiedFigure, httpAnswersFigure, httpSecondsFigure,
		httpRepeatedFigure, httpSentFigure, httpReceivedFigure, rebalancesFigure, rebalancingFigure, assignedFigure,
		assignedTasks, rebalanceTime, longestRebalance, sinceRebalance, classFigure, typeFigure, versionFigure,
		appFigure} {
		to <- d
	}
	describeClients(to)
	for _, d := range stateTasksFigure {
		to <- d
	}
	for _, f := range measuredFigures {
		to <- f.desc
	}
	for _, d := range slices.Concat(connectorStartups.all(), taskStartups.all()) {
		to <- d
	}
	for _, f := range perTaskFigures {
		to <- f.desc
		if f.rate != nil {
			to <- f.rate
		}
	}
}

// Collect sends them.
func (f taskFigures) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	connectors := f.connectors()
	now, tasks := time.Now(), 0
	f.rates.begin()
	for _, c := range connectors {
		name := label(c.Name)
		counts := map[connect.State]int{}
		for _, t := range c.Tasks {
			counts[t.State]++
			if tasks++; tasks <= connect.MaxMeteredTasks {
				f.task(to, now, name, c.Type, t)
			}
		}
		if tasks <= connect.MaxMeteredTasks {
			exchanges(to, name, c.HTTP)
		}
		gauge(totalTasksFigure, len(c.Tasks), name)
		for _, s := range taskStates {
			gauge(stateTasksFigure[s], counts[s], name)
		}
		gauge(connectorInfoFigure, 1, name, strings.ToLower(string(c.State)), c.Type, label(c.Class), label(c.Version))
		gauge(classFigure, 1, name, label(c.Class))
		gauge(typeFigure, 1, name, c.Type)
		gauge(versionFigure, 1, name, label(c.Version))
	}
	collectClients(to, f.clients, f.rates, now)
	f.rates.end()
	gauge(connectorCountFigure, len(connectors))
	gauge(taskCountFigure, tasks)
	gauge(assignedFigure, len(connectors))
	gauge(assignedTasks, tasks)
	gauge(rebalancingFigure, 0)
	for d, value := range map[*prometheus.Desc]float64{rebalanceTime: math.NaN(), longestRebalance: math.NaN(),
		sinceRebalance: math.Inf(1)} {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	version, _ := Version()
	gauge(appFigure, 1, clientID, version, strconv.FormatInt(processStart.UnixMilli(), 10))
	to <- prometheus.MustNewConstMetric(rebalancesFigure, prometheus.CounterValue, 0)
	started, startedTasks := f.startups()
	connectorStartups.collect(to, started)
	taskStartups.collect(to, startedTasks)
}

func (f taskFigures) task(to chan<- prometheus.Metric, now time.Time, name, kind string, t connect.TaskFigures) {
	number, state := strconv.Itoa(t.Task), strings.ToLower(string(t.State))
	to <- prometheus.MustNewConstMetric(taskStatusFigure, prometheus.GaugeValue, 1, name, number, state)
	to <- prometheus.MustNewConstMetric(taskStateFigure, prometheus.GaugeValue, 1, name, number, state)
	since := func(d *prometheus.Desc, at time.Time) {
		if !at.IsZero() {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, max(now.Sub(at), 0).Seconds(), name, number)
		}
	}
	since(deltaAgeFigure, t.Progress.LastUp)
	since(notifiedFigure, t.Progress.Told)
	for _, m := range measuredFigures {
		if m.of == "" || m.of == kind {
			to <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value(t), name, number)
		}
	}
	for _, p := range perTaskFigures {
		if p.of != "" && p.of != kind {
			continue
		}
		value := float64(p.value(t.Progress))
		to <- prometheus.MustNewConstMetric(p.desc, p.kind, value, name, number)
		if p.rate != nil {
			rate := f.rates.of(rateKey{p.rate, name, t.Task}, now, value)
			to <- prometheus.MustNewConstMetric(p.rate, prometheus.GaugeValue, rate, name, number)
		}
	}
}

// rates are how fast counters grow. Whoever asks for figures takes the samples.
type rates struct {
	mu      sync.Mutex
	samples map[rateKey][]sample
	seen    map[rateKey]bool
}

type rateKey struct {
	figure    *prometheus.Desc
	connector string
	task      int
}

type sample struct {
	at    time.Time
	value float64
}

const (
	// rateWindow is over how long a rate is taken, at least where there are samples of that age.
	rateWindow = time.Minute
	// sampleEvery is how far samples that are kept are apart.
	sampleEvery = 5 * time.Second
)

// begin locks the rates for a round of all tasks, end lets them go and forgets tasks that are gone.
func (r *rates) begin() {
	r.mu.Lock()
	r.seen = map[rateKey]bool{}
}

func (r *rates) end() {
	for key := range r.samples {
		if !r.seen[key] {
			delete(r.samples, key)
		}
	}
	r.mu.Unlock()
}

// of takes a sample and returns the growth in a second since the oldest one that is kept. A counter that has begun anew
// has begun at zero.
func (r *rates) of(key rateKey, now time.Time, value float64) float64 {
	r.seen[key] = true
	kept := r.samples[key]
	if n := len(kept); n > 0 && value < kept[n-1].value {
		kept = nil
	}
	for len(kept) > 1 && now.Sub(kept[1].at) >= rateWindow {
		kept = kept[1:]
	}
	rate := 0.0
	if len(kept) > 0 && now.After(kept[0].at) {
		rate = (value - kept[0].value) / now.Sub(kept[0].at).Seconds()
	}
	if n := len(kept); n == 0 || now.Sub(kept[n-1].at) >= sampleEvery {
		kept = append(kept, sample{now, value})
	}
	if r.samples == nil {
		r.samples = map[rateKey][]sample{}
	}
	r.samples[key] = kept
	return rate
}
