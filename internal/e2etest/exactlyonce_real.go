//go:build real

package e2etest

import (
	"context"
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

// ExactPeer is a broker of Apache Kafka under workers with exactly-once.
type ExactPeer struct {
	T       *testing.T
	Dir     string
	Servers string
	Start   func() // again, too
}

// Pid is the broker's process.
func (k *ExactPeer) Pid() int {
	k.T.Helper()
	text, err := os.ReadFile(filepath.Join(k.Dir, "pids"))
	NoError(k.T, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	NoError(k.T, err)
	return pid
}

func (k *ExactPeer) Signal(s syscall.Signal) {
	k.T.Helper()
	NoError(k.T, syscall.Kill(k.Pid(), s))
}

// Asked is what an administrator's client finds out, until it holds.
func (k *ExactPeer) Asked(what string, holds func(ctx context.Context, c *kadm.Client) (bool, error)) {
	k.T.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(k.Servers, ",")...))
	NoError(k.T, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), ComesAbout)
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
			k.T.Fatalf("%s did not come about: %v", what, err)
		}
	}
}

// Opens starts a worker that reads the set, and holds it up where it has produced a part of a page, with so many bytes
// of the answers: in a transaction of ten seconds.
func (e *Exactly) Opens(k *ExactPeer, after int) *Command {
	e.t.Helper()
	e.Edit()
	e.Held.Arm(after)
	w := e.Start(false, e.Files("producer.override.transaction.timeout.ms=10000")[0])
	e.Waits(w)
	k.Open(true)
	return w
}

// Open waits until transactions are open, or none is any more: the brokers end those whose time is over.
func (k *ExactPeer) Open(some bool) {
	k.T.Helper()
	k.Asked("transactions that begin or end", func(ctx context.Context, c *kadm.Client) (bool, error) {
		found, err := c.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareAbort", "PrepareEpochFence"})
		return len(found.TransactionalIDs()) > 0 == some, err
	})
}
