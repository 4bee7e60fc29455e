package connect

import (
	"context"
	"errors"
	"time"
)

// lookEvery is how often a task whose secret was refused looks whether an operator has it tried once more.
const lookEvery = time.Second

var errResumed = errors.New("refused logons are tried once more")

// mended waits until a task can go on that its settings had stopped: they are others than those of a version, or an operator has the
// refused secret tried once more. false: ctx has ended.
func (t *task) mended(ctx context.Context, version int64) bool {
	client := t.connector.client
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if client.Refusal() != "" {
		go func() {
			ticker := time.NewTicker(lookEvery)
			defer ticker.Stop()
			for client.Refusal() != "" {
				select {
				case <-ticker.C:
				case <-waiting.Done():
					return
				}
			}
			stop(errResumed)
		}()
	}
	if t.connector.service.target != nil {
		go t.connector.service.reread(waiting, client)
	}
	return t.connector.service.other(waiting, version) || context.Cause(waiting) == errResumed
}
