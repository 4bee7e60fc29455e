package rest

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Worker holds the functions of the host by which REST reads and changes the worker. Until it has started
// ([Parts.Starting]) only Now, Redact, Metrics and Ready are called. Errors are or wrap a [Refusal] or
// [connect.ErrUnknownConnector].
type Worker struct {
	// Now returns what the worker has opened so far.
	Now func() Parts
	// Redact returns a text without what must not be shown.
	Redact func(text string) string
	// Metrics returns what GET /metrics shows.
	Metrics func() prometheus.Gatherer
	// Ready returns nil if the worker has started and can handle requests.
	Ready func(context.Context) error
	// Passwords returns which settings have values that are not shown where configurations are masked.
	Passwords func() func(setting string) bool
	// SetTargetState gives a connector a target state, and keeps it.
	SetTargetState func(name string, target connect.TargetState) error
	// Validate checks a configuration for a plugin, see [check.Checker.Validate]. logon: its sender says that the
	// secret in it is right, so that the check may log on with it.
	Validate func(ctx context.Context, class string, settings map[string]string, logon bool) (*check.Validation, error)
	// Definitions are what a class declares, see [check.Checker.Definitions].
	Definitions func(ctx context.Context, class string, version *string) ([]check.Definition, error)
	// Write and Delete change connectors for good.
	Write  func(ctx context.Context, name string, given ConfigRequest) (WriteResult, error)
	Delete func(ctx context.Context, name string) error
	// Compare returns what it would mean to Write a configuration. masked: a guessed password is never confirmed.
	Compare func(ctx context.Context, name string, given ConfigRequest, masked bool) (Comparison, error)
	// Source returns the version of the configuration that the herder shows of a connector, "" for one that has a file,
	// and withText what its file of properties holds at the moment, nil if it has none.
	Source func(name string, withText bool) (text []byte, version string, err error)
	// StartSample has the next rows of a connector kept.
	StartSample func(connector string, asked SampleRequest) (Sample, error)
	// ReadSample is a sample whose rows went through the transforms of settings, nil for those of the connector;
	// SampledTest is a file of tests with them.
	ReadSample     func(ctx context.Context, connector, id string, settings map[string]string) (Sample, error)
	SampleTestFile func(ctx context.Context, connector, id string, settings map[string]string) ([]byte, error)
	// Tools are the commands of a connector's plugin. RunTool runs one.
	Tools   func(ctx context.Context, connector string) ([]Tool, error)
	RunTool func(ctx context.Context, connector, command string, asked ToolRequest) (ToolAnswer, error)
	// Reload returns the result of the last reload of the folder of connectors, which is read again if requested; false
	// means that the worker follows no folder.
	Reload func(again bool) (Reload, bool)
}

// Herder is [connect.Herder], as far as REST needs it.
type Herder interface {
	Names() []string
	Info(name string) (connect.Info, error)
	Status(name string) (connect.Status, error)
	Tasks(name string) ([]connect.TaskInfo, error)
	Plugins(connectorsOnly bool) []connect.Plugin
	ConnectorMetrics(name string) (connect.Metrics, error)
	Origins() []connect.OriginUse
	Summaries() []connect.Summary
	Restart(name string, tasks ...int) error
	Offsets(ctx context.Context, name string) ([]offset.Entry, error)
	AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error
	ResetOffsets(ctx context.Context, name string) error
	Topics(name string) ([]string, error)
	ResetTopics(name string) error
	Retire(ctx context.Context, name string) (string, error)
	Snapshot(name, feed, ident string) error
	DeadLetterCounts(ctx context.Context) map[string]int64
	ReadDeadLetters(ctx context.Context, name string, last int64, each func(*connect.DeadLetter) error) (string, error)
	ReplayConnector(ctx context.Context, name string, r connect.ReplayRequest) (connect.ReplayResult, error)
}

// Parts holds what a worker has opened at one moment.
type Parts struct {
	// Starting is an error that describes the start-up until it is completed: the herder has all connectors, and in a
	// group a leader is known. After that it is nil.
	Starting error
	Root     Root
	// ID is HOST:PORT of this worker, as status shows it.
	ID string
	// Once means that the worker ends by itself, and its connectors cannot be paused, stopped or restarted.
	Once bool
	// Herder has the connectors. TracksTopics: REST may show which topics they have used. ResetsTopics: it may forget
	// them.
	Herder                     Herder
	TracksTopics, ResetsTopics bool
	Plugins                    *plugin.Manager
	Lockouts                   *lockouts.Store
	Levels                     *logging.Levels
	Log                        *slog.Logger
	Recent                     *logging.Recent
}

// Root names version and cluster. Version begins as Kafka's does, because tools read it.
type Root struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Cluster string `json:"kafka_cluster_id"`
}

// Change is what a reload would do to a connector.
type Change struct {
	Connector string        `json:"connector"`
	Effect    config.Action `json:"effect"`
	// File has its configuration; "" if it would be removed.
	File string `json:"file,omitempty"`
	// Settings are the names of settings that differ.
	Settings []string `json:"settings,omitempty"`
	// Problems prevent the change if it would be rejected. KeepsRunning means that the current connector continues
	// then.
	Problems     []string `json:"problems,omitempty"`
	KeepsRunning bool     `json:"goes_on,omitempty"`
}

// Reload is what became of changes to the files of connectors.
type Reload struct {
	Folder string `json:"folder"`
	// Last is when a reload changed something, or was refused.
	Last string `json:"last,omitempty"`
	// Reloads counts reloads by result: applied, refused, unchanged.
	Reloads map[string]int64 `json:"reloads"`
	// Problems that belong to no connector: a missing folder, a changed worker file.
	Problems   []string            `json:"problems"`
	Connectors []ReloadedConnector `json:"connectors"`
}

// ReloadedConnector is a connector and its file.
type ReloadedConnector struct {
	Name string `json:"name"`
	File string `json:"file"`
	// Error is why its configuration is rejected, with file and line.
	Error string `json:"error,omitempty"`
}
