package reload

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
)

// fakeStore is a store whose snapshots the test passes to the reloader.
type fakeStore struct {
	config.Store // panics unless the test sets it
	stale        atomic.Bool
	refreshes    int
}

func (s *fakeStore) IsStale(config.Snapshot) bool { return s.stale.Load() }
func (s *fakeStore) Refresh()                     { s.refreshes++ }

// newReloader returns a reloader of a worker without plugins, which rejects each new connector after its check. It runs
// nothing, but it knows the rejected connectors.
func newReloader(t *testing.T) (*Reloader, *fakeStore, config.Snapshot) {
	t.Helper()
	worker, _ := config.NewWorker("", nil, nil, nil)
	log := slog.New(slog.DiscardHandler)
	plugins, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry(), Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { plugins.Close() })
	herder := connect.New(connect.Options{Worker: worker, Plugins: plugins, Logger: log}, nil)
	store := &fakeStore{}
	r := New(Options{Worker: worker, Checker: check.Checker{Worker: worker, Plugins: plugins, Plans: &check.Plans{}},
		Changes: ChangeChecker{Plugins: plugins, Herder: herder}, Lock: guard.NewCtxMutex(), Log: log,
		Group: noOthers{}}, store)
	var snapshot config.Snapshot
	for _, name := range []string{"z", "y", "x"} {
		file := name + ".properties"
		entries, _ := config.Read(file, []byte("name="+name+"\nconnector.class=Missing"))
		connector, problems := config.NewConnector(file, entries, worker.Providers)
		require.NoError(t, problems.Err())
		snapshot.Connectors = append(snapshot.Connectors, connector)
	}
	return r, store, snapshot
}

// noOthers is the group of a worker alone.
type noOthers struct{}

func (noOthers) InGroup() bool               { return false }
func (noOthers) Membership() rest.Membership { return rest.Membership{IsLeader: true} }
func (noOthers) Applied(config.Snapshot)     {}

// names returns the connectors of the worker, and the progress in its report.
func (r *Reloader) names() string {
	var names []string
	running := r.herder.RunningConfigs()
	for _, connector := range running {
		names = append(names, connector.Name)
	}
	progress := "no reload runs"
	if p := r.Report(running, nil).Running; p != nil {
		progress = fmt.Sprintf("%d of %d", p.Checked, p.Files)
	}
	return fmt.Sprint(strings.Join(names, " "), ", ", progress)
}

// A reload applies each connector when it was checked, in the order of the files. Between two of them a change by REST
// gets the lock, which makes the snapshot stale: the reload ends, and the next one continues.
func TestReloadYieldsToChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store, snapshot := newReloader(t)
		snapshot.Requested = true
		require.NoError(t, r.Lock.Lock(t.Context()))
		go r.Reload(t.Context(), snapshot)
		synctest.Wait()
		var change string
		go func() { // a change by REST, which waits behind the reload
			_ = r.Lock.Lock(context.Background())
			defer r.Lock.Unlock()
			change = r.names()
			store.stale.Store(true)
		}()
		synctest.Wait()
		r.Lock.Unlock()
		synctest.Wait()
		assert.Equal(t, "z, 1 of 3", change, "during the change")
		assert.Equal(t, "z, no reload runs", r.names(), "after the superseded reload")
		assert.Equal(t, 1, store.refreshes, "a superseded request is repeated")

		store.stale.Store(false)
		r.Reload(t.Context(), snapshot)
		assert.Equal(t, 3, len(r.herder.RunningConfigs()), "after a complete reload")
		assert.Equal(t, map[string]int64{"applied": 0, "refused": 2, "unchanged": 0}, r.Outcomes())
		for _, file := range snapshot.Connectors {
			var found []string
			for _, event := range r.herder.Events().List(file.Name) {
				found = append(found, event.Kind+" by "+event.By)
			}
			assert.Equal(t, []string{"rejected by " + file.File}, found, "events of "+file.Name)
		}
	})
}

// While a reload runs, newer snapshots replace each other. A request for a reload in one of them is not lost.
func TestWatchSkipsToTheNewestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store, _ := newReloader(t)
		snapshots := make(chan config.Snapshot)
		store.Store = watchedStore{snapshots: snapshots}
		resume := make(chan struct{})
		var applied []string
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.Watch(ctx, func(_ context.Context, snapshot config.Snapshot) {
			applied = append(applied, fmt.Sprint(snapshot.Revision, snapshot.Requested))
			<-resume
		})
		snapshots <- config.Snapshot{Revision: 1}
		synctest.Wait()
		snapshots <- config.Snapshot{Revision: 2, Requested: true}
		snapshots <- config.Snapshot{Revision: 3}
		synctest.Wait()
		close(resume)
		synctest.Wait()
		assert.Equal(t, []string{"1 false", "3 true"}, applied)
	})
}

type watchedStore struct {
	config.Store // panics unless the test sets it
	snapshots    <-chan config.Snapshot
}

func (s watchedStore) Watch(ctx context.Context, changed func(config.Snapshot)) {
	for {
		select {
		case snapshot := <-s.snapshots:
			changed(snapshot)
		case <-ctx.Done():
			return
		}
	}
}
