package rest

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Worker contains the functions by which REST reads and changes the worker. Until the worker has started
// ([Parts.Starting]), only Now, Redact, Metrics and Ready are called. Errors are or wrap a [Refusal] or
// [connect.ErrUnknownConnector].
type Worker struct {
	Now     func() Parts                // the parts that are open at the moment
	Redact  func(text string) string    // removes secrets
	Metrics func() prometheus.Gatherer  // for GET /metrics
	Ready   func(context.Context) error // nil if the worker can handle requests
	// Passwords returns a function that reports whether a setting is hidden in masked configurations.
	Passwords      func() func(setting string) bool
	SetTargetState func(name string, target connect.TargetState) error
	// Reload returns the last reload of the connector folder, after a new scan if again is set; ok is false without
	// one.
	Reload func(again bool) (r Reload, ok bool)
	// CatchUp waits until this worker's answers contain all earlier changes of a connector ("" means one that is new),
	// whichever worker made them.
	CatchUp func(ctx context.Context, connector string)
	Configs
	Samples
}

// Configs contains the functions that check, compare and store configurations of connectors.
type Configs struct {
	// Validate checks a configuration for a plugin, see [check.Checker.Validate]. logon allows the check to log on,
	// because the sender claims that the secret is right.
	Validate func(
		ctx context.Context, class string, settings map[string]string, logon bool) (*check.Validation, error)
	Definitions func(ctx context.Context, class string, version *string) ([]check.Definition, error)
	// Write creates or changes a connector. Compare returns what Write would do; masked prevents that a guessed
	// password is confirmed.
	Write   func(ctx context.Context, name string, config ConfigRequest) (WriteResult, error)
	Compare func(ctx context.Context, name string, config ConfigRequest, masked bool) (Comparison, error)
	Delete  func(ctx context.Context, name string) error
	// Source returns the stored version of a connector's configuration, "" if it comes from a file, and withText the
	// current text of that file.
	Source func(name string, withText bool) (text []byte, version string, err error)
}

// Samples contains the functions that show rows of connectors, and those that run commands of plugins.
type Samples struct {
	StartSample func(connector string, request SampleRequest) (Sample, error)
	// ListSamples returns the samples that are kept, the newest first, without steps and rows.
	ListSamples func(connector string) []Sample
	// ReadSample returns a sample with the results of the transforms of settings; nil means those of the connector.
	// SampleTestFile returns a test file with them.
	ReadSample     func(ctx context.Context, connector, id string, settings map[string]string) (Sample, error)
	SampleTestFile func(ctx context.Context, connector, id string, settings map[string]string) ([]byte, error)
	Tools          func(ctx context.Context, connector string) ([]Tool, error)
	RunTool        func(ctx context.Context, connector, command string, request ToolRequest) (ToolAnswer, error)
	// Peek runs the plugin's command peek with a configuration that need not be stored.
	Peek func(ctx context.Context, settings map[string]string, request ToolRequest) (ToolAnswer, error)
}

// Herder is the part of [connect.Herder] that REST uses.
type Herder interface {
	ConnectorReader
	MetricsReader
	OffsetStore
	TopicTracker
	DeadLetterStore
	Restart(name string, tasks ...int) error
	Retire(ctx context.Context, name string) (string, error)
	Snapshot(name, feed, ident string) error
}

// ConnectorReader returns connectors, their tasks and states, and the available plugins.
type ConnectorReader interface {
	Names() []string
	Info(name string) (connect.Info, error)
	Status(name string) (connect.Status, error)
	Tasks(name string) ([]connect.TaskInfo, error)
	Plugins(connectorsOnly bool) []connect.Plugin
	PluginUsers() map[string][]string
}

// MetricsReader returns the progress of connectors, and how they use their services.
type MetricsReader interface {
	ConnectorMetrics(name string) (connect.Metrics, error)
	Origins() []connect.OriginUse
	Summaries() []connect.Summary
	RunningTasks() int
	History(name, timeRange string) (history.History, error)
	Hour(name string) connect.Activity
}

// OffsetStore reads and changes the offsets of connectors.
type OffsetStore interface {
	Offsets(ctx context.Context, name string) ([]offset.Entry, error)
	AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error
	ResetOffsets(ctx context.Context, name string) error
}

// TopicTracker knows which topics a connector has used.
type TopicTracker interface {
	Topics(name string) ([]string, error)
	ResetTopics(name string) error
}

// DeadLetterStore counts, reads, replays and discards the dead letters of connectors.
type DeadLetterStore interface {
	DeadLetterSummary(name string) deadletters.Summary
	ListDeadLetters(ctx context.Context, name string, query deadletters.Query,
		each func(deadletters.ListedLetter) error) (deadletters.Page, error)
	DiscardDeadLetters(ctx context.Context, name string, filter deadletters.Filter) (deadletters.Result, error)
	ReplayConnector(ctx context.Context, name string, r deadletters.Request) (deadletters.Result, error)
}

// Parts contains the parts of a worker that are open at one moment.
type Parts struct {
	// Starting describes the start-up until it is complete: the herder has all connectors, and in a group a leader is
	// known. Then it is nil.
	Starting     error
	Root         Root
	ID           string // the worker id in status: HOST:PORT
	Started      time.Time
	Once         bool // a run with --once, in which REST changes nothing
	Herder       Herder
	TracksTopics bool // topic.tracking.enable: the topics of connectors are shown
	ResetsTopics bool // topic.tracking.allow.reset: the topics of connectors may be reset
	Plugins      *plugin.Manager
	Lockouts     *lockouts.Store
	Levels       *logging.Levels
	Log          *slog.Logger
	Events       *events.Recorder
	Recent       *logging.Recent
}

// Root is the response of GET /. Version starts as Kafka's does, because tools read it.
type Root struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Cluster string `json:"kafka_cluster_id"`
}

// Change is the effect of a reload on a connector.
type Change struct {
	Connector string          `json:"connector"`
	Effect    resolved.Action `json:"effect"`
	File      string          `json:"file,omitempty"`     // "" if the connector would be removed
	Settings  []string        `json:"settings,omitempty"` // the settings that differ
	// Problems prevent the change. KeepsRunning means that the current connector then continues.
	Problems     []string `json:"problems,omitempty"`
	KeepsRunning bool     `json:"goes_on,omitempty"`
}

// Reload is the state of the connector folder.
type Reload struct {
	Folder     string              `json:"folder"`
	Last       string              `json:"last,omitempty"` // when a reload changed something or was refused
	Reloads    map[string]int64    `json:"reloads"`        // by result: applied, refused, unchanged
	Problems   []string            `json:"problems"`       // of no connector: a missing folder, a changed worker file
	Connectors []ReloadedConnector `json:"connectors"`
	Running    *ReloadProgress     `json:"running,omitempty"` // nil while no reload runs
}

// ReloadProgress is how far a running reload is. Each file is applied when it was checked, removals last.
type ReloadProgress struct {
	Started string `json:"started"` // a newer scan of the folder starts it again
	Checked int    `json:"checked"` // files
	Files   int    `json:"files"`   // all of them
}

// ReloadedConnector is a connector with its file.
type ReloadedConnector struct {
	Name  string `json:"name"`
	File  string `json:"file"`
	Error string `json:"error,omitempty"` // why the file is rejected, with file and line
}
