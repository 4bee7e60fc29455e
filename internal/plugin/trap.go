package plugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
)

// Trap is the error of a call that trapped, exited, broke the contract or exceeded a limit. Its instance is
// discarded. Errors that the plugin reports are a [wit.Fault].
type Trap struct {
	Plugin, Version string
	// Connector is "" for the host's own calls.
	Connector string
	// Function is the contract's name: `decode`.
	Function string
	// Reason is wazero's error with the guest's stack, or a violation of the contract.
	Reason error
	// Output is stdout and stderr of the call, up to 16 KiB, such as a panic's text.
	Output string
	// Limit is the exceeded limit: `call.ms`; "" for other reasons.
	Limit string
	// Hint says how to change the limit, "" for none.
	Hint string
}

// Cause returns the limit or the first line of the reason.
func (t *Trap) Cause() string {
	if t.Limit != "" {
		return t.Limit
	}
	reason, _, _ := strings.Cut(t.reason(), "\n")
	return reason
}

// Error names plugin, function, reason and limit in the first line; output and stack follow.
func (t *Trap) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plugin %s %s", shown.Line(t.Plugin), shown.Line(t.Version))
	if t.Connector != "" {
		fmt.Fprintf(&b, " (connector %s)", shown.Line(t.Connector))
	}
	reason, stack, _ := strings.Cut(t.reason(), "\n")
	fmt.Fprintf(&b, ": %s: %s", t.Function, reason)
	if t.Hint != "" {
		b.WriteString("; " + t.Hint)
	}
	if output := strings.TrimSpace(t.Output); output != "" {
		// Guest lines begin with a tab, so that they cannot be mistaken for log lines.
		b.WriteString(": " + strings.ReplaceAll(shown.Text(head(output)), "\n", "\n\t"))
	}
	if stack != "" {
		b.WriteString("\n" + shown.Text(head(stack)))
	}
	return b.String()
}

// readable makes a fault safe for logs and terminals; the message becomes one line.
func readable(f *wit.Error) {
	f.Message = shown.Line(f.Message)
	if f.Setting != nil {
		f.Setting = wit.Ptr(shown.LineUpTo(*f.Setting, maxNameBytes))
	}
	if f.Code != nil {
		f.Code = wit.Ptr(shown.LineUpTo(*f.Code, maxNameBytes))
	}
	if f.Detail != nil {
		f.Detail = wit.Ptr(shown.Text(*f.Detail))
	}
}

func head(s string) string {
	const lines, size = 16, 2000
	short := s[:min(len(s), size)]
	if parts := strings.SplitN(short, "\n", lines+1); len(parts) > lines {
		short = strings.Join(parts[:lines], "\n")
	}
	if len(short) == len(s) {
		return s
	}
	return strings.ToValidUTF8(short, "") + fmt.Sprintf("\n... (%d bytes more)", len(s)-len(short))
}

func (t *Trap) reason() string {
	if exit, ok := errors.AsType[*sys.ExitError](t.Reason); ok {
		return fmt.Sprintf("the guest ended itself with exit code %d", exit.ExitCode())
	}
	return t.Reason.Error()
}

// Unwrap returns the reason.
func (t *Trap) Unwrap() error { return t.Reason }

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
