package cluster

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
)

// Three workers share connectors out among themselves, and go on when one of them leaves, is killed, or comes back.
func TestWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.WorkersOfAGroup(t, p, p.Broker())
}

// A wrong password on ten workers is one failure at the service, and what goes on with the right one is all of them,
// though no file of one of them can grow any more.
func TestOneLogonOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.OneLogonOfAGroup(t, p, p.Broker(), func(worker *os.Process) {
		e2e.NoError(t, unix.Prlimit(worker.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil))
	})
}

// A worker that is drained hands over before it is stopped; the last one goes on.
func TestDrainOfAWorker(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.DrainOfAWorker(t, p, p.Broker())
}

// A restart of a worker with a group.instance.id moves nothing.
func TestStaticWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.StaticWorkersOfAGroup(t, p, p.Broker())
}

// Notifications come in at any worker, and are taken by the one with the feed's task (T8 on three workers).
func TestSoakNotificationsOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.NotificationsOfAGroup(t, p, p.Broker())
}

// Whatever connectors have opened at their service is ended with them, on whichever worker they ran (T14 on three
// workers).
func TestSoakDeletedInAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.DeletedInAGroup(t, p, p.Broker())
}

// Each worker finds the secrets that settings refer to by itself (T3 on three workers, P25).
func TestSoakSecretsOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.SecretsOfAGroup(t, p, p.Broker())
}

// What only one connector of an installation may have is had by one, whichever workers are asked (P14).
func TestClaimsOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.ClaimsOfAGroup(t, p, p.Broker())
}

// Workers follow folders that say the same: the leader applies them, and what differs is not applied.
func TestFolderOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.FolderOfAGroup(t, p, p.Broker())
}

// What a worker had while it was alone goes on in a group.
func TestAdoptedByAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.AdoptedByAGroup(t, p, p.Broker())
}

// Whichever worker is asked shows figures, topics and dead letters of connectors whose tasks run on several. Offsets
// are changed when none of them runs any more.
func TestFiguresOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.FiguresOfAGroup(t, p, p.Broker())
}

// Newer versions of a plugin are put into the folders of three workers one after the other: all run what all have.
func TestPluginsOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.PluginsOfAGroup(t, p, p.Broker())
}

// A worker that does not lead is asked for what others do.
func TestCallsOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.CallsOfAGroup(t, p, p.Broker())
}

// A worker that starts changes nothing before it knows its connectors.
func TestChangesWhileAGroupStarts(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.ChangesWhileAGroupStarts(t, p, p.Broker())
}

// A worker that others cannot reach is named by the leader.
func TestUnreachedWorkerOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.UnreachedWorkerOfAGroup(t, p, p.Broker())
}

// Of two groups on one config topic one runs what stands there, until it has released it.
func TestTwoGroupsOnATopic(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.TwoGroupsOnATopic(t, p, p.Broker())
}

// A worker whose config topic was deleted and made again ends: it could not know any more what it is to run.
func TestConfigTopicMadeAgain(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.ConfigTopicMadeAgain(t, p, p.Broker())
}
