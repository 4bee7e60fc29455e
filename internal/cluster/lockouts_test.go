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
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Workers call [AttemptArbiter.HandleCall] with signed requests.
var _ rest.Call = (*AttemptArbiter)(nil).HandleCall

// logonCluster is a cluster in one process: a topic of notes, its leader, workers, and a service that they log on to.
type logonCluster struct {
	t     *testing.T
	desks []*logonWorker // by number

	mu      sync.Mutex
	notes   map[string]json.RawMessage
	writes  int
	leader  int // -1 means none
	members map[string]bool
	right   string
	sent    int // all secrets
	refused int // by the service
}

// logonWorker is a worker. Its ledger is that of the cluster.
type logonWorker struct {
	configtopic.ClusterState
	*logonCluster
	number  int
	folder  string
	blind   bool // it has not read any user's note
	store   *lockouts.Store
	permits *AttemptArbiter
	shared  *Lockouts
	end     context.CancelFunc
}

// responseDelay is the response time of the service and of the topic.
const responseDelay = 20 * time.Millisecond

func newLogonCluster(t *testing.T, workers int, right string) (*logonCluster, []*logonWorker) {
	t.Helper()
	o := &logonCluster{t: t, notes: map[string]json.RawMessage{}, members: map[string]bool{}, right: right}
	for i := range workers {
		o.desk(i, filepath.Join(t.TempDir(), "logons"))
	}
	return o, slices.Clone(o.desks)
}

func (l *logonCluster) desk(number int, folder string) *logonWorker {
	store, err := lockouts.Open(folder, folder)
	require.NoError(l.t, err)
	d := &logonWorker{logonCluster: l, number: number, folder: folder, store: store}
	name := string(rune('a' + number))
	d.permits = NewAttemptArbiter(d, func() map[string]bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.leader != number {
			return nil
		}
		return maps.Clone(l.members)
	})
	d.shared = NewLockouts(store, d, l.ask, func() string { return name }, slog.New(slog.DiscardHandler))
	ctx, end := context.WithCancel(l.t.Context())
	d.end = end
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[name] = true
	l.desks = append(l.desks, d)
	go d.shared.Run(ctx) // which may call the leader, another worker, at once
	return d
}

var errNoLeader = errors.New("no leader is known")

func (l *logonCluster) ask(ctx context.Context, call, into any) error {
	body, err := json.Marshal(call)
	if err != nil {
		return err
	}
	l.mu.Lock()
	away := l.leader < 0
	leader := l.desks[max(0, l.leader)]
	l.mu.Unlock()
	if away {
		return errNoLeader
	}
	return answered(ctx, leader.permits, body, into)
}

// answered reads the response of a leader.
func answered(ctx context.Context, leader *AttemptArbiter, body []byte, into any) error {
	answer, err := leader.HandleCall(ctx, "", body)
	if err != nil {
		return err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (l *logonWorker) Annotations(prefix string) map[string]json.RawMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]json.RawMessage{}
	for key, value := range l.notes {
		if rest, ok := strings.CutPrefix(key, prefix); ok && (!l.blind || rest == lockoutKey) {
			found[rest] = value
		}
	}
	return found
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
			delete(l.notes, r.Key)
		} else {
			l.notes[r.Key] = r.Value
		}
	}
	return 0, nil
}

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
	if secret != l.right {
		status = 401
		l.refused++
	}
	l.mu.Unlock()
	done(status)
	return status, nil
}

// all sends several requests from each worker at once and counts the results.
func all(ctx context.Context, desks []*logonWorker, each int, secret string) (accepted, rejected, locked, other int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, d := range desks {
		for range each {
			wg.Go(func() {
				status, err := d.logOn(ctx, secret)
				mu.Lock()
				defer mu.Unlock()
				_, out := errors.AsType[*lockouts.LockedOut](err)
				switch {
				case out:
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
func inLogonCluster(t *testing.T, workers int, right string, f func(t *testing.T, o *logonCluster,
	desks []*logonWorker)) {
	synctest.Test(t, func(t *testing.T) {
		o, desks := newLogonCluster(t, workers, right)
		f(t, o, desks)
		for _, d := range o.desks {
			d.end()
		}
	})
}

// accepts sets the only secret that the service accepts.
func (l *logonCluster) accepts(secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.right = secret
}

func (l *logonCluster) lead(number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leader = number
}

// T3 with ten workers: a wrong secret is sent once, and all workers recover when it is corrected. A secret that is
// changed at the service after all have used it is also sent once, even if all workers send it at the same time, as on
// a schedule.
func TestWrongSecretOfTenWorkersIsSentOnce(t *testing.T) {
	inLogonCluster(t, 10, "right", func(t *testing.T, o *logonCluster, desks []*logonWorker) {
		accepted, rejected, locked, other := all(t.Context(), desks, 5, "wrong")
		assert.Equal(t, []int{0, 1, 49, 0}, []int{accepted, rejected, locked, other})
		assert.Equal(t, 1, o.refused)
		for _, d := range desks {
			_, err := d.logOn(t.Context(), "wrong")
			for _, text := range []string{`the password of user "ALICE" in client 100 was refused (401) at 2`,
				"PUT /culvert/lockouts/resume"} {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("expected %q, found %v", text, err)
				}
			}
			path := filepath.Join(o.t.TempDir(), "logons")
			command, err := lockouts.Open("", path, d.folder)
			require.NoError(t, err)
			if why := command.Gate(alice("wrong")).Refusal(); why == "" {
				t.Error("expected a local command to know the lockout")
			}
			list, _ := d.store.List()
			assert.Equal(t, 1, len(list))
		}
		accepted, _, _, _ = all(t.Context(), desks, 5, "right")
		assert.Equal(t, 50, accepted)
		o.accepts("new")
		time.Sleep(10 * time.Minute)
		_, rejected, locked, _ = all(t.Context(), desks, 3, "right")
		assert.Equal(t, []int{1, 29}, []int{rejected, locked}, "it was changed at the service")
		accepted, _, _, _ = all(t.Context(), desks, 3, "new")
		assert.Equal(t, 30, accepted, "accepted")
		late := o.desk(10, filepath.Join(t.TempDir(), "logons"))
		late.blind = true // it reads the topic late
		_, err := late.logOn(t.Context(), "wrong")
		if _, out := errors.AsType[*lockouts.LockedOut](err); !out {
			t.Errorf("expected a rejection by the leader, found %v", err)
		}
		assert.Equal(t, 2, o.refused, "refused at the service")
		o.mu.Lock()
		defer o.mu.Unlock()
		assert.Equal(t, true, o.writes <= 9, "writes") // the key, four permits, four outcomes
		for key, note := range o.notes {
			for _, text := range []string{"alice", "sap.example", "wrong", "right"} {
				if strings.Contains(strings.ToLower(key+string(note)), text) {
					t.Errorf("%s shows %s: %s", key, text, note)
				}
			}
		}
	})
}

// Outcomes outlive the leader, and the next leader knows which workers have a permit.
func TestLeaderChangesWhileASecretIsTried(t *testing.T) {
	for _, pause := range []time.Duration{0, responseDelay * 3 / 2, responseDelay * 5 / 2, responseDelay * 7 / 2,
		responseDelay * 9 / 2} {
		inLogonCluster(t, 5, "right", func(t *testing.T, o *logonCluster, desks []*logonWorker) {
			go func() {
				time.Sleep(pause)
				o.lead(-1)
				time.Sleep(time.Minute)
				o.lead(3)
			}()
			_, rejected, locked, other := all(t.Context(), desks, 2, "wrong")
			assert.Equal(t, []int{1, 9, 0}, []int{rejected, locked, other}, pause.String())
			assert.Equal(t, 1, o.refused, pause.String())
			synctest.Wait()
			time.Sleep(2 * time.Minute)
		})
	}
}

// Without a leader, logons with a secret that this worker has used successfully continue. Other logons wait, at most as
// long as their callers do.
func TestLogonsWithoutALeader(t *testing.T) {
	inLogonCluster(t, 2, "right", func(t *testing.T, o *logonCluster, desks []*logonWorker) {
		_, err := desks[0].logOn(t.Context(), "right")
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		o.lead(-1)
		_, err = desks[0].logOn(t.Context(), "right")
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		for _, d := range desks {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("enough"))
			_, err = d.logOn(ctx, "right")
			assert.Equal(t, "enough", err.Error())
			cancel()
		}
		began := time.Now()
		go func() { time.Sleep(time.Minute); o.lead(1) }()
		_, err = desks[1].logOn(t.Context(), "right")
		require.NoError(t, err)
		if elapsed := time.Since(began); elapsed > time.Minute+2*time.Second {
			t.Errorf("expected the logon to continue after a minute, found %v", elapsed)
		}
	})
}

// An operator's resume reaches all workers and their local state.
func TestResumeOfACluster(t *testing.T) {
	inLogonCluster(t, 5, "right", func(t *testing.T, o *logonCluster, desks []*logonWorker) {
		all(t.Context(), desks, 2, "wrong")
		assert.Equal(t, 1, o.refused)
		time.Sleep(time.Minute)
		n, err := desks[2].store.Resume(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		o.accepts("wrong")
		time.Sleep(time.Second)
		accepted, _, _, _ := all(t.Context(), desks, 2, "wrong")
		assert.Equal(t, 10, accepted)

		o.lead(-1)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("enough"))
		defer cancel()
		_, err = desks[2].store.Resume(ctx)
		assert.Equal(t, errNoLeader.Error(), err.Error())
	})
}

// A request that takes hours does not block other workers that know its secret.
func TestSlowRequestBlocksNoOtherWorker(t *testing.T) {
	inLogonCluster(t, 2, "right", func(t *testing.T, o *logonCluster, desks []*logonWorker) {
		all(t.Context(), desks, 1, "right")
		time.Sleep(10 * time.Minute)
		done, err := desks[0].store.Gate(alice("right")).Acquire(t.Context(), func() bool { return false })
		require.NoError(t, err)
		began := time.Now()
		_, err = desks[1].logOn(t.Context(), "right")
		require.NoError(t, err)
		if elapsed := time.Since(began); elapsed > 15*time.Second {
			t.Errorf("expected no wait for the response, found a wait of %v", elapsed)
		}
		done(200)
		time.Sleep(time.Second)
	})
}

// An operator's resume reaches a worker whose clock is ahead of the leader's clock.
func TestResumeAcrossClocks(t *testing.T) {
	inLogonCluster(t, 2, "right", func(t *testing.T, o *logonCluster, desks []*logonWorker) {
		all(t.Context(), desks, 1, "wrong")
		_, err := desks[1].logOn(t.Context(), "wrong") // so that it has checked
		assert.Error(t, err, "was refused")
		_, err = desks[0].store.Resume(t.Context())
		require.NoError(t, err)
		o.mu.Lock()
		o.right = "wrong"
		key := lockoutPrefix + lockoutKey
		var all lockoutSettings
		require.NoError(t, json.Unmarshal(o.notes[key], &all))
		all.Resumed -= time.Hour.Milliseconds() // by the leader's clock
		o.notes[key], err = json.Marshal(all)
		o.mu.Unlock()
		require.NoError(t, err)
		time.Sleep(time.Second)
		status, err := desks[1].logOn(t.Context(), "wrong")
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		time.Sleep(time.Second)
	})
}

// A malformed call about a logon is an error, and a worker that is not the leader rejects all calls.
func TestMalformedCallsAreRejected(t *testing.T) {
	inLogonCluster(t, 2, "right", func(t *testing.T, _ *logonCluster, desks []*logonWorker) {
		for body, want := range map[string]string{
			`{`:             "a call about a logon: unexpected end of JSON input",
			`{"who":"key"}`: "a call about a logon: expected a digest of 32 characters, found 3",
		} {
			_, err := desks[0].permits.HandleCall(t.Context(), "", []byte(body))
			assert.Equal(t, want, err.Error())
		}
		_, err := desks[1].permits.HandleCall(t.Context(), "", []byte(`{}`))
		assert.Equal(t, true, errors.Is(err, ErrNotLeader))
	})
}

// A leader that was fenced by another one grants no permit, whatever it knows about the group. Workers only trust the
// notes in the topic.
func TestFencedLeaderGrantsNoPermit(t *testing.T) {
	t.Parallel()
	brokers := kafkatest.Cluster(t, kfake.NumBrokers(1))
	ctx := kafkatest.Context(t)
	a := openFollower(t, brokers.ListenAddrs()...)
	b := openFollower(t, brokers.ListenAddrs()...)
	members := func() map[string]bool { return map[string]bool{"w": true} }
	old := NewAttemptArbiter(a.store, members)
	next := NewAttemptArbiter(b.store, members)
	session, err := rest.NewSession("HmacSHA256", []string{"HmacSHA256"})
	require.NoError(t, err)
	session.Handle(LockoutsCall, old.HandleCall) // which panics if it could be called by users
	leader := old
	store := lockouts.New()
	shared := NewLockouts(store, b.store, func(ctx context.Context, call, into any) error {
		body, err := json.Marshal(call)
		if err != nil {
			return err
		}
		return answered(ctx, leader, body, into)
	}, func() string { return "w" }, slog.New(slog.DiscardHandler))
	require.NoError(t, a.Lead(ctx))
	done, err := store.Gate(alice("first")).Acquire(ctx, func() bool { return false })
	require.NoError(t, err)
	require.NoError(t, b.Lead(ctx))
	secret := lockouts.Secret{Place: "another", Hash: func() (h [32]byte) { return h }}
	_, _, err = shared.call(ctx, secret, lockoutCall{Turn: "p", Member: "w"})
	if failed, ok := errors.AsType[*WriteError](err); !ok {
		t.Errorf("expected the former leader to write no permit, found %v, %v", err, failed)
	}
	a.Resign()
	leader = next
	_, _, err = shared.Acquire(ctx, secret, false)
	require.NoError(t, err)
	running, end := context.WithCancel(ctx)
	defer end()
	go shared.Run(running)
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
	if _, out := errors.AsType[*lockouts.LockedOut](err); !out {
		t.Errorf("expected a rejection, found %v", err)
	}
	n, err := store.Resume(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, 1, len(b.store.Annotations(lockoutPrefix)))
}

// Without a leader, the log reports once that logons wait, however many do.
func TestWaitingLogonsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Journal
		_, desks := newLogonCluster(t, 1, "right")
		shared := NewLockouts(lockouts.New(), desks[0], func(context.Context, any, any) error { return errNoLeader },
			func() string { return "w" }, log.Logger(slog.LevelWarn))
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		secret := lockouts.Secret{Place: "service", Hash: func() (h [32]byte) { return h }}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { shared.Acquire(ctx, secret, false) })
		}
		all.Wait()
		if n := strings.Count(log.String(), "a logon waits for the cluster's leader"); n != 1 {
			t.Errorf("expected one warning, found %d\n%s", n, &log)
		}
		desks[0].end()
	})
}

// If the leader cannot accept the outcome of one user, whose note is damaged, other users are not delayed.
func TestUndeliverableOutcomeDelaysNoOther(t *testing.T) {
	inLogonCluster(t, 1, "right", func(t *testing.T, o *logonCluster, desks []*logonWorker) {
		bob := alice("wrong")
		bob.User = "BOB"
		for _, id := range []lockouts.Identity{alice("wrong"), bob} {
			ctx := t.Context()
			done, err := desks[0].store.Gate(id).Acquire(ctx, func() bool { return true })
			require.NoError(t, err)
			if id.User != "BOB" {
				o.mu.Lock()
				for key := range o.notes {
					if key != lockoutPrefix+lockoutKey {
						o.notes[key] = json.RawMessage(`"damaged"`)
					}
				}
				o.mu.Unlock()
			}
			done(401)
		}
		time.Sleep(5*reportRetryInterval + reportRetryInterval/2) // by the fake clock, between two attempts
		desks[0].shared.mu.Lock()
		defer desks[0].shared.mu.Unlock()
		for _, v := range desks[0].shared.pending {
			if strings.Contains(v.secret.Place, "BOB") {
				t.Error("expected the rejection of another user to be delivered")
			}
		}
		assert.Equal(t, 1, len(desks[0].shared.pending))
	})
}
