package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Workers call [AttemptArbiter.HandleCall] with signed requests.

// logonCluster is a cluster in one process: the annotations of its topic, its leader, workers, and a service that they
// log on to.
type logonCluster struct {
	t       *testing.T
	workers []*logonWorker // by number
	running sync.WaitGroup // the workers' Run

	mu          sync.Mutex
	annotations map[string]json.RawMessage
	writes      int
	leader      int // the number of a worker, -1 for no leader
	members     map[string]bool
	password    string // the only secret that the service accepts
	sent        int    // requests to the service
	refused     int    // requests that the service has rejected
}

// logonWorker is a worker, which reads and writes the annotations of its cluster.
type logonWorker struct {
	configtopic.ClusterState
	*logonCluster
	number   int
	folder   string
	isBehind bool // it has not read any user's annotation
	store    *lockouts.Store
	arbiter  *AttemptArbiter
	lockouts *Lockouts
	stop     context.CancelFunc
}

// responseDelay is the response time of the service and of the topic.
const responseDelay = 20 * time.Millisecond

func newLogonCluster(t *testing.T, workers int, password string) (*logonCluster, []*logonWorker) {
	t.Helper()
	o := &logonCluster{t: t, annotations: map[string]json.RawMessage{}, members: map[string]bool{}, password: password}
	for i := range workers {
		o.startWorker(i, filepath.Join(t.TempDir(), "logons"))
	}
	return o, slices.Clone(o.workers)
}

// startWorker adds a worker, which stores its lockouts in the folder.
func (l *logonCluster) startWorker(number int, folder string) *logonWorker {
	store, err := lockouts.Open(folder, folder)
	require.NoError(l.t, err)
	d := &logonWorker{logonCluster: l, number: number, folder: folder, store: store}
	name := string(rune('a' + number))
	d.arbiter = NewAttemptArbiter(d, func() map[string]bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.leader != number {
			return nil
		}
		return maps.Clone(l.members)
	})
	d.lockouts = NewLockouts(store, d, l.callLeader, func() string { return name }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(l.t.Context())
	d.stop = cancel
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[name] = true
	l.workers = append(l.workers, d)
	l.running.Go(func() { d.lockouts.Run(ctx) }) // which may call the leader, another worker, at once
	return d
}

var errNoLeader = errors.New("no leader is known")

func (l *logonCluster) callLeader(ctx context.Context, call, answer any) error {
	body, err := json.Marshal(call)
	if err != nil {
		return err
	}
	l.mu.Lock()
	hasLeader := l.leader >= 0
	leader := l.workers[max(0, l.leader)]
	l.mu.Unlock()
	if !hasLeader {
		return errNoLeader
	}
	return callArbiter(ctx, leader.arbiter, body, answer)
}

// callArbiter sends a call to a leader and decodes the response into answer.
func callArbiter(ctx context.Context, leader *AttemptArbiter, body []byte, answer any) error {
	response, err := leader.HandleCall(ctx, "", body)
	if err != nil {
		return err
	}
	text, err := json.Marshal(response)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

func (l *logonWorker) Annotations(prefix string) map[string]json.RawMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	annotations := map[string]json.RawMessage{}
	for key, value := range l.annotations {
		if suffix, ok := strings.CutPrefix(key, prefix); ok && (!l.isBehind || suffix == lockoutKey) {
			annotations[suffix] = value
		}
	}
	return annotations
}

func (l *logonWorker) Write(_ context.Context, records ...configtopic.Record) (int64, error) {
	time.Sleep(responseDelay)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leader != l.number {
		return 0, ErrNotLeader
	}
	l.writes++
	for _, r := range records {
		if r.Value == nil {
			delete(l.annotations, r.Key)
		} else {
			l.annotations[r.Key] = r.Value
		}
	}
	return 0, nil
}

// alice returns an identity of the user ALICE.
func alice(secret string) lockouts.Identity {
	return lockouts.Identity{Origin: "https://sap.example", Client: "100", User: "ALICE", Secret: secret}
}

// logOn sends one request with a secret.
func (l *logonWorker) logOn(ctx context.Context, secret string) (status int, err error) {
	done, err := l.store.Gate(alice(secret)).Acquire(ctx, func() bool { return false })
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	l.sent++
	l.mu.Unlock()
	time.Sleep(responseDelay)
	l.mu.Lock()
	status = 200
	if secret != l.password {
		status = 401
		l.refused++
	}
	l.mu.Unlock()
	done(status)
	return status, nil
}

// logOnAll sends several requests from each worker at once and counts the results. Locked requests were not sent.
func logOnAll(ctx context.Context, workers []*logonWorker, requestsEach int,
	secret string) (accepted, rejected, locked, other int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, d := range workers {
		for range requestsEach {
			wg.Go(func() {
				status, err := d.logOn(ctx, secret)
				mu.Lock()
				defer mu.Unlock()
				_, isLocked := errors.AsType[*lockouts.LockedOut](err)
				switch {
				case isLocked:
					locked++
				case err != nil:
					other++
				case status == 200:
					accepted++
				default:
					rejected++
				}
			})
		}
	}
	wg.Wait()
	return accepted, rejected, locked, other
}

// inLogonCluster runs a test in a bubble. All workers end with it.
func inLogonCluster(t *testing.T, count int, password string,
	run func(t *testing.T, o *logonCluster, workers []*logonWorker)) {
	synctest.Test(t, func(t *testing.T) {
		o, workers := newLogonCluster(t, count, password)
		run(t, o, workers)
		for _, d := range o.workers {
			d.stop()
		}
		o.running.Wait() // time stops when the test returns, also for a worker that writes
	})
}

// setPassword sets the only secret that the service accepts.
func (l *logonCluster) setPassword(secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.password = secret
}

// lead makes a worker the leader; -1 means no leader.
func (l *logonCluster) lead(number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leader = number
}

// T3 with ten workers: a wrong secret is sent once, and all workers recover when it is corrected. A secret that is
// changed at the service after all have used it is also sent once, even if all workers send it at the same time, as on
// a schedule.
func TestWrongSecretOfTenWorkersIsSentOnce(t *testing.T) {
	inLogonCluster(t, 10, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
		accepted, rejected, locked, other := logOnAll(t.Context(), workers, 5, "wrong")
		assert.Equal(t, []int{0, 1, 49, 0}, []int{accepted, rejected, locked, other})
		assert.Equal(t, 1, o.refused)
		for _, d := range workers {
			_, err := d.logOn(t.Context(), "wrong")
			for _, text := range []string{`the password of user "ALICE" in client 100 was refused (401) at 2`,
				"culvert connectors lockouts resume"} {
				assert.Error(t, err, text)
			}
			path := filepath.Join(o.t.TempDir(), "logons")
			command, err := lockouts.Open("", path, d.folder)
			require.NoError(t, err)
			assert.True(t, command.Gate(alice("wrong")).Refusal() != "", "expected a local command to know the lockout")
			list, _ := d.store.List()
			assert.Equal(t, 1, len(list))
		}
		accepted, _, _, _ = logOnAll(t.Context(), workers, 5, "right")
		assert.Equal(t, 50, accepted)
		o.setPassword("new")
		time.Sleep(10 * time.Minute)
		_, rejected, locked, _ = logOnAll(t.Context(), workers, 3, "right")
		assert.Equal(t, []int{1, 29}, []int{rejected, locked}, "it was changed at the service")
		accepted, _, _, _ = logOnAll(t.Context(), workers, 3, "new")
		assert.Equal(t, 30, accepted, "accepted")
		late := o.startWorker(10, filepath.Join(t.TempDir(), "logons"))
		late.isBehind = true // it reads the topic late
		_, err := late.logOn(t.Context(), "wrong")
		_, isLocked := errors.AsType[*lockouts.LockedOut](err)
		assert.True(t, isLocked, "expected a rejection by the leader, found %v", err)
		assert.Equal(t, 2, o.refused, "refused at the service")
		o.mu.Lock()
		defer o.mu.Unlock()
		assert.Equal(t, true, o.writes <= 9, "writes") // the key, four permits, four outcomes
		for key, note := range o.annotations {
			for _, text := range []string{"alice", "sap.example", "wrong", "right"} {
				assert.True(t, !strings.Contains(strings.ToLower(key+string(note)), text),
					"%s shows %s: %s", key, text, note)
			}
		}
	})
}

// Outcomes outlive the leader, and the next leader knows which workers have a permit.
func TestLeaderChangesWhileASecretIsTried(t *testing.T) {
	for _, pause := range []time.Duration{0, responseDelay * 3 / 2, responseDelay * 5 / 2, responseDelay * 7 / 2,
		responseDelay * 9 / 2} {
		inLogonCluster(t, 5, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
			var changes sync.WaitGroup
			changes.Go(func() {
				time.Sleep(pause)
				o.lead(-1)
				time.Sleep(time.Minute)
				o.lead(3)
			})
			_, rejected, locked, other := logOnAll(t.Context(), workers, 2, "wrong")
			assert.Equal(t, []int{1, 9, 0}, []int{rejected, locked, other}, pause.String())
			assert.Equal(t, 1, o.refused, pause.String())
			changes.Wait()
		})
	}
}

// Without a leader, logons with a secret that this worker has used successfully continue. Other logons wait, at most as
// long as their callers do.
func TestLogonsWithoutALeader(t *testing.T) {
	inLogonCluster(t, 2, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
		_, err := workers[0].logOn(t.Context(), "right")
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		o.lead(-1)
		_, err = workers[0].logOn(t.Context(), "right")
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		for _, d := range workers {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("enough"))
			_, err = d.logOn(ctx, "right")
			assert.Equal(t, "enough", err.Error())
			cancel()
		}
		start := time.Now()
		go func() { time.Sleep(time.Minute); o.lead(1) }()
		_, err = workers[1].logOn(t.Context(), "right")
		require.NoError(t, err)
		assert.AtMost(t, time.Minute+2*time.Second, time.Since(start), "the logon to continue after a minute")
	})
}

// An operator's resume reaches all workers and their local state.
func TestResumeOfACluster(t *testing.T) {
	inLogonCluster(t, 5, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
		logOnAll(t.Context(), workers, 2, "wrong")
		assert.Equal(t, 1, o.refused)
		time.Sleep(time.Minute)
		n, err := workers[2].store.Resume(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		o.setPassword("wrong")
		time.Sleep(time.Second)
		accepted, _, _, _ := logOnAll(t.Context(), workers, 2, "wrong")
		assert.Equal(t, 10, accepted)

		o.lead(-1)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("enough"))
		defer cancel()
		_, err = workers[2].store.Resume(ctx)
		assert.Equal(t, errNoLeader.Error(), err.Error())
	})
}

// A request that takes hours does not block other workers that know its secret.
func TestSlowRequestBlocksNoOtherWorker(t *testing.T) {
	inLogonCluster(t, 2, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
		logOnAll(t.Context(), workers, 1, "right")
		time.Sleep(10 * time.Minute)
		done, err := workers[0].store.Gate(alice("right")).Acquire(t.Context(), func() bool { return false })
		require.NoError(t, err)
		start := time.Now()
		_, err = workers[1].logOn(t.Context(), "right")
		require.NoError(t, err)
		elapsed := time.Since(start)
		assert.True(t, elapsed <= 15*time.Second, "expected no wait for the response, found a wait of %v", elapsed)
		done(200)
	})
}

// An operator's resume reaches a worker whose clock is ahead of the leader's clock.
func TestResumeAcrossClocks(t *testing.T) {
	inLogonCluster(t, 2, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
		logOnAll(t.Context(), workers, 1, "wrong")
		_, err := workers[1].logOn(t.Context(), "wrong") // so that it has checked
		assert.Error(t, err, "was refused")
		_, err = workers[0].store.Resume(t.Context())
		require.NoError(t, err)
		o.mu.Lock()
		o.password = "wrong"
		key := lockoutPrefix + lockoutKey
		var settings lockoutSettings
		require.NoError(t, json.Unmarshal(o.annotations[key], &settings))
		settings.Resumed -= time.Hour.Milliseconds() // by the leader's clock
		o.annotations[key], err = json.Marshal(settings)
		o.mu.Unlock()
		require.NoError(t, err)
		time.Sleep(time.Second)
		status, err := workers[1].logOn(t.Context(), "wrong")
		require.NoError(t, err)
		assert.Equal(t, 200, status)
	})
}

// An annotation in an unknown format is an error: no worker sends a secret until logons are resumed.
func TestAnnotationsInUnknownFormatGrantNothing(t *testing.T) {
	const key = `"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`
	user := strings.Repeat("0a", digestLength/2)
	for name, annotations := range map[string][2]string{ // key, user
		lockoutKey: {`{` + key + `,"salt":1}`, `{}`},
		user:       {`{` + key + `}`, `{"refused":[],"until":5}`},
	} {
		inLogonCluster(t, 1, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
			o.mu.Lock()
			o.annotations[lockoutPrefix+lockoutKey] = json.RawMessage(annotations[0])
			o.annotations[lockoutPrefix+user] = json.RawMessage(annotations[1])
			o.mu.Unlock()
			call := func(c lockoutCall) (answer lockoutAnswer, err error) {
				body, err := json.Marshal(c)
				require.NoError(t, err)
				return answer, callArbiter(t.Context(), workers[0].arbiter, body, &answer)
			}
			turn := lockoutCall{User: user, Secret: "s", Turn: "1", Member: workers[0].lockouts.memberID()}
			answer, err := call(turn)
			assert.Error(t, err, "the annotation culvert-lockout-"+name+" in the config topic, which resuming logons "+
				"replaces, has an unknown format")
			assert.Equal(t, lockoutAnswer{}, answer)
			_, err = call(lockoutCall{Outcome: resumeLogons})
			require.NoError(t, err)
			_, err = call(turn)
			assert.NoError(t, err, "after logons are resumed")
		})
	}
}

// A malformed call about a logon is an error, and a worker that is not the leader rejects all calls.
func TestMalformedCallsAreRejected(t *testing.T) {
	inLogonCluster(t, 2, "right", func(t *testing.T, _ *logonCluster, workers []*logonWorker) {
		for body, want := range map[string]string{
			`{`:             "a call about a logon: unexpected end of JSON input",
			`{"who":"key"}`: "a call about a logon: expected a digest of 32 characters, found 3",
		} {
			_, err := workers[0].arbiter.HandleCall(t.Context(), "", []byte(body))
			assert.Equal(t, want, err.Error())
		}
		_, err := workers[1].arbiter.HandleCall(t.Context(), "", []byte(`{}`))
		assert.Equal(t, true, errors.Is(err, ErrNotLeader))
	})
}

// A leader that was fenced by another one grants no turn, whatever it knows about the group. Workers only trust the
// annotations in the topic.
func TestFencedLeaderGrantsNoPermit(t *testing.T) {
	t.Parallel()
	brokers := kafkatest.Cluster(t, kfake.NumBrokers(1))
	ctx := kafkatest.Context(t)
	a := openFollower(t, brokers.ListenAddrs()...)
	b := openFollower(t, brokers.ListenAddrs()...)
	members := func() map[string]bool { return map[string]bool{"w": true} }
	old := NewAttemptArbiter(a.store, members)
	next := NewAttemptArbiter(b.store, members)
	leader := old
	store := lockouts.New()
	shared := NewLockouts(store, b.store, func(ctx context.Context, call, into any) error {
		body, err := json.Marshal(call)
		if err != nil {
			return err
		}
		return callArbiter(ctx, leader, body, into)
	}, func() string { return "w" }, slog.New(slog.DiscardHandler))
	require.NoError(t, a.Lead(ctx))
	done, err := store.Gate(alice("first")).Acquire(ctx, func() bool { return false })
	require.NoError(t, err)
	require.NoError(t, b.Lead(ctx))
	secret := lockouts.Secret{Place: "another", Hash: func() (h [32]byte) { return h }}
	_, _, err = shared.call(ctx, secret, lockoutCall{Turn: "p", Member: "w"})
	failed, ok := errors.AsType[*WriteError](err)
	assert.True(t, ok, "expected the former leader to write no permit, found %v, %v", err, failed)
	a.Resign()
	leader = next
	_, _, err = shared.Acquire(ctx, secret, false)
	require.NoError(t, err)
	runCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go shared.Run(runCtx)
	done(401)
	refusals := func() (n int) {
		for _, note := range b.store.Annotations(lockoutPrefix) {
			n += strings.Count(string(note), `"refused"`)
		}
		return n
	}
	for refusals() == 0 {
		require.NoError(t, ctx.Err())
		require.NoError(t, b.Refresh(ctx))
	}
	_, err = store.Gate(alice("first")).Acquire(ctx, func() bool { return false })
	_, isLocked := errors.AsType[*lockouts.LockedOut](err)
	assert.True(t, isLocked, "expected a rejection, found %v", err)
	n, err := store.Resume(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, 1, len(b.store.Annotations(lockoutPrefix)))
}

// Without a leader, the log reports once that logons wait, however many do.
func TestWaitingLogonsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	inLogonCluster(t, 1, "right", func(t *testing.T, _ *logonCluster, workers []*logonWorker) {
		var log logtest.Journal
		shared := NewLockouts(lockouts.New(), workers[0], func(context.Context, any, any) error { return errNoLeader },
			func() string { return "w" }, log.Logger(slog.LevelWarn))
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		secret := lockouts.Secret{Place: "service", Hash: func() (h [32]byte) { return h }}
		var calls sync.WaitGroup
		for range 5 {
			calls.Go(func() { shared.Acquire(ctx, secret, false) })
		}
		calls.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), "a logon waits for the cluster's leader"), "warning", &log)
	})
}

// If the leader cannot accept the outcome of one user, whose annotation is damaged, other users are not delayed.
func TestUndeliverableOutcomeDelaysNoOther(t *testing.T) {
	inLogonCluster(t, 1, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
		bob := alice("wrong")
		bob.User = "BOB"
		for _, id := range []lockouts.Identity{alice("wrong"), bob} {
			ctx := t.Context()
			done, err := workers[0].store.Gate(id).Acquire(ctx, func() bool { return true })
			require.NoError(t, err)
			if id.User != "BOB" {
				o.mu.Lock()
				for key := range o.annotations {
					if key != lockoutPrefix+lockoutKey {
						o.annotations[key] = json.RawMessage(`"damaged"`)
					}
				}
				o.mu.Unlock()
			}
			done(401)
		}
		time.Sleep(5*reportRetryInterval + reportRetryInterval/2) // by the fake clock, between two attempts
		workers[0].lockouts.mu.Lock()
		defer workers[0].lockouts.mu.Unlock()
		for _, v := range workers[0].lockouts.pending {
			assert.True(t, !strings.Contains(v.secret.Place, "BOB"),
				"expected the rejection of another user to be delivered")
		}
		assert.Equal(t, 1, len(workers[0].lockouts.pending))
	})
}
