//go:build real

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// exactPeer is a broker of Apache Kafka under workers with exactly-once.
type exactPeer struct {
	t       *testing.T
	dir     string
	servers string
	start   func() // again, too
}

// exactBroker starts a broker that soon ends transactions whose time is over.
func exactBroker(t *testing.T) *exactPeer {
	port, controller := freePort(t), freePort(t)
	k := &exactPeer{t: t, dir: t.TempDir(), servers: "127.0.0.1:" + port}
	more := filepath.Join(t.TempDir(), "broker.properties")
	soon := []byte("transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n")
	if err := os.WriteFile(more, soon, 0o600); err != nil {
		t.Fatal(err)
	}
	k.start = func() {
		startPeer(t, "kafka/start-broker.sh", k.dir, []string{"CONTROLLER_PORT=" + controller, "BROKER_PROPS=" + more},
			port, k.dir)
	}
	k.start()
	return k
}

// pid is the broker's process.
func (k *exactPeer) pid() int {
	k.t.Helper()
	text, err := os.ReadFile(filepath.Join(k.dir, "pids"))
	if err != nil {
		k.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		k.t.Fatal(err)
	}
	return pid
}

func (k *exactPeer) signal(s syscall.Signal) {
	k.t.Helper()
	if err := syscall.Kill(k.pid(), s); err != nil {
		k.t.Fatal(err)
	}
}

// asked is what an administrator's client finds out, until it holds.
func (k *exactPeer) asked(what string, holds func(ctx context.Context, c *kadm.Client) (bool, error)) {
	k.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(k.servers, ",")...))
	if err != nil {
		k.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), comesAbout)
	defer cancel()
	admin := kadm.NewClient(client)
	for {
		ok, err := holds(ctx, admin)
		if ok && err == nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			k.t.Fatalf("%s did not come about: %v", what, err)
		}
	}
}

// withinFirst and withinThird are in the middle of pages, in bytes of the set's answers.
const withinFirst, withinThird = 600_000, 1_400_000

// opens starts a worker that reads the set, and holds it up where it has produced a part of a page, with so many bytes
// of the answers: in a transaction of ten seconds.
func (e *exactly) opens(k *exactPeer, after int) *command {
	e.t.Helper()
	e.edit()
	e.held.arm(after)
	w := e.start(false, e.files("producer.override.transaction.timeout.ms=10000")[0])
	e.waits(w)
	k.open(true)
	return w
}

// open waits until transactions are open, or none is any more: the brokers end those whose time is over.
func (k *exactPeer) open(some bool) {
	k.t.Helper()
	k.asked("transactions that begin or end", func(ctx context.Context, c *kadm.Client) (bool, error) {
		found, err := c.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareAbort", "PrepareEpochFence"})
		return len(found.TransactionalIDs()) > 0 == some, err
	})
}

// TestRealExactlyOnce kills, pauses and overtakes workers, and stops and pauses the broker of Apache Kafka under them:
// a consumer with read_committed finds every row once. CULVERT_SOAK=1 kills 200 times.
func TestRealExactlyOnce(t *testing.T) {
	k := exactBroker(t)
	t.Run("Killed", func(t *testing.T) {
		rounds := exactRounds(15)
		e := newExactly(t, k.servers, newPlace(t), "killed", rounds)
		e.run(rounds, syscall.SIGKILL)
		// Kafka's own consumer sees as many.
		seen := kafkaTool(t, "consume", "--bootstrap-server", k.servers, "--topic", "killed", "--from-beginning",
			"--isolation-level", "read_committed", "--max-messages", fmt.Sprint(len(e.rows)+1), "--timeout-ms", "30000")
		if n := strings.Count(seen, "\n"); n != len(e.rows) {
			t.Errorf("expected Kafka's consumer to see %d records, found %d", len(e.rows), n)
		}
	})
	t.Run("BrokerStopped", func(t *testing.T) {
		e := newExactly(t, k.servers, newPlace(t), "stopped", 4)
		w := e.reads()
		pid := k.pid()
		k.signal(syscall.SIGTERM)
		w.eventually("a broker that has ended", func() bool { return syscall.Kill(pid, 0) != nil })
		k.start()
		e.goesOn(w)
		e.finish("broker stopped and started")
	})
	t.Run("BrokerPaused", func(t *testing.T) {
		e := newExactly(t, k.servers, newPlace(t), "paused", 4)
		w := e.reads()
		k.signal(syscall.SIGSTOP)
		<-time.After(30 * time.Second) // how long it is away is the fault
		k.signal(syscall.SIGCONT)
		e.goesOn(w)
		e.finish("broker paused for 30 s")
	})
	t.Run("BrokerAway", func(t *testing.T) {
		e := newExactly(t, k.servers, newPlace(t), "away", 4)
		w := e.opens(k, withinThird) // from the second one on transactions are of version 2 (KIP-890)
		pid := k.pid()
		k.signal(syscall.SIGTERM)
		w.eventually("a broker that has ended", func() bool { return syscall.Kill(pid, 0) != nil })
		close(e.held.goOn)
		<-time.After(12 * time.Second) // how long it is away is the fault: longer than the transaction may last
		k.start()
		w.eventually("rows behind those that were read then", func() bool {
			return len(e.records(e.name)) > 6*wholeRows
		})
		w.signal(syscall.SIGTERM)
		if r := w.wait(); r.code != 0 || strings.Contains(r.stderr, "task FAILED") ||
			!strings.Contains(r.stderr, "starts over from its stored offset") {
			t.Errorf("expected a feed that starts over, found exit %d\n%s", r.code, r.stderr)
		}
		e.finish("broker away for longer than a transaction may last")
	})
	t.Run("PageTooLong", func(t *testing.T) {
		e := newExactly(t, k.servers, newPlace(t), "long", 4)
		w := e.opens(k, withinFirst)
		k.open(false)
		close(e.held.goOn)
		w.says("set a smaller page.size")
		w.signal(syscall.SIGKILL)
		w.wait()
		e.finish("page that outlasts its transaction")
	})
	t.Run("WorkerPaused", func(t *testing.T) {
		e := newExactly(t, k.servers, newPlace(t), "late", 4)
		w := e.opens(k, withinFirst)
		w.signal(syscall.SIGSTOP)
		k.open(false)
		close(e.held.goOn)
		w.signal(syscall.SIGCONT)
		w.says("set a smaller page.size")
		w.signal(syscall.SIGKILL)
		w.wait()
		e.finish("worker paused beyond its transaction")
	})
	t.Run("Zombie", func(t *testing.T) {
		newExactly(t, k.servers, newPlace(t), "zombie", 4).zombie()
	})
}
