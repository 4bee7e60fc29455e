package plugin

import (
	"context"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/culvert-project/culvert/host/guard"
)

// watcher owns a goroutine that loads what changes in the folders.
type watcher struct {
	manager  *Manager
	files    *fsnotify.Watcher
	debounce time.Duration
	cancel   context.CancelFunc
	done     chan struct{}
}

// watch begins to listen; events wait until start.
func watch(m *Manager, folders []string, debounce time.Duration) (*watcher, error) {
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching plugin folders: %w", err)
	}
	for _, f := range folders {
		if err := files.Add(f); err != nil {
			_ = files.Close()
			return nil, fmt.Errorf("watching the plugin folder %s: %w", f, err)
		}
	}
	if debounce <= 0 {
		debounce = 200 * time.Millisecond
	}
	return &watcher{manager: m, files: files, debounce: debounce}, nil
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
	_ = w.files.Close()
}

// run scans when a folder has been quiet for a while: a copy in progress is a file cut off, and would be refused.
func (w *watcher) run(ctx context.Context) {
	defer close(w.done)
	defer guard.Recover(w.manager.logger, "watching plugin folders", nil)
	quiet := time.NewTimer(w.debounce)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-w.files.Events:
			if !ok {
				return
			}
			quiet.Reset(w.debounce)
		case err, ok := <-w.files.Errors:
			if !ok {
				return
			}
			w.manager.logger.Warn("watching plugin folders", "error", err)
			quiet.Reset(w.debounce)
		case <-quiet.C:
			if err := guard.Do(w.manager.logger, "reading plugin folders", func() error { return w.manager.scan(ctx, nil) }); err != nil && ctx.Err() == nil {
				w.manager.logger.Warn("reading plugin folders", "error", err)
			}
		}
	}
}
