package delivery

import (
	"testing"
)

// Three workers share connectors out among themselves, and go on when one of them leaves, is killed, or comes back.
func TestWorkersOfAGroup(t *testing.T) {
	onEmbedded(t, WorkersOfAGroup)
}

// A worker that is drained hands over before it is stopped; the last one goes on.
func TestDrainOfAWorker(t *testing.T) {
	onEmbedded(t, DrainOfAWorker)
}

// A restart of a worker with a group.instance.id moves nothing.
func TestStaticWorkersOfAGroup(t *testing.T) {
	onEmbedded(t, StaticWorkersOfAGroup)
}

// Notifications come in at any worker, and are taken by the one with the feed's task (T8 on three workers).
func TestSoakNotificationsOfAGroup(t *testing.T) {
	onEmbedded(t, NotificationsOfAGroup)
}

// Whatever connectors have opened at their service is ended with them, on whichever worker they ran (T14 on three
// workers).
func TestSoakDeletedInAGroup(t *testing.T) {
	onEmbedded(t, DeletedInAGroup)
}

// Each worker finds the secrets that settings refer to by itself (T3 on three workers, P25).
func TestSoakSecretsOfAGroup(t *testing.T) {
	onEmbedded(t, SecretsOfAGroup)
}

// What only one connector of an installation may have is had by one, whichever workers are asked (P14).
func TestClaimsOfAGroup(t *testing.T) {
	onEmbedded(t, ClaimsOfAGroup)
}

// Workers follow folders that say the same: the leader applies them, and what differs is not applied.
func TestFolderOfAGroup(t *testing.T) {
	onEmbedded(t, FolderOfAGroup)
}

// What a worker had while it was alone goes on in a group.
func TestAdoptedByAGroup(t *testing.T) {
	onEmbedded(t, AdoptedByAGroup)
}

// Whichever worker is asked shows figures of connectors whose tasks run on several. Offsets are changed when none of
// them runs any more.
func TestFiguresOfAGroup(t *testing.T) {
	onEmbedded(t, FiguresOfAGroup)
}

// Newer versions of a plugin are put into the folders of three workers one after the other: all run what all have.
func TestPluginsOfAGroup(t *testing.T) {
	onEmbedded(t, PluginsOfAGroup)
}

// A worker that does not lead is asked for what others do.
func TestCallsOfAGroup(t *testing.T) {
	onEmbedded(t, CallsOfAGroup)
}

// Workers of a group with exactly-once are killed while they write: every row comes once.
func TestSoakExactlyOnceOfAGroup(t *testing.T) {
	onEmbedded(t, ExactlyOnceOfAGroup)
}

// A worker that is paused for longer than its session acknowledges nothing more of what another one has by then.
func TestPausedOwnerOfAGroup(t *testing.T) {
	onEmbedded(t, PausedOwnerOfAGroup)
}

// A sink of several tasks writes every row once, also where a worker is drained and another one killed.
func TestSinkOfAGroup(t *testing.T) {
	onEmbedded(t, SinkOfAGroup)
}
