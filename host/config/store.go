package config

// Stored is what is kept of a connector, in a folder of files ([FolderStore]). Parts that are nil or empty are not
// given. In Kafka Connect's config topic, which workers that form a group would share, they are records of their own:
// `connector-NAME`, `target-state-NAME`, and `task-NAME-N` for each task with `commit-NAME` after them.
type Stored struct {
	// Connector is what its user wrote.
	Connector *Connector
	// Target is the state that its user wants, by Kafka Connect's names in the config topic: STARTED, PAUSED or
	// STOPPED.
	Target string
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
