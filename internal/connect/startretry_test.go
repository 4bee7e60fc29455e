package connect

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/wit"
)

func subaccount(t *testing.T) *connectivitytest.Server {
	t.Helper()
	a := connectivitytest.NewServer()
	t.Cleanup(a.Close)
	t.Setenv("VCAP_SERVICES", a.VCAP(0))
	return a
}

// A connector that failed to start starts after its reference, store or destination was corrected.
func TestConnectorStartsAfterAFix(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(plain.URL, "http://"), ":")
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	put("port", "70000")
	account := subaccount(t)
	roots := filepath.Join(dir, "roots.pem")
	for name, k := range map[string]struct {
		lines []string
		fault string
		mend  func()
	}{
		"reference": {[]string{"spy.address=localhost", "spy.scheme=http", "spy.port=${dir:" + dir + ":port}"},
			"expected 1 to 65535",
			func() { put("port", port) }},
		"store": {[]string{"spy.address=localhost", "spy.scheme=https", "spy.port=" + port, "spy.roots=" + roots},
			"roots.pem", func() {
				put("roots.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
					Bytes: secure.Certificate().Raw})))
			}},
		"destination": {[]string{"spy.destination=D"}, "destination", func() {
			account.SetDestination("D",
				`{"owner":{"SubaccountId":"s"},"destinationConfiguration":{"Name":"D","Type":"HTTP","URL":"`+plain.URL+
					`","ProxyType":"Internet","Authentication":"NoAuthentication"}}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKafkaBench(t)
			b.options.refreshInterval = 10 * time.Millisecond
			h := New(b.options, []*config.Connector{b.Connector(t,
				append([]string{"name=c", "connector.class=test.SpySource"}, k.lines...)...)})
			runHerder(t, h)
			herd := &herd{bench: b, Herder: h, t: t}
			shown := func(Status) bool { h.Info("c"); return true }
			if result := herd.await("c", Failed, shown); !strings.Contains(result.Connector.Trace, k.fault) {
				t.Fatalf("expected to fail by %q, found %s", k.fault, result.Connector.Trace)
			}
			k.mend()
			if result := herd.await("c", Running, shown); result.Connector.Trace != "" || len(result.Tasks) != 1 {
				t.Errorf("expected the connector to run after the fix, found %v", result)
			}
			if logs := strings.Count(b.Log.String(), "connector failed"); logs != 1 {
				t.Errorf("expected one FAILED in the log, found %d", logs)
			}
		})
	}
}

// A setting that has changed since the failed start counts at once, even if no file is watched.
func TestChangeBeforeTheWaitIsSeen(t *testing.T) {
	subaccount(t)
	b := newBench(t, checktest.WithSpy(t))
	b.options.refreshInterval = time.Hour
	t.Setenv("TEST_USER", "before")
	h := New(b.options, []*config.Connector{b.Connector(t, "name=c", "connector.class=test.SpySource",
		"spy.destination=D", "spy.user=${env:TEST_USER}")})
	ctl, _ := h.find("c")
	run := ctl.currentRun()
	_, err := run.start(t.Context())
	if !run.retriesLookup(err) {
		t.Fatalf("expected an error about the missing destination, found %v", err)
	}
	t.Setenv("TEST_USER", "after")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if !run.waitRetryable(ctx, err, watch.Stamp()) {
		t.Error("expected another start, found a wait")
	}
}

// A rejected binding's secret is not sent again (P10).
func TestRejectedBindingIsNotSentAgain(t *testing.T) {
	subaccount(t).TokenServiceDown(401)
	b := newKafkaBench(t)
	b.options.refreshInterval = time.Millisecond
	h := New(b.options, []*config.Connector{b.Connector(t, "name=c", "connector.class=test.SpySource",
		"spy.destination=D")})
	runHerder(t, h)
	ctl := h.controllers["c"]
	require.Until(t, func() bool { // only another binding lets it continue
		does := make(chan bool, 1)
		ctl.enqueue(event{apply: func(context.Context) { does <- ctl.activity != nil }})
		return !<-does
	}, func() string { return "expected that its run has ended: " + b.Log.String() })
	if result, _ := h.Status("c"); result.Connector.State != Failed ||
		!strings.Contains(result.Connector.Trace, "401") {
		t.Errorf("expected to have failed by 401 for good, found %+v", result.Connector)
	}
}

// The status has the time of the next start after an outage, but not after a rejected login or an invalid setting.
func TestFailedStartReportsRetryTime(t *testing.T) {
	b := newKafkaBench(t)
	for kind, restart := range map[wit.ErrorKind]bool{wit.ErrorTransient: true, wit.ErrorUnauthorized: false,
		wit.ErrorConfig: false, wit.ErrorData: false} {
		h := New(b.options, []*config.Connector{b.Connector(t, "name=c", "connector.class=test.SpySource",
			"spy.address=localhost", "config.action.reload=none")})
		ctl, _ := h.find("c")
		witError := &wit.Error{Kind: kind, Message: "so it is"}
		ctl.update(func(_ *spec, s *status) {
			s.state = Failed
			s.err = witError
		})
		close(ctl.done) // no loop runs
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
		ended := make(chan bool, 1)
		go func() {
			ctl.currentRun().reportFailure(ctx, witError)
			ended <- ctl.currentRun().waitRetryable(ctx, witError, "")
		}()
		expectStatus := func() string {
			s, _ := h.Status("c")
			return s.Connector.Restarts
		}
		if !restart {
			if starts := <-ended; starts || expectStatus() != "" {
				t.Errorf("%v: expected no start, found %t, %q", witError, starts, expectStatus())
			}
			stop()
			continue
		}
		require.Until(t, func() bool { return expectStatus() != "" },
			func() string { return fmt.Sprint(witError, ": no time of the next start") })
		at, err := time.Parse(time.RFC3339, expectStatus())
		if remaining := time.Until(at); err != nil || remaining > startRetryDelay || remaining < 0 {
			t.Errorf("%v: expected a time within %v, found %v (%v)", witError, startRetryDelay, at, err)
		}
		stop()
		if starts := <-ended; starts || expectStatus() != "" {
			t.Errorf("%v: after a stop: expected no next start, found %t, %q", witError, starts, expectStatus())
		}
	}
}

// Transient errors are retried, but not rejected logins, configuration and data errors, or rejected transactions.
func TestIsRetriable(t *testing.T) {
	fault := func(kind wit.ErrorKind) error {
		return fmt.Errorf("feed Orders: %w", &wit.Error{Kind: kind, Message: "so it is"})
	}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{err: fault(wit.ErrorTransient), want: true},
		{err: fmt.Errorf("tried 3 times: %w", fault(wit.ErrorTransient)), want: true},
		{err: fmt.Errorf("produce: %w", kerr.NotEnoughReplicas), want: true},
		{err: fmt.Errorf("produce: %w", kgo.ErrRecordTimeout), want: true},
		{err: fmt.Errorf("produce: %w", kgo.ErrRecordRetries), want: true},
		{
			err:  fmt.Errorf("list offsets: unable to dial: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
			want: true,
		},
		{err: fault(wit.ErrorUnauthorized)},
		{err: fault(wit.ErrorConfig)}, // such as a transactional ID taken by another producer, see kafka
		{err: fault(wit.ErrorIncompatible)},
		{err: fault(wit.ErrorGone)},
		{err: fault(wit.ErrorInternal)},
		{err: fault(wit.ErrorData)}, // such as records that expired before they were read, see kafka.Consumer
		{err: fmt.Errorf("fetch: %w", kerr.OffsetOutOfRange)},
		{err: fmt.Errorf("produce: %w", kerr.MessageTooLarge)},
		{err: fmt.Errorf("produce: %w", kerr.TopicAuthorizationFailed)},
		{err: fmt.Errorf("commit: %w", kerr.ProducerFenced)},
		{err: fmt.Errorf("commit: %w", kerr.InvalidProducerEpoch)},
		{err: fmt.Errorf("commit: %w", kerr.InvalidProducerIDMapping)},
		{err: fmt.Errorf("commit: %w", kerr.TransactionalIDAuthorizationFailed)},
		{err: fmt.Errorf("5 times in succession: %w", &kafka.TransactionAbortedError{Cause: kerr.InvalidTxnState})},
		{err: fmt.Errorf("5 times in succession: %w", &kafka.TransactionAbortedError{Cause: kerr.UnknownProducerID})},
		{err: errors.New("the page answers differently now: rows would come twice, which exactly-once forbids")},
	} {
		if got := isRetriable(test.err); got != test.want {
			t.Errorf("%v: expected %t, found %t", test.err, test.want, got)
		}
	}
}

// A connector is away, and has not failed, while a retry of its start runs.
func TestRetriedStartIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := emptyConnector(&Options{Worker: plainWorker(t)}, slog.New(slog.DiscardHandler))
		run.config = &config.Connector{Name: "c"}
		ctl := run.controller
		ctl.queued = guard.NewBell()
		ctl.done = make(chan struct{})
		ctl.status.state = Failed
		close(ctl.done)
		unavailable := &wit.Error{Kind: wit.ErrorTransient, Message: "away"}
		expectRetry := func(want bool) {
			t.Helper()
			assert.Equal(t, want, !ctl.status.restartsAt.IsZero())
		}
		run.reportFailure(t.Context(), unavailable)
		expectRetry(true)
		assert.Equal(t, true, run.waitRetryable(t.Context(), unavailable, ""))
		expectRetry(true)
		run.reportFailure(t.Context(), errors.New("broken"))
		expectRetry(false)
		run.reportFailure(t.Context(), unavailable)
		expectRetry(true)
		ctl.applyTransition(event{kind: evStarted})
		expectRetry(false)
	})
}

// The restart delay doubles from ten seconds to ten minutes with one log line; a task that moved rows for long starts
// again at ten seconds.
func TestAutoRestartDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker := plainWorker(t)
		var text bytes.Buffer
		run := emptyConnector(&Options{Worker: worker, sharedResources: sharedResources{starts: &startCounters{}}},
			slog.New(slog.NewTextHandler(&text, nil)))
		run.config = &config.Connector{Name: "c"}
		k := &task{run: run}
		unavailable := &wit.Error{Kind: wit.ErrorTransient, Message: "away"}
		var waited []time.Duration
		var backoff restartBackoff
		fails := func(worked time.Duration, moved bool) {
			t.Helper()
			backoff.recordFailure(unavailable, worked, moved)
			began := time.Now()
			restartsAt := k.recordEnd(t.Context(), unavailable, &backoff)
			assert.Equal(t, restartsAt, k.restartsAt, "stored with the failure")
			assert.Equal(t, Failed, k.state)
			if !k.waitForRestart(t.Context(), t.Context(), unavailable, 0, restartsAt) {
				t.Fatal("expected the task to continue")
			}
			assert.Equal(t, restartsAt, time.Now())
			waited = append(waited, time.Since(began))
		}
		for range 8 {
			fails(time.Minute, false) // the retries of a request
		}
		const second = time.Second
		want := []time.Duration{10 * second, 20 * second, 40 * second, 80 * second, 160 * second, 320 * second,
			600 * second, 600 * second}
		if !slices.Equal(waited, want) {
			t.Errorf("expected %v, waited %v", want, waited)
		}
		if n := strings.Count(text.String(), "restarts by itself"); n != 1 {
			t.Errorf("expected one line, found %d:\n%s", n, text.String())
		}
		for _, failAgain := range []struct {
			worked time.Duration
			moved  bool
		}{
			{worked: time.Hour, moved: true},
			{worked: 21 * time.Minute},
		} {
			waited = nil
			fails(failAgain.worked, failAgain.moved)
			if waited[0] != 10*second || backoff.failures != 1 {
				t.Errorf("after %v of work: expected 10s and a line, found %v and %d", failAgain.worked, waited,
					backoff.failures)
			}
		}
	})
}

// askedError calls a function when its type is examined.
type askedError struct{ do func() }

func (askedError) Error() string { return "no" }

func (e askedError) As(any) bool {
	e.do()
	return false
}

// A restart just before the task waits for it is not lost.
func TestRestartBeforeTheWait(t *testing.T) {
	worker := plainWorker(t)
	run := emptyConnector(&Options{Worker: worker}, slog.New(slog.DiscardHandler))
	run.config = &config.Connector{Name: "c"}
	k := &task{run: run, cancel: func() {}}
	run.taskSet.tasks = []*task{k}
	run.taskSet.restartable, run.taskSet.endRestarts = context.WithCancel(t.Context())
	restarted := false
	err := askedError{func() { restarted = run.restartTask(0) }}
	waitCtx, _ := k.nextWork(t.Context())
	continues := k.waitForRestart(t.Context(), waitCtx, err, 0, time.Time{})
	if !restarted || !continues || k.idle || run.taskSet.restartable.Err() != nil {
		t.Errorf("expected the task to continue, found restarted %t, continued %t, waiting %t, the end of the set %v",
			restarted, continues, k.idle, run.taskSet.restartable.Err())
	}
}

// task.auto.restart is true by default, and the connector's setting overrides the worker's.
func TestAutoRestartByDefault(t *testing.T) {
	for _, test := range []struct {
		file      string
		connector string
		worker    string
		want      bool
	}{
		{want: true},
		{file: "worker.properties", want: true},
		{connector: "false"},
		{file: "worker.properties", connector: "false"},
		{file: "worker.properties", worker: "false"},
		{worker: "false"},
		{file: "worker.properties", connector: "false", worker: "true"},
		{file: "worker.properties", connector: "true", worker: "false", want: true},
	} {
		flags := map[string]string{"bootstrap.servers": "localhost:9092"}
		if test.worker != "" {
			flags[config.AutoRestart] = test.worker
		}
		worker, problems := config.NewWorker(test.file, nil, nil, flags)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		k := &connectorRun{options: &Options{Worker: worker}, config: &config.Connector{Name: "c"}}
		if test.connector != "" {
			k.config.Entries = []config.Entry{config.NewEntry(config.AutoRestart, test.connector, "", 0)}
		}
		if got := k.autoRestart(); got != test.want {
			t.Errorf("file %q, connector %q, worker %q: expected %t, found %t", test.file, test.connector, test.worker,
				test.want, got)
		}
	}
}
