package connect

import (
	"maps"
	"slices"
	"sync"
	"time"

	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// MaxTasksWithMetrics is the maximum number of tasks with their own metrics.
const MaxTasksWithMetrics = 10_000

// Metrics are the metrics of a connector.
type Metrics struct {
	Name string `json:"name"`
	// State is the first condition that applies to the connector or a task. [Herder.Metrics] leaves it empty.
	State         Condition           `json:"state"`
	ConnectState  State               `json:"-"` // Kafka Connect's state
	Type          string              `json:"type"`
	Tasks         []TaskMetrics       `json:"tasks"`
	Class         string              `json:"-"`
	Version       string              `json:"-"`
	OwnsConnector bool                `json:"-"` // this worker runs the connector itself and not only tasks of it
	HTTP          *transport.Counters `json:"-"` // nil before the connector has a client
}

// TaskMetrics are the metrics of a task since it was created.
type TaskMetrics struct {
	Task         int       `json:"id"`
	State        Condition `json:"state"`
	ConnectState State     `json:"-"`
	WorkerID     string    `json:"worker_id"`
	// Progress is nil if Error specifies why it is unknown.
	*Progress
	Error string `json:"error,omitempty"`
	// Running and Paused are shares of the task's lifetime, from 0 to 1.
	Running float64 `json:"-"`
	Paused  float64 `json:"-"`
}

// Metrics returns the metrics of all connectors, sorted by name.
func (h *Herder) Metrics() []Metrics {
	var metrics []Metrics
	for _, ctl := range h.allControllers() {
		metrics = append(metrics, ctl.observe().metrics())
	}
	return metrics
}

// ConnectorMetrics returns the metrics of one connector.
func (h *Herder) ConnectorMetrics(name string) (Metrics, error) {
	return fromView(h, name, (*view).metricsWithStates)
}

func (v *view) metricsWithStates() Metrics {
	metrics := v.metrics()
	metrics.State = v.ownStatus().Condition
	for i := range metrics.Tasks {
		metrics.Tasks[i].State = v.taskStatus(&v.tasks[i], metrics.Tasks[i].Progress).Condition
	}
	metrics.AddTaskStates()
	return metrics
}

func (v *view) metrics() Metrics {
	result := v.restStatus()
	metrics := Metrics{Name: v.name, Type: result.Type, Class: v.currentRun.component().Name,
		Version: result.Connector.Version, ConnectState: v.state, Tasks: []TaskMetrics{},
		OwnsConnector: v.assignment.OwnsConnector}
	if v.client != nil {
		metrics.HTTP = new(v.client.Counters())
	}
	for i, task := range result.Tasks {
		running, paused := v.tasks[i].clock.ratios()
		progress := v.tasks[i].currentProgress()
		metrics.Tasks = append(metrics.Tasks, TaskMetrics{Task: task.ID, ConnectState: task.State,
			WorkerID: task.WorkerID, Progress: &progress, Running: running, Paused: paused})
	}
	return metrics
}

// AddTaskStates changes the state of the connector to the first condition that applies to it or a task.
func (m *Metrics) AddTaskStates() {
	for _, task := range m.Tasks {
		if task.State.Precedence() < m.State.Precedence() {
			m.State = task.State
		}
	}
}

// OriginUse is how much this worker uses an origin, and for which connectors.
type OriginUse struct {
	limits.Usage
	WorkerID   string   `json:"worker_id"`
	Connectors []string `json:"connectors"`
	// AwaySince is when the origin stopped responding to one of the connectors. Nil means that it responds to all.
	AwaySince *time.Time `json:"away_since"`
	// Logons has the connectors by the user with which they, or their proxies, log on.
	Logons map[lockouts.Identity][]string `json:"-"`
}

func (u *OriginUse) add(connector string, client *transport.Client) {
	u.Connectors = append(u.Connectors, connector)
	if u.Origin != client.Origin() { // a further origin of the client
		return
	}
	for _, user := range client.Logons() {
		if u.Logons == nil {
			u.Logons = map[lockouts.Identity][]string{}
		}
		u.Logons[user] = append(u.Logons[user], connector)
	}
	since := client.AwaySince()
	if since.IsZero() || client.Waits().ByService { // it answers, with a requested pause
		return
	}
	if u.AwaySince == nil || since.Before(*u.AwaySince) {
		u.AwaySince = &since
	}
}

// Origins returns the origins that connectors use, sorted.
func (h *Herder) Origins() []OriginUse {
	uses := map[string]*OriginUse{}
	isKnown := func(origin string) bool { return uses[origin] != nil }
	for _, ctl := range h.allControllers() {
		client := ctl.client()
		if client == nil {
			continue
		}
		for _, usage := range client.Usage(isKnown) {
			if uses[usage.Origin] == nil {
				uses[usage.Origin] = &OriginUse{Usage: usage, WorkerID: h.shared.WorkerID}
			}
			uses[usage.Origin].add(ctl.name, client)
		}
	}
	var sortedUses []OriginUse
	for _, origin := range slices.Sorted(maps.Keys(uses)) {
		sortedUses = append(sortedUses, *uses[origin])
	}
	return sortedUses
}

type startCounters struct{ connectors, tasks startCounter }

// startCounter counts the starts of connectors or of tasks by outcome.
type startCounter struct {
	mu       sync.Mutex
	outcomes core.Outcomes
}

func (s *startCounter) addSuccess() { s.add(true) }

func (s *startCounter) addFailure() { s.add(false) }

func (s *startCounter) add(succeeded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes.Add(time.Now(), succeeded)
}

func (s *startCounter) snapshot() Startups {
	s.mu.Lock()
	defer s.mu.Unlock()
	lastMinute := s.outcomes.Ratios(time.Now())
	return Startups{Succeeded: s.outcomes.Succeeded, Failed: s.outcomes.Failed, LastMinute: lastMinute}
}

// Startups counts starts of connectors or of tasks.
type Startups struct {
	Succeeded  int64
	Failed     int64
	LastMinute core.OutcomeRatios
}

// Startups returns the counts since the worker started. Each retry counts, too.
func (h *Herder) Startups() (connectors, tasks Startups) {
	return h.shared.starts.connectors.snapshot(), h.shared.starts.tasks.snapshot()
}
