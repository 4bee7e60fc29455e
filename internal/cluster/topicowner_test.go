package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/configtopic"
)

// scheduledTopic is a config topic for two leaders that take turns by a schedule. Each has read as much as it has
// requested, like a worker's store.
type scheduledTopic struct {
	records []configtopic.Record
	owners  map[string]bool // the groups that have assigned connectors
	steps   []string        // the actions so far
}

// reader is a leader of a group that uses the scheduled topic.
type reader struct {
	*scheduledTopic
	group string
	read  int                 // records
	turn  func(action string) // waits for the turn to do something
}

// state returns what the reader has read.
func (r *reader) state() *configtopic.State {
	s := configtopic.NewState()
	for n, record := range r.records[:r.read] {
		record.Offset = int64(n)
		_, _ = s.Apply(record)
	}
	return s
}

func (r *reader) Group() string { return r.state().Group() }

// Write returns when the reader has read the record and everything before it.
func (r *reader) Write(_ context.Context, records ...configtopic.Record) (int64, error) {
	r.turn("writes " + records[0].Key)
	r.records = append(r.records, records...)
	r.turn("reads back")
	r.read = len(r.records)
	return int64(r.read - 1), nil
}

func (r *reader) CheckGroup() error {
	if other := r.Group(); other != "" && other != r.group {
		return &configtopic.OtherGroupError{Group: r.group, Other: other}
	}
	return nil
}

// lead does what [leader.assign] and [leader.ownsTopic] do: it has read the topic when it joins, reads to the end, and
// assigns if the group owns the topic. Otherwise it claims the topic.
func (r *reader) lead() {
	r.turn("starts")
	r.read = len(r.records)
	r.turn("joins")
	r.turn("reads to the end")
	r.read = len(r.records)
	for range 2 {
		if claimTopic(context.Background(), r.group, r) == nil {
			r.turn("assigns")
			if r.Group() == r.group {
				r.owners[r.group] = true
			}
		}
		r.turn("reads on")
		r.read = len(r.records)
	}
}

// play runs two leaders by a schedule, which switches to the other one at each 1. It returns the number of choices at
// each turn.
func play(records []configtopic.Record, schedule []int) (*scheduledTopic, []int) {
	b := &scheduledTopic{records: slices.Clone(records), owners: map[string]bool{}}
	groups := []string{"a", "b"}
	var leaders [2]func() (string, bool) // until the leader waits for its turn, with its next action
	var next [2]string
	var hasNext [2]bool
	for n, group := range groups {
		r := &reader{scheduledTopic: b, group: group}
		advance, stop := iter.Pull(func(yield func(string) bool) {
			r.turn = func(action string) { yield(action) }
			r.lead()
		})
		defer stop()
		leaders[n] = advance
		next[n], hasNext[n] = advance()
	}
	var choices []int
	for n, switches, turn := 0, 0, 0; hasNext[0] || hasNext[1]; turn++ {
		choices = append(choices, 1)
		if hasNext[0] && hasNext[1] && switches < maxSwitches {
			choices[turn] = 2
		}
		if turn < len(schedule) && schedule[turn] == 1 {
			n = 1 - n
			switches++
		}
		if !hasNext[n] {
			n = 1 - n
		}
		b.steps = append(b.steps, groups[n]+" "+next[n])
		next[n], hasNext[n] = leaders[n]()
	}
	return b, choices
}

// maxSwitches is the maximum number of switches between the leaders before one of them has finished.
const maxSwitches = 3

// In whatever order two leaders of different groups use one config topic, at most one group runs anything. If the topic
// belonged to nobody or to one of them, exactly one does. If it belongs to a third group, none does.
func TestTwoGroupsNeverBothTakeATopic(t *testing.T) {
	t.Parallel()
	claim := func(group string) configtopic.Record { return configtopic.GroupRecord(group, true) }
	release := func(group string) configtopic.Record { return configtopic.GroupRecord(group, false) }
	for name, c := range map[string]struct {
		records []configtopic.Record
		owners  int // how many of the two groups run something
	}{
		"an empty topic":                   {owners: 1},
		"a claim of one of them":           {records: []configtopic.Record{claim("a")}, owners: 1},
		"a claim of a third group":         {records: []configtopic.Record{claim("c")}},
		"claims of a third group and both": {records: []configtopic.Record{claim("c"), claim("b"), claim("a")}},
		"claims of both":                   {records: []configtopic.Record{claim("a"), claim("b")}, owners: 1},
		"claims of both, one of them ended": {records: []configtopic.Record{claim("a"), claim("b"), release("a")},
			owners: 1},
		"a claim of a third group that ended": {records: []configtopic.Record{claim("c"), release("c")}, owners: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			played := 0
			for schedule := []int{}; schedule != nil; played++ {
				b, choices := play(c.records, schedule)
				require.True(t, len(b.owners) == c.owners, "expected %d groups to run something, found %v:\n%s",
					c.owners, b.owners, strings.Join(b.steps, "\n"))
				for len(schedule) < len(choices) {
					schedule = append(schedule, 0)
				}
				last := len(schedule) - 1
				for last >= 0 && schedule[last]+1 >= choices[last] {
					last--
				}
				if last < 0 {
					break
				}
				schedule = append(schedule[:last:last], schedule[last]+1)
			}
			t.Logf("%d orders", played+1)
		})
	}
}

// A problem with the members of a group is logged once, and shown until it is solved. While two members have one URL,
// it is unknown what runs.
func TestGroupProblemsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	w := leaderOfStopped(t, func() ([]byte, error) { return []byte("[]"), nil })
	var journal logtest.Journal
	w.options.Logger = journal.Logger(slog.LevelInfo)
	distinct := w.leader.members
	duplicates := []Member{{ID: "1", Metadata: Metadata{URL: "http://w1:1"}},
		{ID: "2", Metadata: Metadata{URL: "http://w2:1"}}, {ID: "3", Metadata: Metadata{URL: "http://W2:1"}}}
	for range 2 {
		w.leader.recordProblems(duplicates, groupRecordLimit/2+1, errors.New("silence"))
	}
	o, _ := w.Overview()
	assert.Equal(t, 3, len(o.Problems))
	assert.Contains(t, o.Problems[0], "before a new assignment, found silence")
	assert.Contains(t, o.Problems[1], "found two at http://W2:1")
	assert.Contains(t, o.Problems[2], "message.max.bytes")
	for _, problem := range o.Problems {
		assert.Equal(t, 1, strings.Count(journal.String(), problem[:50]), problem)
	}
	w.leader.members = duplicates
	assert.Error(t, w.leader.ownerOf(t.Context(), "c"), "two workers of the group advertise http://W2:1")
	w.leader.members = distinct
	require.NoError(t, w.leader.ownerOf(t.Context(), "c"))
	w.leader.recordProblems(distinct, groupRecordLimit/2, nil)
	o, _ = w.Overview()
	assert.Equal(t, 0, len(o.Problems))
	assert.Equal(t, 8, recordSize([]JoinedMember{{ID: "1", Metadata: []byte("12")}, {ID: "2", Metadata: []byte("345")}},
		map[string][]byte{"1": []byte("6"), "2": []byte("78")}))
}

// A member responds to any body, such as that of another version.
func TestMemberRespondsToOtherVersions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := NewWorker(WorkerOptions{URL: "http://w1:1", Call: func(_ context.Context, _, _, _ string, _,
			answer any) error {
			if answer == nil {
				return nil
			}
			return json.Unmarshal([]byte(`{"held":[]}`), answer)
		}})
		require.NoError(t, w.leader.probe(t.Context(), "http://w2:1"))
	})
}

// starting is the answer of a worker that is still starting.
type starting struct{}

func (starting) HTTPStatus() int { return http.StatusConflict }

func (starting) Error() string { return "still starting" }

// A member that does not respond at its advertised URL is reported with the URL until it does.
func TestUnreachableMemberIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var journal logtest.Journal
		start := time.Now()
		outage := 2 * time.Minute
		w := NewWorker(WorkerOptions{Logger: journal.Logger(slog.LevelInfo), URL: "http://w1:1",
			Call: func(ctx context.Context, to, _, _ string, _, _ any) error {
				switch {
				case to == "http://w2:1" && time.Since(start) < outage:
					<-ctx.Done() // as behind a firewall
					return ctx.Err()
				case to == "http://w3:1":
					return fmt.Errorf("at w3: %w", starting{})
				case to == "http://w4:1" && time.Since(start) < 3*time.Second:
					return errors.New("no key yet")
				}
				return nil
			}})
		var members []Member
		for _, name := range []string{"w1", "w2", "w3", "w4"} {
			members = append(members, Member{ID: name, Metadata: Metadata{URL: "http://" + name + ":1"}})
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.leader.probeMembers(t.Context(), members)
		}()
		problems := func() []string {
			w.leader.mu.Lock()
			defer w.leader.mu.Unlock()
			return w.leader.unreachable
		}
		time.Sleep(time.Minute)
		assert.Equal(t, 1, len(problems()))
		assert.Contains(t, problems()[0], "expected worker w2:1 to respond at its advertised URL http://w2:1")
		assert.Equal(t, 1, strings.Count(journal.String(), "expected worker "))
		<-done
		assert.Equal(t, 0, len(problems()))
		if elapsed := time.Since(start); elapsed >= outage+cleanInterval+probeTimeout {
			t.Errorf("expected no problem within %v, found %v", outage+cleanInterval+probeTimeout, elapsed)
		}
	})
}

// A caller that waits long for the leader logs it once.
func TestRetryWithLeaderWarns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var journal logtest.Journal
		w := NewWorker(WorkerOptions{Logger: journal.Logger(slog.LevelInfo)})
		start := time.Now()
		require.NoError(t, w.RetryWithLeader(t.Context(), func() error {
			if time.Since(start) < time.Minute {
				return ErrNotLeader
			}
			return nil
		}))
		assert.Equal(t, 1, strings.Count(journal.String(), "a call to the group's leader has not succeeded yet"))
	})
}
