package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/check"
)

// changeTimeout is how long a check or a change may take, as in Kafka Connect.
const changeTimeout = 90 * time.Second

// maxValidations is how many configurations are checked at a time: one of thousands of settings takes seconds and a
// plugin's memory, and others wait for their turn as long as their clients do.
const maxValidations = 4

// turn waits until the request may check a configuration, which it may until it is answered. The error is ctx's end.
func (x *exchange) turn(ctx context.Context) error {
	select {
	case x.validations <- struct{}{}:
		x.releases = append(x.releases, func() { <-x.validations })
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Invalid is the text that clients know for a configuration that is refused.
func Invalid(errors ...string) string {
	return fmt.Sprintf("Connector configuration is invalid and contains the following %d error(s):\n%s\nYou can also "+
		"find the above list of errors at "+
		"the endpoint `/connector-plugins/{connectorType}/config/validate`", len(errors), strings.Join(errors, "\n"))
}

// validate answers 200 with all errors inside, as soon as the class is known.
func (x *exchange) validate() {
	var given Given
	if !x.body(&given) || !x.whole(given) {
		return
	}
	logon := x.asked("logon")
	if i := slices.IndexFunc(logon, func(value string) bool { return value != "check" }); i >= 0 {
		x.fail(http.StatusBadRequest, fmt.Sprintf("logon: expected check, found %q", logon[i]))
		return
	}
	ctx := x.limited()
	if err := x.turn(ctx); err != nil {
		x.failed(err)
		return
	}
	v, err := x.worker.Validate(ctx, x.name(), given.Settings, len(logon) > 0)
	if err != nil {
		x.failed(err)
		return
	}
	for _, name := range slices.Sorted(slices.Values(given.Null)) {
		v.Refuse(name, NullValue)
	}
	x.answer(http.StatusOK, v)
}

// definitions answers with what a class declares, in the version that the request names.
func (x *exchange) definitions() {
	var version *string
	if given := x.asked("version"); given != nil {
		version = &given[0]
	}
	definitions, err := x.worker.Definitions(x.r.Context(), x.name(), version)
	var other *check.ErrVersion
	switch {
	case errors.Is(err, check.ErrUnknownPlugin):
		x.fail(http.StatusNotFound, "Unknown plugin "+x.name()+".")
	case errors.As(err, &other):
		x.fail(http.StatusBadRequest, other.Error())
	default:
		x.reply(definitions, err)
	}
}
