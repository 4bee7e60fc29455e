package service

import (
	"errors"
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// The error of a request that was not sent because its secret was rejected before contains that rejection, with the
// next step at its end, and its kind stays unauthorized. Other errors are unchanged.
func TestLockoutNamesFirstRejection(t *testing.T) {
	locked := &lockouts.LockedOut{Why: "the password of user \"U\" was refused"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{locked, locked.Why},
		{fmt.Errorf("GET /x/$metadata: %w", locked), locked.Why + " (in GET /x/$metadata)"},
	} {
		err := Explain(nil, c.err)
		if err.Error() != c.want || !IsUnauthorized(err) || !errors.Is(err, c.err) {
			t.Errorf("expected %q, found %q, unauthorized %v", c.want, err, IsUnauthorized(err))
		}
	}
	result := &wit.Error{Kind: wit.ErrorNotFound, Message: "no such set"}
	if err := Explain(nil, result); err != error(result) {
		t.Errorf("expected the fault as it is, found %v", err)
	}
}
