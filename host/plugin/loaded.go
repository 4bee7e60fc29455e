package plugin

import "context"

// Loaded waits until the plugins that nothing needed at the start have been looked at, too. The error is that of ctx.
func (m *Manager) Loaded(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		m.loading.wait.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
