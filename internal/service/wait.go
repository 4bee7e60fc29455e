package service

import (
	"context"
	"errors"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// resumePollInterval is the time between checks whether an operator has resumed the refused logon of a task.
const resumePollInterval = time.Second

var errResumed = errors.New("refused logons are tried once more")

// WaitForConfigChange waits for another version, or until the refused logon is resumed. It returns false if ctx ends.
func (s *Service) WaitForConfigChange(ctx context.Context, client *transport.Client, version int64) bool {
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if client.Refusal() != "" {
		go func() {
			defer guard.Recover(s.log, "a task, its wait for a logon", nil, func(p *guard.PanicError) { stop(p) })
			for client.Refusal() != "" {
				if pause.For(waiting, resumePollInterval) != nil {
					return
				}
			}
			stop(errResumed)
		}()
	}
	if s.destination != nil {
		go func() {
			defer guard.Recover(s.log, "a task, reading the settings of its service", nil,
				func(p *guard.PanicError) { stop(p) })
			s.pollDestination(waiting, client)
		}()
	}
	return s.waitForVersion(waiting, version) || context.Cause(waiting) == errResumed
}

// pollDestination checks the destination while no task sends requests. It stops if the destination service refuses the
// logon: repeating a refused secret could lock the user (RATIONALE.md P10).
func (s *Service) pollDestination(ctx context.Context, client *transport.Client) {
	for pause.For(ctx, s.pollInterval) == nil {
		var refused *wit.Error // other errors are known already: the task has failed because of them
		if err := client.Refresh(ctx); errors.As(err, &refused) && refused.Kind == wit.ErrorUnauthorized {
			return
		}
	}
}

// waitForVersion waits for another version. It returns false if ctx ends.
func (s *Service) waitForVersion(ctx context.Context, version int64) bool {
	for {
		s.mu.Lock()
		notify := s.notify
		s.mu.Unlock()
		if s.version.Load() != version {
			return true
		}
		select {
		case <-notify:
		case <-ctx.Done():
			return false
		}
	}
}
