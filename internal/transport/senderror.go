package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// sendError is the error of a request without an answer.
type sendError struct {
	mayHaveArrived bool // a part of the request
	cause          error
}

func (s *sendError) Error() string { return s.cause.Error() }

// explainFailure returns the error of a request without an answer, of which a part may have arrived. The error is a
// *sendError if another attempt may help, or if the request may have been processed and must not be repeated.
func (d *destination) explainFailure(ctx context.Context, timeout *readTimeout, e *exchange, mayHaveArrived bool,
	err error) error {
	if cause := context.Cause(timeout.ctx); errors.Is(cause, errSendCheckExpired) {
		return cause
	}
	if ctx.Err() != nil {
		if mayHaveArrived && !e.repeatable {
			return &sendError{mayHaveArrived: true, cause: context.Cause(ctx)}
		}
		return context.Cause(ctx)
	}
	if f := d.tlsError(err); f != nil {
		if mayHaveArrived && !e.repeatable && keystore.IsRenegotiation(err) {
			return &sendError{mayHaveArrived: true, cause: f} // the server may have processed it
		}
		return f
	}
	var permanent interface{ Permanent() bool }
	if errors.As(err, &permanent) && permanent.Permanent() && !mayHaveArrived {
		return errorf(wit.ErrorConfig, "%s: %v", d.origin, err)
	}
	if f, ok := errors.AsType[*btp.Failure](err); ok && !f.Temporary() && !mayHaveArrived {
		kind := wit.ErrorConfig
		if f.Kind == btp.Unauthorized { // the route's token service refuses until a setting changes
			kind = wit.ErrorUnauthorized
		}
		return errorf(kind, "%s: %v", d.origin, err)
	}
	if cause := context.Cause(timeout.ctx); cause != nil {
		err = cause
	}
	return &sendError{mayHaveArrived: mayHaveArrived, cause: err}
}

// tlsError returns an error that names the setting to correct. It returns nil if no setting can correct err.
func (d *destination) tlsError(err error) error {
	if keystore.ClassOf(err) == keystore.NotTLS && !errors.Is(err, http.ErrSchemeMismatch) {
		return nil // another server may be replacing the service temporarily
	}
	if explain := d.config.explain; explain != nil {
		if e, ok := errors.AsType[*keystore.Error](explain(err)); ok {
			f := errorf(wit.ErrorConfig, "%s: %s", d.origin, e.Text)
			if !strings.HasPrefix(e.Setting, role.TLS) { // it is the user's name of a setting
				f.Message = fmt.Sprintf("%s: %s: %s", d.origin, e.Setting, e.Text)
				f.Setting = &e.Setting
			}
			return f
		}
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errorf(wit.ErrorConfig, "%s: the certificate is not trusted: %v", d.origin, untrusted.Err)
	}
	return nil
}

// settingsHint names the settings to check, in brackets, if the address seems wrong; "" if a proxy may be the cause.
func (d *destination) settingsHint(err error) string {
	names := d.config.names
	settings := []string{names.address, names.port}
	hint := "see "
	opError, _ := errors.AsType[*net.OpError](err)
	_, isUnknownHost := errors.AsType[*net.DNSError](err)
	switch {
	case d.config.Route.resolved != nil && !slices.Contains([]string{route.Unset, route.None},
		d.config.Route.resolved.Type()):
		return ""
	case isNotTLS(err):
		settings = []string{names.scheme, names.port}
		hint = "this port does not use TLS: see "
	case isUnknownHost:
		settings = []string{names.address}
	case opError == nil || opError.Op != "dial":
		return ""
	}
	if names.destination != "" {
		settings = []string{names.destination}
	}
	settings = slices.DeleteFunc(settings, func(name string) bool { return name == "" })
	if len(settings) == 0 {
		return ""
	}
	return " (" + hint + strings.Join(settings, ", ") + ")"
}
