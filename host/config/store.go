package config

import "context"

// Store keeps the configurations of connectors, and says when they change: a [FolderStore] or a [TopicStore].
type Store interface {
	// Watch calls changed with everything that is stored, first as it is and then after each change, from one
	// goroutine, until ctx ends. Several changes may come as one. From time to time it is called without a change.
	Watch(ctx context.Context, changed func(Snapshot))
	// Refresh has all references to config providers resolved again, and everything handed on once more.
	Refresh()
	// Ready tells whether everything that was stored has been looked at once.
	Ready() bool
	// Snapshot is what is known now, with all that was written; ok is false before everything has been read once.
	Snapshot() (now Snapshot, ok bool)
	// IsStale tells whether something was written after a snapshot was made: another one follows.
	IsStale(of Snapshot) bool
	// Put keeps what is given of a connector. It holds as it was written when Put returns.
	Put(ctx context.Context, name string, stored Stored) error
	// CheckWritable returns nil if Put may write a connector, which runs from a file ([Connector.File], "" for none).
	// Else the error is that of Put.
	CheckWritable(name, file string) error
	// Delete forgets a connector with its target state.
	Delete(ctx context.Context, name string) error
}

var (
	_ Store = (*FolderStore)(nil)
	_ Store = (*TopicStore)(nil)
)

// TaskConfigs are the tasks of a connector as they were planned since its configuration changed; nil: they are to be
// planned. A connector that was stopped has none, so that they are planned when it goes on. Of tasks that a worker of
// Kafka Connect's has planned it is not known what they claim and ask: they do not run, and are planned once more.
func (s Snapshot) TaskConfigs(name string) *TaskConfigs {
	return s.stored[name].planned(s.Targets[name])
}
