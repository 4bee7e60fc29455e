package transport

import (
	"context"
	"errors"
	"testing"
)

// Answers of those who look at no secret leave it as unknown as it was: the next one goes alone again (P10).
func TestAnswersThatSayNothingOfTheSecret(t *testing.T) {
	for status, known := range map[int]bool{200: true, 304: true, 400: true, 403: true, 404: true, 407: false,
		408: false, 429: false, 502: false, 503: false, 0: false} {
		l := NewLockouts()
		if sent, err := try(t, l, somebody, status); !sent {
			t.Fatal(err)
		}
		permit, err := l.of(somebody).enter(t.Context(), asked{}, never)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("alone"))
		_, err = l.of(somebody).enter(ctx, asked{}, never)
		if beside := err == nil; beside != known {
			t.Errorf("%d: expected the next ones to go side by side: %v, found %v", status, known, err)
		}
		permit.done(0)
	}
}
