package config

import (
	"cmp"
	"context"
)

// Target states by Kafka Connect's names in the config topic. The default is to run.
const (
	TargetStarted = "STARTED"
	TargetPaused  = "PAUSED"
	TargetStopped = "STOPPED"
)

// Store stores the configurations of connectors and reports changes: a [FolderStore], a group's config topic, or a
// standalone worker's file.
type Store interface {
	StoreReader
	StoreWriter
}

// StoreReader reads the stored configurations.
type StoreReader interface {
	// Watch calls changed from one goroutine until ctx ends: at once, after changes, and sometimes without a change.
	Watch(ctx context.Context, changed func(Snapshot))
	// Refresh resolves all references to config providers again, and reports everything once more.
	Refresh()
	Ready() bool
	// Snapshot returns what is stored, including all writes; ok is false before everything was read once.
	Snapshot() (current Snapshot, ok bool)
	// IsStale reports whether a newer snapshot follows.
	IsStale(Snapshot) bool
}

// StoreWriter changes the stored configurations.
type StoreWriter interface {
	Put(ctx context.Context, name string, stored Stored) error
	// CheckWritable returns the error with which Put would reject a connector that runs from a file ("" for none), or
	// nil.
	CheckWritable(name, file string) error
	Delete(ctx context.Context, name string) error
}

var _ Store = (*FolderStore)(nil)

// Stored are the parts of a connector to store. Nil or empty parts are not stored.
type Stored struct {
	Connector *Connector
	Target    string // the target state: STARTED, PAUSED or STOPPED
	// IfMatch reports whether Put may replace the stored version ([Connector.Version]); if not, Put returns a
	// [ChangedError]. Nil accepts any version.
	IfMatch func(version string) bool
}

// Snapshot is the content of a store at one time.
type Snapshot struct {
	// Connectors have unique names. One with problems must not run; its previous configuration continues.
	Connectors []*Connector
	Targets    map[string]string // the target states that were set, by connector
	// Problems belong to no connector, such as a missing folder. With errors, Connectors are the previous ones.
	Problems  Problems
	Requested bool // true after Refresh of the [Store], whether or not anything has changed

	// Offset is the offset after the last record of a config topic, ConfigOffsets are those of connectors' settings.
	// A [FolderStore] leaves these fields, Tasks and Incomplete empty.
	Offset        int64
	ConfigOffsets map[string]int64
	// Tasks are the committed tasks by connector. Incomplete are connectors of which compaction has deleted tasks.
	Tasks      map[string]TaskConfigs
	Incomplete map[string]bool

	Revision int // Revision counts the changes of the store before the snapshot
}

// Target returns a connector's target state: the one that was set, else its initial one.
func (s Snapshot) Target(connector *Connector) string {
	return cmp.Or(s.Targets[connector.Name], connector.InitialTarget())
}

// TaskConfigs returns the planned tasks of a connector, or nil if they must be planned: the settings have changed, the
// connector was stopped, or a worker of Kafka Connect planned them, whose requirements are unknown.
func (s Snapshot) TaskConfigs(name string) *TaskConfigs {
	set, ok := s.Tasks[name]
	if !ok || s.Incomplete[name] || !set.Counts(s.ConfigOffsets[name], s.Targets[name]) {
		return nil
	}
	return &set
}
