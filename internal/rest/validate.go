package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/check"
)

// changeTimeout bounds a check or a change, as in Kafka Connect.
const changeTimeout = 90 * time.Second

// maxValidations bounds concurrent checks: one of thousands of settings takes seconds and a plugin instance.
const maxValidations = 4

// acquireCheck waits for a slot to check a configuration, which is released with the request.
func (req *request) acquireCheck(ctx context.Context) error {
	select {
	case req.validations <- struct{}{}:
		req.releases = append(req.releases, func() { <-req.validations })
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Invalid returns Kafka Connect's message for an invalid configuration, which clients know.
func Invalid(errors ...string) string {
	return fmt.Sprintf("Connector configuration is invalid and contains the following %d error(s):\n%s\nYou can also "+
		"find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
		len(errors), strings.Join(errors, "\n"))
}

// validate answers 200 with all errors in the body if the class is known.
func (req *request) validate() {
	var desired ConfigRequest
	if !req.readJSON(&desired) || !req.requireSettings(desired) {
		return
	}
	logon := req.queryValues("logon")
	if i := slices.IndexFunc(logon, func(value string) bool { return value != "check" }); i >= 0 {
		req.fail(http.StatusBadRequest, fmt.Sprintf("logon: expected check, found %q", logon[i]))
		return
	}
	ctx := req.timeoutContext()
	if err := req.acquireCheck(ctx); err != nil {
		req.failErr(err)
		return
	}
	v, err := req.worker.Validate(ctx, req.name(), desired.Settings, len(logon) > 0)
	if err != nil {
		req.failErr(err)
		return
	}
	if len(logon) == 0 { // fields that Kafka Connect does not have
		v.Logon = ""
		v.User = ""
	}
	if !req.queryBool("allowed") { // Kafka Connect does not have this field either
		for i := range v.Configs {
			v.Configs[i].Value.AllowedValues = nil
		}
	}
	for _, name := range slices.Sorted(slices.Values(desired.Null)) {
		v.AddError(name, NullValue)
	}
	req.answer(http.StatusOK, v)
}

func (req *request) definitions() {
	var version *string
	if versions := req.queryValues("version"); versions != nil {
		version = &versions[0]
	}
	definitions, err := req.worker.Definitions(req.r.Context(), req.name(), version)
	var versionErr *check.ErrVersion
	switch {
	case errors.Is(err, check.ErrUnknownPlugin):
		req.fail(http.StatusNotFound, "Unknown plugin "+req.name()+".")
	case errors.As(err, &versionErr):
		req.fail(http.StatusBadRequest, versionErr.Error())
	default:
		req.reply(definitions, err)
	}
}
