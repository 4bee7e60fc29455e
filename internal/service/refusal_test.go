package service

import (
	"errors"
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// The error of a request that was not sent because its secret was rejected before contains that rejection, with the
// next step at its end, and its kind stays unauthorized. Other errors are unchanged.
func TestLockoutNamesFirstRejection(t *testing.T) {
	lockout := &lockouts.LockedOut{Why: "the password of user \"U\" was refused"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{err: lockout, want: lockout.Why},
		{err: fmt.Errorf("GET /x/$metadata: %w", lockout), want: lockout.Why + " (in GET /x/$metadata)"},
	} {
		err := Explain(nil, c.err)
		if err.Error() != c.want || !IsUnauthorized(err) || !errors.Is(err, c.err) {
			t.Errorf("expected %q, found %q, unauthorized %t", c.want, err, IsUnauthorized(err))
		}
	}
	notFound := &wit.Error{Kind: wit.ErrorNotFound, Message: "no such set"}
	err := Explain(nil, notFound)
	assert.True(t, err == error(notFound), "expected the unchanged error, found %v", err)
}
