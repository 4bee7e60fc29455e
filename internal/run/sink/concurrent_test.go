package sink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/runtest"
)

// Batches are written concurrently: with slow responses, rejections, rows that come back, versions that take over,
// contexts that change the lanes, stops, and partitions that are lost and reassigned, also by an unreachable group.
// Each record is written once, or rejected once, and records of a key stay in order; no record waits for a restart.
func TestConcurrentBatches(t *testing.T) {
	runtest.Seeds(t, *rounds/2, 11, func(t *testing.T, seed uint64, r *rand.Rand) {
		c := newConcurrentWorld(seed, r)
		written := c.answerAtRandom()
		want := c.putRecords()
		for n := 1; ; n++ {
			stop := runtest.Start(t, NewTask(c.o).Run)
			for range r.IntN(10) {
				c.disturb(t, n)
			}
			time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
			if r.IntN(4) == 0 {
				time.Sleep(time.Minute)
				if isCaughtUp, _ := c.group.caughtUp(t.Context()); !isCaughtUp {
					t.Fatalf("seed %d: found %v committed, and no more progress", seed, c.group.committed)
				}
			}
			require.NoError(t, stop(), "seed", seed)
			if isCaughtUp, _ := c.group.caughtUp(t.Context()); isCaughtUp {
				break
			}
			require.True(t, n <= 1000, "seed %d: found %v committed after %d runs", seed, c.group.committed, n)
		}
		require.Equal(t, want, written, "seed", seed)
	})
}

// A concurrentWorld has a service and a group that behave at random.
type concurrentWorld struct {
	*world
	seed       uint64
	random     *rand.Rand
	partitions []topicPartition // that have records
}

func newConcurrentWorld(seed uint64, r *rand.Rand) *concurrentWorld {
	c := &concurrentWorld{seed: seed, random: r}
	c.world = newWorldOf(c.version(0))
	c.o.Once = false
	c.o.TolerateAll = true
	c.o.Revoked = &RevokedPartitions{}
	c.o.InDoubt = &InDoubtRecords{}
	c.o.BatchRows = 1 + r.IntN(20)
	c.o.InFlight = 1 + r.IntN(8)
	c.group.maxPoll = 1 + r.IntN(30)
	c.o.Linger = 10 * time.Millisecond
	c.o.CommitInterval = 50 * time.Millisecond
	maxRetries := 1000
	c.service.retry.Max = &maxRetries
	c.service.retry.MinBackoff = time.Millisecond
	c.service.retry.MaxBackoff = 20 * time.Millisecond
	slowLane := byte('a' + r.IntN(8))
	c.service.delayOf = func(body string) time.Duration {
		if body[0] == slowLane {
			return 400 * time.Millisecond
		}
		return 5 * time.Millisecond
	}
	return c
}

// version returns a version of the plugin whose context changes.
func (c *concurrentWorld) version(n int) (*writer, *shifting) {
	w := &writer{version: fmt.Sprint("v", n), rowsPerRequest: 1 + c.random.IntN(3)}
	return w, &shifting{w, rand.New(rand.NewPCG(c.seed, uint64(n)))}
}

// answerAtRandom makes the service answer with a status at random, and returns the values of each key that it has
// written or rejected.
func (c *concurrentWorld) answerAtRandom() map[string][]string {
	statuses := []uint16{201, 201, 201, 201, 201, 201, 201, 201, 409, 412, 503, 400}
	done := map[string][]string{}
	answers := rand.New(rand.NewPCG(c.seed, 12)) // under the service's lock
	c.service.answer = func(_ int, body string) (uint16, error) {
		status := statuses[answers.IntN(len(statuses))]
		if strings.Contains(body, "?") && status == 409 {
			status = 201
		}
		if status == 201 || status == 400 {
			for _, line := range strings.Split(body, ",") {
				line, _, _ = strings.Cut(line, "?")
				key, value, _ := strings.Cut(line, "=")
				done[key] = append(done[key], value)
			}
		}
		return status, nil
	}
	return done
}

// putRecords adds 300 records to three partitions, and returns the values of each key.
func (c *concurrentWorld) putRecords() map[string][]string {
	values := map[string][]string{}
	for i := range 300 {
		key := fmt.Sprintf("%c%d", 'a'+rune(c.random.IntN(6)), c.random.IntN(3))
		values[key] = append(values[key], fmt.Sprint(i))
		tp := topicPartition{"t", int32(key[0]+key[1]) % 3} // a lane has several partitions
		if !slices.Contains(c.partitions, tp) {
			c.partitions = append(c.partitions, tp)
		}
		c.group.put(tp.topic, tp.partition, fmt.Sprintf("%s=%d", key, i))
	}
	return values
}

// disturb reassigns a partition, or offers a new version, in the run n. The group may be unreachable for a while.
func (c *concurrentWorld) disturb(t *testing.T, n int) {
	r := c.random
	runtest.Pass(time.Duration(r.IntN(500)) * time.Millisecond)
	if r.IntN(2) == 0 { // deliveries wait to be announced, or to be sent
		c.group.setUnreachable(errors.New("nobody there"))
		runtest.Pass(time.Duration(r.IntN(500)) * time.Millisecond)
	}
	tp := c.partitions[r.IntN(len(c.partitions))]
	switch r.IntN(4) {
	case 0:
		c.group.revoke(t.Context(), tp)
		c.group.assign(tp)
	case 1:
		c.group.lose(tp)
		c.group.assign(tp)
	case 2:
		w, s := c.version(n)
		c.versions.SetCandidate(code(w.version, s))
	}
	c.group.setUnreachable(nil)
}
