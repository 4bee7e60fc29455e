package service

import (
	"errors"
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// Explain puts in front of the refusal of a service who was refused, and what can be done about it.
func Explain(c *transport.Client, err error) error {
	if !IsUnauthorized(err) {
		return err
	}
	var known *lockouts.LockedOut
	if errors.As(err, &known) { // nothing was sent
		step := strings.TrimSuffix(strings.TrimSuffix(err.Error(), known.Why), ": ")
		if step == "" || step == err.Error() {
			return err
		}
		return &causeFirst{fmt.Sprintf("%s (in %s)", known.Why, step), err}
	}
	if why := c.Refusal(); why != "" {
		return fmt.Errorf("%s; %w", why, err)
	}
	return err
}

// causeFirst is an error whose text begins with the cause that it holds.
type causeFirst struct {
	text  string
	cause error
}

func (c *causeFirst) Error() string { return c.text }
func (c *causeFirst) Unwrap() error { return c.cause }

// IsUnauthorized tells whether the service did not take who asked.
func IsUnauthorized(err error) bool {
	var fault *wit.Error
	return errors.As(err, &fault) && fault.Kind == wit.ErrorUnauthorized
}

// IsConfigError tells whether settings are why a task failed.
func IsConfigError(err error) bool {
	var fault *wit.Error
	return errors.As(err, &fault) && (fault.Kind == wit.ErrorUnauthorized || fault.Kind == wit.ErrorConfig)
}
