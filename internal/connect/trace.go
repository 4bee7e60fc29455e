package connect

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
)

// trace formats an error as a Java stack trace for tools that parse its first line. frame names the connector or task.
func trace(err error, frame string) string {
	var b strings.Builder
	first, remaining, _ := strings.Cut(shown.Text(err.Error()), "\n")
	fmt.Fprintf(&b, "%s: %s\n\tat %s\n", errorClass(err), first, frame)
	var witError *wit.Error
	if errors.As(err, &witError) && witError.Detail != nil {
		remaining = *witError.Detail + "\n" + remaining
	}
	for _, line := range strings.Split(remaining, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(&b, "\tat %s\n", line)
		}
	}
	return b.String()
}

// errorClass returns the Java class of an error.
func errorClass(err error) string {
	const defaultClass = "org.apache.kafka.connect.errors.ConnectException"
	var trap *plugin.Trap
	var witError *wit.Error
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		return errorClasses[wit.ErrorConfig]
	case errors.As(err, &trap) || !errors.As(err, &witError):
		return defaultClass
	}
	return cmp.Or(errorClasses[witError.Kind], defaultClass)
}

var errorClasses = map[wit.ErrorKind]string{
	wit.ErrorConfig:       "org.apache.kafka.common.config.ConfigException",
	wit.ErrorData:         "org.apache.kafka.connect.errors.DataException",
	wit.ErrorTransient:    "org.apache.kafka.connect.errors.RetriableException",
	wit.ErrorUnauthorized: "org.apache.kafka.common.errors.AuthenticationException",
	wit.ErrorForbidden:    "org.apache.kafka.common.errors.AuthorizationException",
	wit.ErrorNotFound:     "org.apache.kafka.connect.errors.NotFoundException",
}
