package service

import (
	"context"
	"errors"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// resumePollInterval is how often a task whose secret was refused looks whether an operator has it tried once more.
const resumePollInterval = time.Second

var errResumed = errors.New("refused logons are tried once more")

// WaitForConfigChange waits until a task can go on that its settings had stopped: they are others than those of a version, or an
// operator has the refused secret tried once more. false: ctx has ended.
func (s *Service) WaitForConfigChange(ctx context.Context, client *transport.Client, version int64) bool {
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if client.Refusal() != "" {
		go func() {
			defer guard.Recover(s.log, "a task, its wait for a logon", nil, func(p *guard.Panic) { stop(p) })
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
				func(p *guard.Panic) { stop(p) })
			s.pollDestination(waiting, client)
		}()
	}
	return s.waitForVersion(waiting, version) || context.Cause(waiting) == errResumed
}

// pollDestination looks again and again, while ctx lasts, whether the destination is another one: nobody else does where no task
// makes requests. Where the destination service was refused itself, nothing is asked again: each question would show
// the same secret once more (P10).
func (s *Service) pollDestination(ctx context.Context, client *transport.Client) {
	for pause.For(ctx, s.pollInterval) == nil {
		var refused *wit.Error // what else is wrong is known: a task has failed by it
		if err := client.Refresh(ctx); errors.As(err, &refused) && refused.Kind == wit.ErrorUnauthorized {
			return
		}
	}
}

// waitForVersion waits until the settings are others than those of a version; false: ctx has ended.
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
