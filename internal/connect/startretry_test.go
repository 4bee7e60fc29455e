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
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/wit"
)

// newSubaccount starts a destination service and binds it in the environment.
func newSubaccount(t *testing.T) *connectivitytest.Server {
	t.Helper()
	server := connectivitytest.NewServer()
	t.Cleanup(server.Close)
	t.Setenv("VCAP_SERVICES", server.VCAP(0))
	return server
}

// A connector that failed to start starts after its reference, store or destination was corrected.
func TestConnectorStartsAfterAFix(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(plain.URL, "http://"), ":")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("port", "70000")
	account := newSubaccount(t)
	roots := filepath.Join(dir, "roots.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	destination := `{"owner":{"SubaccountId":"s"},"destinationConfiguration":{"Name":"D","Type":"HTTP","URL":"` +
		plain.URL + `","ProxyType":"Internet","Authentication":"NoAuthentication"}}`
	for name, test := range map[string]struct {
		lines []string
		want  string // in the trace of the failure
		mend  func()
	}{
		"reference": {
			lines: []string{"spy.address=localhost", "spy.scheme=http", "spy.port=${dir:" + dir + ":port}"},
			want:  "expected 1 to 65535",
			mend:  func() { write("port", port) },
		},
		"store": {
			lines: []string{"spy.address=localhost", "spy.scheme=https", "spy.port=" + port, "spy.roots=" + roots},
			want:  "roots.pem",
			mend:  func() { write("roots.pem", string(certificate)) },
		},
		"destination": {
			lines: []string{"spy.destination=D"},
			want:  "destination",
			mend:  func() { account.SetDestination("D", destination) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKafkaBench(t)
			b.options.refreshInterval = 10 * time.Millisecond
			lines := append([]string{"name=c", "connector.class=test.SpySource"}, test.lines...)
			h := New(b.options, []*resolved.Connector{b.Connector(t, lines...)})
			runHerder(t, h)
			herd := &herd{bench: b, Herder: h, t: t}
			readInfo := func(Status) bool { // REST may show the connector at any time
				h.Info("c")
				return true
			}
			assert.Contains(t, herd.await("c", Failed, readInfo).Connector.Trace, test.want)
			test.mend()
			if result := herd.await("c", Running, readInfo); result.Connector.Trace != "" || len(result.Tasks) != 1 {
				t.Errorf("expected the connector to run after the fix, found %v", result)
			}
			assert.Equal(t, 1, strings.Count(b.Log.String(), "connector failed"), "failure in the log")
			list := h.Events().List("c")
			assert.True(t, len(list) == 2 && list[0].Kind == "restarted" && list[0].Text == "automatically" &&
				list[1].Kind == "failed" && strings.Contains(list[1].Reason, test.want),
				"expected the failure and the restart as events, found %+v", list)
		})
	}
}

// A setting that has changed since the failed start counts at once, even if no file is watched.
func TestChangeBeforeTheWaitIsSeen(t *testing.T) {
	newSubaccount(t)
	b := newBench(t, checktest.WithSpy(t))
	b.options.refreshInterval = time.Hour
	t.Setenv("TEST_USER", "before")
	h := New(b.options, []*resolved.Connector{b.Connector(t, "name=c", "connector.class=test.SpySource",
		"spy.destination=D", "spy.user=${env:TEST_USER}")})
	ctl, _ := h.find("c")
	run := ctl.currentRun()
	_, err := run.start(t.Context())
	require.True(t, run.canRetryLookup(err), "expected an error about the missing destination, found %v", err)
	t.Setenv("TEST_USER", "after")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	assert.True(t, run.waitRetryable(ctx, err, watch.Stamp()), "expected another start, found a wait")
}

// A rejected binding's secret is not sent again (P10).
func TestRejectedBindingIsNotSentAgain(t *testing.T) {
	newSubaccount(t).TokenServiceDown(401)
	b := newKafkaBench(t)
	b.options.refreshInterval = time.Millisecond
	h := New(b.options, []*resolved.Connector{b.Connector(t, "name=c", "connector.class=test.SpySource",
		"spy.destination=D")})
	runHerder(t, h)
	ctl := h.controllers["c"]
	require.Until(t, func() bool { // only another binding would start it again
		isActive := make(chan bool, 1)
		ctl.enqueue(event{apply: func(context.Context) { isActive <- ctl.activity != nil }})
		return !<-isActive
	}, func() string { return "expected that its run has ended: " + b.Log.String() })
	result, _ := h.Status("c")
	assert.True(t, result.Connector.State == Failed && strings.Contains(result.Connector.Trace, "401"),
		"expected a failure by 401 without a retry, found %+v", result.Connector)
}

// The status has the time of the next start after an outage, but not after a rejected login or an invalid setting.
func TestFailedStartReportsRetryTime(t *testing.T) {
	b := newKafkaBench(t)
	for kind, willRestart := range map[wit.ErrorKind]bool{
		wit.ErrorTransient:    true,
		wit.ErrorUnauthorized: false,
		wit.ErrorConfig:       false,
		wit.ErrorData:         false,
	} {
		h := New(b.options, []*resolved.Connector{b.Connector(t, "name=c", "connector.class=test.SpySource",
			"spy.address=localhost", "config.action.reload=none")})
		ctl, _ := h.find("c")
		witError := &wit.Error{Kind: kind, Message: "so it is"}
		ctl.update(func(_ *spec, s *status) {
			s.state = Failed
			s.err = witError
		})
		close(ctl.done) // no loop runs
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
		result := make(chan bool, 1)
		go func() {
			ctl.currentRun().reportFailure(ctx, witError)
			result <- ctl.currentRun().waitRetryable(ctx, witError, "")
		}()
		restartTime := func() string {
			s, _ := h.Status("c")
			return s.Connector.Restarts
		}
		if !willRestart {
			if canRetry := <-result; canRetry || restartTime() != "" {
				t.Errorf("%v: expected no start, found %t, %q", witError, canRetry, restartTime())
			}
			stop()
			continue
		}
		require.Until(t, func() bool { return restartTime() != "" },
			func() string { return fmt.Sprint(witError, ": expected a time of the next start, found none") })
		restartsAt, err := time.Parse(time.RFC3339, restartTime())
		if remaining := time.Until(restartsAt); err != nil || remaining > startRetryDelay || remaining < 0 {
			t.Errorf("%v: expected a time within %v, found %v (%v)", witError, startRetryDelay, restartsAt, err)
		}
		stop()
		if canRetry := <-result; canRetry || restartTime() != "" {
			t.Errorf("%v: after a stop: expected no next start, found %t, %q", witError, canRetry, restartTime())
		}
	}
}

// Transient errors are retried, but not rejected logins, configuration and data errors, or rejected transactions.
func TestTransientErrorsAreRetriable(t *testing.T) {
	ofKind := func(kind wit.ErrorKind) error {
		return fmt.Errorf("feed Orders: %w", &wit.Error{Kind: kind, Message: "so it is"})
	}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{err: ofKind(wit.ErrorTransient), want: true},
		{err: fmt.Errorf("tried 3 times: %w", ofKind(wit.ErrorTransient)), want: true},
		{err: fmt.Errorf("produce: %w", kerr.NotEnoughReplicas), want: true},
		{err: fmt.Errorf("produce: %w", kgo.ErrRecordTimeout), want: true},
		{err: fmt.Errorf("produce: %w", kgo.ErrRecordRetries), want: true},
		{
			err:  fmt.Errorf("list offsets: unable to dial: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
			want: true,
		},
		{err: ofKind(wit.ErrorUnauthorized)},
		{err: ofKind(wit.ErrorConfig)}, // such as a transactional ID taken by another producer, see kafka
		{err: ofKind(wit.ErrorIncompatible)},
		{err: ofKind(wit.ErrorGone)},
		{err: ofKind(wit.ErrorInternal)},
		{err: ofKind(wit.ErrorData)}, // such as records that expired before they were read, see kafka.Consumer
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
		assert.Equal(t, test.want, isRetriable(test.err), test.err)
	}
}

// A connector is away, and has not failed, while a retry of its start runs.
func TestRetriedStartIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := newEmptyRun(&Options{Worker: defaultWorker(t)}, slog.New(slog.DiscardHandler))
		ctl := run.controller
		ctl.queueBell = guard.NewBell()
		ctl.done = make(chan struct{})
		ctl.status.state = Failed
		close(ctl.done)
		unavailable := &wit.Error{Kind: wit.ErrorTransient, Message: "away"}
		checkWillRestart := func(want bool, after string) {
			t.Helper()
			assert.Equal(t, want, !ctl.status.restartsAt.IsZero(), "restarts by itself after "+after)
		}
		run.reportFailure(t.Context(), unavailable)
		checkWillRestart(true, "a transient failure")
		assert.Equal(t, true, run.waitRetryable(t.Context(), unavailable, ""))
		checkWillRestart(true, "the wait for a retry")
		run.reportFailure(t.Context(), errors.New("broken"))
		checkWillRestart(false, "a permanent failure")
		run.reportFailure(t.Context(), unavailable)
		checkWillRestart(true, "another transient failure")
		ctl.applyTransition(event{kind: evStarted})
		checkWillRestart(false, "a start")
	})
}

// The restart delay doubles from ten seconds to ten minutes with one log line; it is ten seconds again after a task
// moved rows for a long time.
func TestAutoRestartDelayDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker := defaultWorker(t)
		var log bytes.Buffer
		recorder := events.New("w", worker.Redact)
		run := newEmptyRun(&Options{Worker: worker, sharedResources: sharedResources{starts: &startCounters{},
			events: recorder}}, slog.New(slog.NewTextHandler(&log, nil)))
		task := &task{run: run}
		unavailable := &wit.Error{Kind: wit.ErrorTransient, Message: "away"}
		var delays []time.Duration
		var backoff restartBackoff
		fail := func(duration time.Duration, movedRows bool) {
			t.Helper()
			backoff.recordFailure(unavailable, duration, movedRows)
			start := time.Now()
			restartsAt := task.recordEnd(t.Context(), unavailable, &backoff)
			assert.Equal(t, restartsAt, task.restartsAt, "stored with the failure")
			assert.Equal(t, Failed, task.state)
			require.True(t, task.waitForRestart(t.Context(), t.Context(), unavailable, 0, restartsAt),
				"expected the task to continue")
			assert.Equal(t, restartsAt, time.Now())
			delays = append(delays, time.Since(start))
		}
		for range 8 {
			fail(time.Minute, false) // as long as the retries of a request
		}
		const second = time.Second
		want := []time.Duration{10 * second, 20 * second, 40 * second, 80 * second, 160 * second, 320 * second,
			600 * second, 600 * second}
		assert.Equal(t, want, delays)
		n := strings.Count(log.String(), "restarts by itself")
		assert.True(t, n == 1, "expected one line, found %d:\n%s", n, log.String())
		task.setRunning(nil, nil)
		found := ""
		for _, e := range recorder.List("") {
			found += e.Kind + " " + e.Text + " " + e.Reason + "\n"
		}
		assert.Equal(t, "restarted task 0, automatically \nfailed task 0 away\n", found)
		for _, attempt := range []struct {
			duration  time.Duration
			movedRows bool
		}{
			{duration: time.Hour, movedRows: true},
			{duration: 21 * time.Minute},
		} {
			delays = nil
			fail(attempt.duration, attempt.movedRows)
			assert.Equal(t, 10*second, delays[0], "delay after", attempt.duration)
			assert.Equal(t, 1, backoff.failures, "failures after", attempt.duration)
		}
	})
}

// callbackError calls a function when errors.As examines it.
type callbackError struct{ onAs func() }

func (callbackError) Error() string { return "no" }

func (e callbackError) As(any) bool {
	e.onAs()
	return false
}

// A restart just before the task waits for it is not lost.
func TestRestartBeforeTheWaitIsNotLost(t *testing.T) {
	worker := defaultWorker(t)
	run := newEmptyRun(&Options{Worker: worker}, slog.New(slog.DiscardHandler))
	failed := &task{run: run, cancel: func() {}}
	run.taskSet.tasks = []*task{failed}
	run.taskSet.restartable, run.taskSet.endRestarts = context.WithCancel(t.Context())
	isRestarting := false
	err := callbackError{func() { isRestarting = run.restartTask(0) }}
	waitCtx, _ := failed.nextWork(t.Context())
	continues := failed.waitForRestart(t.Context(), waitCtx, err, 0, time.Time{})
	if !isRestarting || !continues || failed.isIdle || run.taskSet.restartable.Err() != nil {
		t.Errorf("expected the task to continue, found restarting %t, continued %t, waiting %t, the end of the set %v",
			isRestarting, continues, failed.isIdle, run.taskSet.restartable.Err())
	}
}

// task.auto.restart is true by default, and the connector's setting overrides the worker's.
func TestAutoRestartIsTheDefault(t *testing.T) {
	for _, test := range []struct {
		file      string // of the worker; "" means that it has no file
		connector string // the setting of the connector; "" means not set
		worker    string // the setting of the worker
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
		require.True(t, len(problems) == 0, "%v", problems)
		var entries []config.Entry
		if test.connector != "" {
			entries = append(entries, config.NewEntry(config.AutoRestart, test.connector, "", 0))
		}
		run := &connectorRun{options: &Options{Worker: worker}, config: newConnector(worker, "c", entries...)}
		got := run.autoRestart()
		assert.Equal(t, test.want, got, "file", test.file, "connector", test.connector, "worker", test.worker)
	}
}
