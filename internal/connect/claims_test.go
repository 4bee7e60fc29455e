package connect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
)

// A claim is rejected for a second connector, offline and at its start, with both names. Another origin, SAP client or
// user is another claim.
func TestClaimOfAnotherConnectorIsRejected(t *testing.T) {
	b := newBench(t, checktest.WithSpy(t))
	first := b.Connector(t, "name=first", "connector.class=test.SpySource", "spy.port=443", "spy.address=SAP.example",
		"spy.user=reader", "spy.claim=queue Q1")
	for name, test := range map[string]struct {
		lines      []string
		isConflict bool
	}{
		"the same": {
			lines:      []string{"spy.address=sap.example", "spy.user=READER", "spy.claim=queue Q1"},
			isConflict: true,
		},
		"another claim":  {lines: []string{"spy.address=sap.example", "spy.user=reader", "spy.claim=queue Q2"}},
		"no claim":       {lines: []string{"spy.address=sap.example", "spy.user=reader"}},
		"another origin": {lines: []string{"spy.address=other.example", "spy.user=reader", "spy.claim=queue Q1"}},
		"another user":   {lines: []string{"spy.address=sap.example", "spy.user=writer", "spy.claim=queue Q1"}},
		"another client": {
			lines: []string{"spy.address=sap.example", "spy.user=reader", "spy.claim=queue Q1", "spy.sap-client=200"},
		},
		"the same, spaced": {
			lines:      []string{"spy.address=sap.example", "spy.user= reader ", "spy.claim=queue Q1"},
			isConflict: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			second := b.Connector(t, append([]string{"name=second", "connector.class=test.SpySource", "spy.port=443"},
				test.lines...)...)
			checker := b.Checker
			checker.Connectors = []*resolved.Connector{first, second}
			checkConflict := func(when, text string) {
				t.Helper()
				if !test.isConflict {
					assert.NotContains(t, text, "claim", when, "conflict")
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
			checkConflict("offline", problems)

			options := b.options
			options.claims = &claimRegistry{}
			options.Group = standalone{}
			firstRun := newController(&options, first).currentRun()
			secondRun := newController(&options, second).currentRun()
			_, err := firstRun.planTasks(t.Context())
			require.NoError(t, err)
			problems = ""
			if _, err := secondRun.planTasks(t.Context()); err != nil {
				problems = err.Error()
			}
			checkConflict("at the start", problems)
			options.claims.release("first")
			_, err = secondRun.planTasks(t.Context())
			assert.NoError(t, err, "no error after the end of the first connector")
		})
	}
}

// A worker in a group may be assigned tasks of two connectors with one claim, while the first releases it. The
// second starts after the first has ended and cleaned up, and the first is owned until then.
func TestTasksWaitForClaimsOfAnotherConnector(t *testing.T) {
	silent, requests := silentService(t)
	plans := make(chan config.TaskPlan, 1)
	cleanup := make(chan struct{}) // closed when the cleanup of the first connector has begun
	endCleanup := make(chan struct{})
	var isRemoved atomic.Bool
	h := newHerdWith(t, func(h *herd) {
		h.service = silent
		h.bench.options.Group = &group{
			putTaskConfigs: func(_ string, plan config.TaskPlan) error {
				plans <- plan
				return nil
			},
			checkLease: func() error {
				if isRemoved.CompareAndSwap(true, false) {
					close(cleanup)
					<-endCleanup
					return errors.New("the lease is over")
				}
				return nil
			},
		}
	})
	run := func(name string, lines ...string) {
		h.Put(h.spyConnector(name, append(lines, "spy.claim=queue Q1")...), nil)
		h.must(h.Assign(name, Assignment{OwnsConnector: true}))
		plan := <-plans
		taskConfigs := &config.TaskConfigs{Version: 5, Settings: plan.Tasks, Requirements: plan.Requirements}
		h.must(h.Assign(name, Assignment{Tasks: []int{0}, TaskConfigs: taskConfigs}))
	}
	run("first", "on.delete=terminate")
	<-requests
	run("second")
	require.Until(t, func() bool {
		return strings.Contains(h.Log.String(), "connectors first and second both claim")
	}, h.Log.String)
	isRemoved.Store(true)
	h.must(h.Remove("first"))
	<-cleanup
	owned := h.Owned()
	isFirst := func(o Ownership) bool { return o.Connector == "first" && len(o.Tasks) == 1 }
	assert.True(t, slices.ContainsFunc(owned, isFirst) && len(requests) == 0,
		"expected only the first connector until it has ended, found %v and %d requests", owned, len(requests))
	close(endCleanup)
	<-requests
	assert.Contains(t, h.Log.String(), "could not be ended", "the lease is over")
	h.must(h.Remove("second"))
}

// A worker whose assignment was revoked a moment ago cleans up a deleted connector. It does not if it has left its
// group, because another worker may run the connector.
func TestConnectorDeletedAfterRevocationIsCleanedUp(t *testing.T) {
	b := newBench(t, checktest.WithSpy(t))
	connector := b.Connector(t, "name=first", "connector.class=test.SpySource", "spy.port=443", "on.delete=terminate")
	for _, isMember := range []bool{true, false} {
		desired := spec{config: connector, assignment: Assignment{Tasks: []int{0}}}
		desired.setAssignment(Assignment{}, isMember)
		desired.markDeleted(nil)
		assert.Equal(t, isMember, !desired.lastAssignment.empty(), fmt.Sprintf("cleans up as a member: %t", isMember))
	}
}

// A source may have 10,000 claims. With more claims or tasks it fails to start with a message.
func TestClaimsAreBounded(t *testing.T) {
	b := newBench(t, checktest.WithSpy(t))
	first := b.Connector(t, "name=first", "connector.class=test.SpySource", "spy.port=443", "spy.address=sap.example",
		"spy.claims=10000")
	for name, test := range map[string]struct {
		lines      []string
		want       string // in the error of the start; "" means no error
		isConflict bool   // a check reports it, too
	}{
		"as many as permitted": {lines: []string{"spy.address=other.example", "spy.claims=10000"}},
		"a claim of the other connector": {
			lines:      []string{"spy.address=sap.example", "spy.same=10000"},
			want:       `first and second both claim "queue 0`,
			isConflict: true,
		},
		"one claim too many": {
			lines: []string{"spy.address=sap.example", "spy.claims=10001"},
			want:  "expected at most 10000 claims, found 10001",
		},
		"equal claims": {
			lines: []string{"spy.address=sap.example", "spy.same=20000"},
			want:  "expected at most 10000 claims, found 20000",
		},
		"one task too many": {
			lines: []string{"spy.address=sap.example", "spy.tasks=10001", "tasks.max.enforce=false"},
			want:  "expected at most 10000 tasks, found 10001",
		},
	} {
		t.Run(name, func(t *testing.T) {
			second := b.Connector(t, append([]string{"name=second", "connector.class=test.SpySource", "spy.port=443"},
				test.lines...)...)
			checker := b.Checker
			checker.Connectors = []*resolved.Connector{first, second}
			if problems := checker.Check(t.Context(), second); (problems.Err() != nil) != test.isConflict {
				t.Errorf("offline: expected a conflict: %t, found %v", test.isConflict, problems)
			}
			options := b.options
			options.claims = &claimRegistry{}
			options.Group = standalone{}
			_, err := newController(&options, first).currentRun().planTasks(t.Context())
			require.NoError(t, err)
			_, err = newController(&options, second).currentRun().planTasks(t.Context())
			assert.ErrorOrNone(t, err, test.want, "at the start")
		})
	}
}
