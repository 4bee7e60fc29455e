package service

import (
	"errors"
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// Explain adds to an Unauthorized error which logon was refused and what to do.
func Explain(c *transport.Client, err error) error {
	if !IsUnauthorized(err) {
		return err
	}
	var lockout *lockouts.LockedOut
	if errors.As(err, &lockout) { // no request was sent; the text of err is STEP: WHY
		step := strings.TrimSuffix(strings.TrimSuffix(err.Error(), lockout.Why), ": ")
		if step == "" || step == err.Error() { // there is no step, or WHY is not at the end
			return err
		}
		return &causeFirst{text: fmt.Sprintf("%s (in %s)", lockout.Why, step), cause: err}
	}
	if why := c.Refusal(); why != "" {
		// The refusal is printed first, but errors.As finds err first, which may name a setting.
		return fmt.Errorf("%[2]w; %[1]w", err, &lockouts.LockedOut{Why: why})
	}
	return err
}

// causeFirst is an error whose text begins with the cause.
type causeFirst struct {
	text  string
	cause error
}

func (c *causeFirst) Error() string { return c.text }
func (c *causeFirst) Unwrap() error { return c.cause }

// IsUnauthorized reports whether the service rejected the credentials.
func IsUnauthorized(err error) bool {
	var fault *wit.Error
	return errors.As(err, &fault) && fault.Kind == wit.ErrorUnauthorized
}

// IsConfigError reports whether a task failed because of settings or credentials.
func IsConfigError(err error) bool {
	var fault *wit.Error
	return errors.As(err, &fault) && (fault.Kind == wit.ErrorUnauthorized || fault.Kind == wit.ErrorConfig)
}
