package plugin

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/watch"
)

// watcher owns a goroutine that loads what changes in the folders.
type watcher struct {
	manager *Manager
	folders *watch.Folders
	cancel  context.CancelFunc
	done    chan struct{}
}

// newWatcher begins to listen; events wait until start.
func newWatcher(m *Manager, folders []string, debounce time.Duration) (*watcher, error) {
	f, err := watch.Open(watch.Options{Settle: cmp.Or(debounce, 200*time.Millisecond), Concerns: isModule,
		Logger: m.loader.logger})
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if err := f.Add(folder); err != nil {
			f.Close()
			return nil, fmt.Errorf("plugin folder: %w", err)
		}
	}
	return &watcher{manager: m, folders: f}, nil
}

func (w *watcher) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	go w.run(ctx)
}

func (w *watcher) stop() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
	w.folders.Close()
}

// run scans when files of modules have changed. A copy in progress is a file cut off, and would be refused: it waits.
func (w *watcher) run(ctx context.Context) {
	defer close(w.done)
	defer guard.Recover(w.manager.loader.logger, "watching plugin folders", nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.folders.Changed():
		}
		err := guard.Do(w.manager.loader.logger, "reading plugin folders", func() error {
			return w.manager.scan(ctx, nil, w.folders.Written)
		})
		if err != nil && ctx.Err() == nil {
			w.manager.loader.logger.Warn("reading plugin folders", "error", err)
		}
	}
}
