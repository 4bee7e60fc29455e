package pause_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := pause.For(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("expected a minute, found %v, %v", time.Since(began), err)
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(enough) })
		if err := pause.For(ctx, time.Hour); err != enough || time.Since(began) != time.Minute+time.Second {
			t.Errorf("expected the cause after a second, found %v after %v", err, time.Since(began)-time.Minute)
		}
		if err := pause.For(ctx, 0); err != enough {
			t.Errorf("expected the cause, found %v", err)
		}
	})
}
