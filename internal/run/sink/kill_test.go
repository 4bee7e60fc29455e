package sink

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

var rounds = flag.Int("kill.rounds", 100, "rounds of the kill test")

var errDead = errors.New("killed")

// mortal kills a worker after a number of events: its later calls have no effect.
type mortal struct {
	*world
	eventsLeft int
	cancel     context.CancelFunc // stops the worker
}

// newMortal returns a world whose workers can be killed.
func newMortal(w *writer) *mortal {
	m := &mortal{world: newWorld(w)}
	m.o.Client = mortalClient{m.service, m}
	m.o.NewConsumer = func(topics []string, r kafka.Rebalances) (Consumer, error) {
		m.group.owned = map[topicPartition]bool{}
		_, err := m.group.join(topics, r)
		return mortalConsumer{m.group, m}, err
	}
	return m
}

// countEvent counts an event and reports whether the worker is still running; the caller holds the group's lock.
func (m *mortal) countEvent() bool {
	m.eventsLeft--
	if m.eventsLeft == 0 {
		m.cancel()
	}
	return m.eventsLeft > 0
}

type mortalClient struct {
	*service
	m *mortal
}

func (c mortalClient) Exchange(ctx context.Context, r *wit.Request) (wit.Response, error) {
	c.m.group.mu.Lock()
	alive := c.m.countEvent()
	c.m.group.mu.Unlock()
	if !alive {
		return wit.Response{}, &wit.Error{Kind: wit.ErrorTransient, Message: errDead.Error()}
	}
	response, err := c.service.Exchange(ctx, r)
	c.m.group.mu.Lock()
	defer c.m.group.mu.Unlock()
	if !c.m.countEvent() { // written, and the worker died before it knew
		return wit.Response{}, &wit.Error{Kind: wit.ErrorTransient, Message: errDead.Error()}
	}
	return response, err
}

type mortalConsumer struct {
	*group
	m *mortal
}

// Commit is a single event: if it were two, a request could be written and the worker killed between them, and the
// metadata would be made by a task that knows that nothing was sent, which no killed worker can write.
func (c mortalConsumer) Commit(_ context.Context, offsets kafka.Offsets) error {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	if !c.m.countEvent() {
		return errDead
	}
	return c.group.commit(offsets)
}

func (c mortalConsumer) Poll(ctx context.Context) ([]*kgo.Record, error) { return c.group.Poll(ctx) }

// Workers are killed at random moments: every record is written once, committed records were written before, and the
// last write of each key is its last record. The next worker names the records that a killed one had in progress.
func TestKilledWorkers(t *testing.T) {
	runtest.Seeds(t, *rounds, 2, func(t *testing.T, seed uint64, r *rand.Rand) {
		m := newMortal(&writer{rowsPerRequest: 1 + r.IntN(3)})
		m.o.BatchRows = 1 + r.IntN(40)
		m.o.InFlight = 1 + r.IntN(8)
		m.group.maxPoll = 1 + r.IntN(60)
		m.o.CommitInterval = 5 * time.Millisecond
		m.service.delay = time.Millisecond
		slowLane := rune('a' + r.IntN(12))
		if r.IntN(2) == 0 { // a lane, if there is one, that many batches overtake
			m.service.delayOf = func(body string) time.Duration {
				if rune(body[0]) == slowLane {
					return 50 * time.Millisecond
				}
				return 0
			}
		}
		var written []string
		m.service.answer = func(_ int, body string) (uint16, error) {
			written = append(written, strings.Split(body, ",")...)
			return 201, nil
		}
		last := map[string]string{}
		order := map[topicPartition][]string{}
		for i := range 200 {
			key := fmt.Sprintf("%c%d", 'a'+rune(r.IntN(6)), r.IntN(2))
			line := fmt.Sprintf("%s=%d", key, i)
			last[key] = line
			p := topicPartition{"t", int32(key[0]) % 3}
			order[p] = append(order[p], line)
			m.group.put("t", p.partition, line)
		}
		for range r.IntN(5) {
			m.runAndKill(t, 1+r.IntN(300), &written)
			m.checkCommitted(t, written, order)
		}
		m.eventsLeft = 1 << 40
		for runs := 0; ; runs++ {
			_, err := m.run(t)
			if err == nil {
				break
			}
			m.operate(t, err, written)
			require.True(t, runs != 10, "seed %d: %v", seed, err)
		}
		m.checkCommitted(t, written, order)
		assert.Equal(t, 200, len(written), "seed", seed, "lines")
		latest := map[string]string{}
		for _, line := range written {
			key, _, _ := strings.Cut(line, "=")
			latest[key] = line
		}
		for key, line := range last {
			require.True(t, latest[key] == line,
				"seed %d: the last write of %s is %q, its last record %q", seed, key, latest[key], line)
		}
	})
}

// Within a key, nothing is sent again after later records of its lane: a service that has deleted an entity would
// reject an earlier update that is repeated.
func TestKillKeepsTheOrderOfLanes(t *testing.T) {
	runtest.Seeds(t, *rounds, 3, func(t *testing.T, seed uint64, r *rand.Rand) {
		m := newMortal(&writer{repeatable: true})
		m.o.BatchRows = 1 + r.IntN(40)
		m.o.InFlight = 1 + r.IntN(8)
		m.group.maxPoll = 1 + r.IntN(60)
		m.o.CommitInterval = time.Duration(1+r.IntN(100)) * time.Millisecond
		m.service.delay = time.Millisecond
		var written []string
		m.service.answer = func(_ int, body string) (uint16, error) {
			written = append(written, body)
			return 201, nil
		}
		number := map[string]int{}
		for i := range 100 {
			key := string('a' + rune(r.IntN(6)))
			line := fmt.Sprintf("%s=%d", key, i)
			number[line] = i
			m.group.put("t", int32(key[0])%3, line)
		}
		for range r.IntN(5) {
			m.runAndKill(t, 1+r.IntN(150), &written)
		}
		m.eventsLeft = 1 << 40
		m.mustRun(t)
		last := map[byte]int{}
		for n, line := range written {
			require.True(t, number[line] >= last[line[0]],
				"seed %d: %s is written again after %d of its lane, as request %d", seed, line, last[line[0]], n+1)
			last[line[0]] = number[line]
		}
		slices.Sort(written)
		assert.Equal(t, 100, len(slices.Compact(written)), "seed", seed, "lines")
	})
}

// An update and the following delete were done, and nothing was stored since: the update is not sent to a service that
// no longer has the entity.
func TestUpdateAndDeleteBeforeAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{repeatable: true})
		x.o.CommitInterval = time.Hour
		deleted := false
		x.service.answer = func(_ int, body string) (uint16, error) {
			switch {
			case body == "a":
				deleted = true
				return 204, nil
			case deleted:
				return 404, nil
			}
			return 204, nil
		}
		x.group.put("t", 0, "a=1", "a")
		runUntilKilled(t, x, 2)
		x.mustRun(t)
		assert.Equal(t, []string{"a=1", "a", "a"}, x.service.bodies())
	})
}

// runAndKill runs a worker that is killed at its n-th event, and resolves what it leaves in doubt.
func (m *mortal) runAndKill(t *testing.T, n int, written *[]string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.eventsLeft = n
	m.cancel = cancel
	err := NewTask(m.o).Run(ctx)
	m.operate(t, err, *written)
}

// operate does what an operator does about records that a run left in doubt: existing ones are skipped, the others
// sent.
func (m *mortal) operate(t *testing.T, err error, written []string) {
	t.Helper()
	var doubts *inDoubtError
	switch {
	case errors.As(err, &doubts): // an operator has to decide
	case err != nil && !strings.Contains(err.Error(), errDead.Error()):
		t.Fatal(err)
	}
	// another process
	m.o.InDoubt = nil
	m.o.Revoked = nil
	m.o.Send = nil
	m.o.Skip = nil
	if doubts == nil {
		return
	}
	for _, name := range doubts.names {
		tp, offsets, _ := parseDecision(name)
		r := m.group.logs[tp][offsets.first]
		if slices.Contains(written, string(r.Key)+"="+string(r.Value)) {
			m.o.Skip = append(m.o.Skip, name)
		} else {
			m.o.Send = append(m.o.Send, name)
		}
	}
}

// checkCommitted checks that the records before the committed offsets were written. order has the lines by partition.
func (m *mortal) checkCommitted(t *testing.T, written []string, order map[topicPartition][]string) {
	t.Helper()
	done := map[string]bool{}
	for _, line := range written {
		done[line] = true
	}
	for p, next := range m.group.committed {
		for _, line := range order[p][:next] {
			require.True(t, done[line], "%s is committed and was not written", line)
		}
	}
}
