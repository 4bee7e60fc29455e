package config

import "context"

// Store is where configurations of connectors are kept. Two kinds are meant: a folder of files ([FolderStore]), and
// Kafka Connect's config topic for workers that form a group. All methods may be called at any time, by several
// goroutines.
//
// In the config topic the parts of [Stored] are records of their own: Connector is `connector-NAME`, Target
// `target-state-NAME`, Tasks `task-NAME-N` for each of them, and `commit-NAME` with their number behind them. So a
// reader of the topic keeps what it has read of tasks apart until their commit is there, and a writer may write one
// part and leave the others.
type Store interface {
	// Get is what is stored of a connector at this time.
	Get(name string) (Stored, bool)
	// Put stores those parts of a connector that are given. It returns when they are stored for good: for the config
	// topic, acknowledged, and read back by this worker.
	Put(ctx context.Context, name string, s Stored) error
	// Delete has a connector stored no longer, with its target state; offsets are not the store's.
	Delete(ctx context.Context, name string) error
	// Watch calls changed with everything that is stored, first as it is and then after each change, from one
	// goroutine, until ctx ends. Several changes may come as one. It calls changed again from time to time without a
	// change, so that what was refused for the lack of something else, a secret or a plugin, has another chance.
	Watch(ctx context.Context, changed func(Snapshot))
}

// Stored is what a store holds of a connector. Parts that are nil or empty are not given.
type Stored struct {
	// Connector is what its user wrote.
	Connector *Connector
	// Target is the state that its user wants, by Kafka Connect's names in the config topic: STARTED, PAUSED or
	// STOPPED.
	Target string
	// Tasks are the settings of each task, as a leader of a group gave them out. A folder has none: its worker runs all
	// tasks.
	Tasks []map[string]string
}

// Snapshot is everything that a store holds at one time.
type Snapshot struct {
	// Connectors have names that differ. One with problems is not to run; what ran before it goes on.
	Connectors []*Connector
	// Targets are target states by the names of connectors, for those that have one.
	Targets map[string]string
	// Problems are those of no connector: a folder that is not there, a worker's file that has changed. With errors
	// among them Connectors are those of the time before.
	Problems Problems
	// Asked: somebody asked for it, by [FolderStore.Look], whether or not anything has changed.
	Asked bool
	// writes is how often the store was written to before.
	writes int
}
