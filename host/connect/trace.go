package connect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/wit"
)

// trace is an error as tools expect it in a status: like a Java stack trace, `class: message` and lines that begin with
// a tab and `at`.
func trace(err error, at ...string) string {
	var b strings.Builder
	first, rest, _ := strings.Cut(shown.Text(err.Error()), "\n")
	fmt.Fprintf(&b, "%s: %s\n", errorClass(err), first)
	for _, line := range at {
		fmt.Fprintf(&b, "\tat %s\n", line)
	}
	var fault *wit.Fault
	if errors.As(err, &fault) && fault.Detail != nil {
		rest = *fault.Detail + "\n" + rest
	}
	for _, line := range strings.Split(rest, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(&b, "\tat %s\n", line)
		}
	}
	return b.String()
}

// errorClass is the class of Kafka's that says most nearly what went wrong.
func errorClass(err error) string {
	var trap *plugin.Trap
	var fault *wit.Fault
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		return "org.apache.kafka.common.config.ConfigException"
	case errors.As(err, &trap):
		return "org.apache.kafka.connect.errors.ConnectException"
	case !errors.As(err, &fault):
		return "org.apache.kafka.connect.errors.ConnectException"
	}
	switch fault.Kind {
	case wit.FaultConfig:
		return "org.apache.kafka.common.config.ConfigException"
	case wit.FaultData:
		return "org.apache.kafka.connect.errors.DataException"
	case wit.FaultTransient:
		return "org.apache.kafka.connect.errors.RetriableException"
	case wit.FaultUnauthorized:
		return "org.apache.kafka.common.errors.AuthenticationException"
	case wit.FaultForbidden:
		return "org.apache.kafka.common.errors.AuthorizationException"
	case wit.FaultNotFound:
		return "org.apache.kafka.connect.errors.NotFoundException"
	}
	return "org.apache.kafka.connect.errors.ConnectException"
}
