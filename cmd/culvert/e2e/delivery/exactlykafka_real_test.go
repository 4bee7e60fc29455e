//go:build real

package delivery

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// startExactBroker starts a broker that aborts transactions soon after their timeout.
func startExactBroker(t *testing.T) *e2etest.ExactPeer {
	port := e2etest.FreePort(t)
	controller := e2etest.FreePort(t)
	k := &e2etest.ExactPeer{T: t, Dir: t.TempDir(), Servers: "127.0.0.1:" + port}
	propertiesFile := filepath.Join(t.TempDir(), "broker.properties")
	content := []byte("transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n")
	require.NoError(t, os.WriteFile(propertiesFile, content, 0o600))
	k.Start = func() {
		e2etest.StartPeer(t, "kafka/start-broker.sh", k.Dir, []string{"CONTROLLER_PORT=" + controller,
			"BROKER_PROPS=" + propertiesFile}, port, k.Dir)
	}
	k.Start()
	return k
}

// Numbers of bytes of the set's responses that end in the middle of its first and its third page.
const withinFirst, withinThird = 600_000, 1_400_000

// Arguments of AwaitTransactions.
const open, closed = true, false

// TestRealExactlyOnce kills and fences workers, and stops and pauses their Apache Kafka broker: a consumer with
// read_committed finds every row once. CULVERT_SOAK=1 kills 200 times.
func TestRealExactlyOnce(t *testing.T) {
	t.Parallel()
	k := startExactBroker(t)
	t.Run("Killed", func(t *testing.T) {
		rounds := ExactRounds(10)
		e := NewExactWorker(t, k.Servers, e2etest.NewPlace(t), "killed", rounds)
		e.Run(rounds, syscall.SIGKILL)
		// Kafka's own consumer finds the same number.
		printed := e2etest.RunKafkaTool(t, "consume", "--bootstrap-server", k.Servers, "--topic", "killed",
			"--from-beginning",
			"--isolation-level", "read_committed", "--max-messages", fmt.Sprint(len(e.Rows)+1), "--timeout-ms", "30000")
		n := strings.Count(printed, "\n")
		assert.True(t, n == len(e.Rows), "expected Kafka's consumer to see %d records, found %d", len(e.Rows), n)
	})
	t.Run("BrokerPaused", func(t *testing.T) {
		e := NewExactWorker(t, k.Servers, e2etest.NewPlace(t), "paused", 4)
		w := e.BlockInPage()
		k.Signal(syscall.SIGSTOP)
		<-time.After(30 * time.Second) // the duration of the fault
		k.Signal(syscall.SIGCONT)
		e.ResumeAndStop(w)
		e.Finish("broker paused for 30 s")
	})
	t.Run("BrokerAway", func(t *testing.T) {
		e := NewExactWorker(t, k.Servers, e2etest.NewPlace(t), "away", 4)
		w := e.BlockInTransaction(k, withinThird) // from the second one on transactions are of version 2 (KIP-890)
		pid := k.Pid()
		k.Signal(syscall.SIGTERM)
		w.Eventually("a broker that has ended", func() bool { return syscall.Kill(pid, 0) != nil })
		close(e.Held.Release)
		<-time.After(12 * time.Second) // the duration of the fault: longer than the transaction may last
		k.Start()
		w.Eventually("more rows", func() bool {
			return len(e.Records(e.Name)) > 6*PageRows
		})
		w.Signal(syscall.SIGTERM)
		if r := w.Wait(); r.Code != 0 || strings.Contains(r.Stderr, "task failed") ||
			!strings.Contains(r.Stderr, "starts over from its stored offset") {
			t.Errorf("expected a feed that starts over, found exit %d\n%s", r.Code, r.Stderr)
		}
		e.Finish("broker away for longer than a transaction may last")
	})
	t.Run("PageTooLong", func(t *testing.T) {
		e := NewExactWorker(t, k.Servers, e2etest.NewPlace(t), "long", 4)
		w := e.BlockInTransaction(k, withinFirst)
		k.AwaitTransactions(closed)
		close(e.Held.Release)
		w.AwaitStderr("set a smaller page.size")
		w.Kill()
		e.Finish("page that outlasts its transaction")
	})
	t.Run("Zombie", func(t *testing.T) {
		NewExactWorker(t, k.Servers, e2etest.NewPlace(t), "zombie", 4).TakeOverPaused()
	})
}

// BlockInTransaction starts a worker that reads the set, and blocks it after so many bytes of responses, where it has
// produced a part of a page, in a transaction of ten seconds.
func (e *ExactWorker) BlockInTransaction(k *e2etest.ExactPeer, after int) *e2etest.Command {
	e.t.Helper()
	e.StartEdits()
	e.Held.Arm(after)
	w := e.Start(runUntilStopped, e.Files("producer.override.transaction.timeout.ms=10000")[0])
	e.AwaitBlocked(w)
	k.AwaitTransactions(open)
	return w
}

// BlockInPage starts a worker and blocks it within a page.
func (e *ExactWorker) BlockInPage() *e2etest.Command {
	e.t.Helper()
	e.StartEdits()
	e.Arm()
	w := e.Start(runUntilStopped, e.Files()...)
	e.AwaitBlocked(w)
	return w
}

// ResumeAndStop releases the delayed page, waits until the worker has read more pages of both connectors, and stops it.
func (e *ExactWorker) ResumeAndStop(w *e2etest.Command) {
	e.t.Helper()
	earlier := e.S.Ledger()
	close(e.Held.Release)
	w.Eventually("further pages", func() bool {
		later := e.S.Ledger()
		return later.Deltas > earlier.Deltas+1 && later.Pages-later.Deltas > earlier.Pages-earlier.Deltas
	})
	w.MustStop()
}

// TakeOverPaused pauses a worker within a page, lets another one with the same group.id take over its connectors, and
// resumes the first: it commits nothing more, and its tasks report why.
func (e *ExactWorker) TakeOverPaused() {
	e.t.Helper()
	e.maxExpired = 1
	first := e.BlockInPage()
	first.Signal(syscall.SIGSTOP)
	e.p = e2etest.NewPlace(e.t) // represents another machine
	second := e.Start(runUntilStopped, e.Files()...)
	earlier := e.S.Ledger()
	second.Eventually("pages of the second worker", func() bool {
		later := e.S.Ledger()
		return later.Deltas > earlier.Deltas+1 && later.Pages-later.Deltas > earlier.Pages-earlier.Deltas+1
	})
	first.Signal(syscall.SIGCONT)
	e.ResumeAndStop(second)
	first.AwaitStderr("another producer uses it")
	first.Signal(syscall.SIGKILL)
	first.Wait()
	e.Finish("worker paused while another one took over")
}
