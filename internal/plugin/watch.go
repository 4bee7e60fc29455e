package plugin

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/guard"
)

func (m *Manager) openWatch(debounce time.Duration) error {
	f, err := watch.Open(watch.Options{Settle: cmp.Or(debounce, 200*time.Millisecond), Concerns: isModule,
		Logger: m.loader.logger})
	if err != nil {
		return err
	}
	m.folders.changes = f
	for _, folder := range m.folders.paths {
		if err := f.Add(folder); err != nil {
			return fmt.Errorf("plugin folder: %w", err)
		}
	}
	return nil
}

// watch scans the folders when module files have changed. Files that are still being written wait.
func (m *Manager) watch(ctx context.Context) {
	defer guard.Recover(m.loader.logger, "watching plugin folders", nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.folders.changes.Changed():
		}
		err := guard.Do(m.loader.logger, "reading plugin folders", func() error {
			return m.scan(ctx, nil, m.folders.changes.Written)
		})
		if err != nil && ctx.Err() == nil {
			m.loader.logger.Warn("plugin folders cannot be read", "error", err)
		}
	}
}
