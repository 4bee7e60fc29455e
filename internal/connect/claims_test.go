package connect

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
)

// A claim is rejected for a second connector, offline and at its start, with both names. Another origin, SAP client or
// user is another claim.
func TestClaims(t *testing.T) {
	b := newBench(t, checktest.WithSpy(t))
	first := b.Connector(t, "name=first", "connector.class=test.SpySource", "spy.port=443", "spy.address=SAP.example",
		"spy.user=reader", "spy.claim=queue Q1")
	for name, test := range map[string]struct {
		lines []string
		taken bool
	}{
		"the same": {
			lines: []string{"spy.address=sap.example", "spy.user=READER", "spy.claim=queue Q1"}, taken: true,
		},
		"another claim":  {lines: []string{"spy.address=sap.example", "spy.user=reader", "spy.claim=queue Q2"}},
		"no claim":       {lines: []string{"spy.address=sap.example", "spy.user=reader"}},
		"another origin": {lines: []string{"spy.address=other.example", "spy.user=reader", "spy.claim=queue Q1"}},
		"another user":   {lines: []string{"spy.address=sap.example", "spy.user=writer", "spy.claim=queue Q1"}},
		"another client": {
			lines: []string{"spy.address=sap.example", "spy.user=reader", "spy.claim=queue Q1", "spy.sap-client=200"},
		},
		"the same, spaced": {
			lines: []string{"spy.address=sap.example", "spy.user= reader ", "spy.claim=queue Q1"}, taken: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			second := b.Connector(t, append([]string{"name=second", "connector.class=test.SpySource", "spy.port=443"},
				test.lines...)...)
			checker := b.Checker
			checker.Connectors = []*config.Connector{first, second}
			wants := func(when string, text string) {
				t.Helper()
				if !test.taken {
					if strings.Contains(text, "claim") {
						t.Errorf("%s: found %s", when, text)
					}
					return
				}
				assert.Contains(t, text, `connectors first and second both claim "queue Q1" at `+
					"https://sap.example:443, client none, user READER", "second does not start")
			}
			if problems := checker.Check(t.Context(), first); problems.Err() != nil &&
				strings.Contains(problems.Err().Error(), "claim") {
				t.Errorf("expected no problems of the first connector, found %v", problems)
			}
			problems := ""
			for _, p := range checker.Check(t.Context(), second) {
				problems += p.Setting + ": " + p.Text + "\n"
			}
			wants("offline", problems)

			options := b.options
			options.claims = &claimRegistry{}
			firstRun := newController(&options, first).currentRun()
			secondRun := newController(&options, second).currentRun()
			_, err := firstRun.planTasks(t.Context())
			require.NoError(t, err)
			problems = ""
			if _, err := secondRun.planTasks(t.Context()); err != nil {
				problems = err.Error()
			}
			wants("at the start", problems)
			options.claims.release("first")
			if _, err := secondRun.planTasks(t.Context()); err != nil {
				t.Errorf("when the first has ended: %v", err)
			}
		})
	}
}

// A worker in a group may be assigned tasks of two connectors with one claim, while the first releases it. The
// second starts after the first has ended and cleaned up, and the first is owned until then.
func TestTasksWaitForClaimsOfAnotherConnector(t *testing.T) {
	silent, requests := silentService(t)
	plans := make(chan config.TaskPlan, 1)
	retires := make(chan struct{})
	goOn := make(chan struct{})
	var removed atomic.Bool
	h := newHerdWith(t, func(h *herd) {
		h.service = silent
		h.bench.options.Group = &group{planned: func(_ string, p config.TaskPlan) error { plans <- p; return nil },
			lease: func() error {
				if removed.CompareAndSwap(true, false) {
					close(retires)
					<-goOn
					return errors.New("the lease is over")
				}
				return nil
			}}
	})
	run := func(name string, lines ...string) {
		h.Put(h.named(name, append(lines, "spy.claim=queue Q1")...), nil)
		h.must(h.Assign(name, Assignment{OwnsConnector: true}))
		p := <-plans
		h.must(h.Assign(name, Assignment{Tasks: []int{0}, TaskConfigs: &config.TaskConfigs{Version: 5,
			Settings:     p.Tasks,
			Requirements: p.Requirements}}))
	}
	run("first", "on.delete=terminate")
	<-requests
	run("second")
	require.Until(t, func() bool {
		return strings.Contains(h.Log.String(), "connectors first and second both claim")
	}, h.Log.String)
	removed.Store(true)
	h.must(h.Remove("first"))
	<-retires
	if holds := h.Owned(); !slices.ContainsFunc(holds, func(o Ownership) bool {
		return o.Connector == "first" && len(o.Tasks) == 1
	}) || len(requests) > 0 {
		t.Errorf("expected only the first connector until it has ended, found %v and %d requests", holds, len(requests))
	}
	close(goOn)
	<-requests
	assert.Contains(t, h.Log.String(), "could not be ended", "the lease is over")
	h.must(h.Remove("second"))
}

// A worker whose assignment was revoked a moment ago cleans up a deleted connector. It does not if it has left its
// group, because another worker may run the connector.
func TestConnectorDeletedAfterRevocationIsCleanedUp(t *testing.T) {
	b := newBench(t, checktest.WithSpy(t))
	connector := b.Connector(t, "name=first", "connector.class=test.SpySource", "spy.port=443", "on.delete=terminate")
	for _, member := range []bool{true, false} {
		desired := spec{config: connector, assignment: Assignment{Tasks: []int{0}}}
		desired.setAssignment(Assignment{}, member)
		desired.markDeleted(nil)
		assert.Equal(t, member, !desired.lastAssignment.empty())
	}
}

// A source may have 10,000 claims. With more claims or tasks it fails to start with a message.
func TestClaimsAreBounded(t *testing.T) {
	b := newBench(t, checktest.WithSpy(t))
	first := b.Connector(t, "name=first", "connector.class=test.SpySource", "spy.port=443", "spy.address=sap.example",
		"spy.claims=10000")
	for want, lines := range map[string][]string{
		"":                                     {"spy.address=other.example", "spy.claims=10000"},
		`first and second both claim "queue 0`: {"spy.address=sap.example", "spy.same=10000"},
		"expected at most 10000 claims, found 10001": {"spy.address=sap.example", "spy.claims=10001"},
		"expected at most 10000 claims, found 20000": {"spy.address=sap.example", "spy.same=20000"},
		"expected at most 10000 tasks, found 10001": {"spy.address=sap.example", "spy.tasks=10001",
			"tasks.max.enforce=false"},
	} {
		t.Run(want, func(t *testing.T) {
			second := b.Connector(t, append([]string{"name=second", "connector.class=test.SpySource", "spy.port=443"},
				lines...)...)
			checker := b.Checker
			checker.Connectors = []*config.Connector{first, second}
			if found := checker.Check(t.Context(), second); (found.Err() != nil) != strings.Contains(want,
				"both claim") {
				t.Errorf("offline: found %v", found)
			}
			o := b.options
			o.claims = &claimRegistry{}
			_, err := newController(&o, first).currentRun().planTasks(t.Context())
			require.NoError(t, err)
			_, err = newController(&o, second).currentRun().planTasks(t.Context())
			assert.ErrorOrNone(t, err, want, "at the start")
		})
	}
}
