package plugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/wit"
)

// Trap is a call that ended badly: the guest trapped, ended itself, broke the contract or a fence. Its instance is
// thrown away. What a plugin says itself about its input or its service is a [wit.Fault] instead.
type Trap struct {
	Plugin, Version string
	// Connector for which the instance worked, "" for the host's own calls.
	Connector string
	// Function is the contract's name for what was called: `decode`.
	Function string
	// Reason is wazero's error with the guest's stack, or a violation of the contract.
	Reason error
	// Output is what the guest wrote to stdout and stderr during the call, up to 16 KiB: a panic's text stands here.
	Output string
	// Limit is the limit that was probably hit, as in the settings: `call.ms`; "" for any other reason.
	Limit string
	// Hint says which limit was probably hit and how it is changed, "" if there is nothing to say.
	Hint string
}

// Broke is in a word what was broken: a limit as in the settings, else the reason's first line.
func (t *Trap) Broke() string {
	if t.Limit != "" {
		return t.Limit
	}
	reason, _, _ := strings.Cut(t.reason(), "\n")
	return reason
}

// Error names the plugin, the function, the reason and a limit's setting in the first line; what the guest wrote and
// its stack follow.
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
		// A line of the guest's begins with a tab, so that it passes for none of the log.
		b.WriteString(": " + strings.ReplaceAll(shown.Text(head(output)), "\n", "\n\t"))
	}
	if stack != "" {
		b.WriteString("\n" + shown.Text(head(stack)))
	}
	return b.String()
}

// readable makes what a plugin says of a fault fit for logs, terminals and statuses: the message is one line, so that
// it passes for none of theirs.
func readable(f *wit.Error) {
	f.Message = shown.Line(f.Message)
	if f.Setting != nil {
		f.Setting = wit.Ptr(shown.Within(*f.Setting, maxNameBytes))
	}
	if f.Code != nil {
		f.Code = wit.Ptr(shown.Within(*f.Code, maxNameBytes))
	}
	if f.Detail != nil {
		f.Detail = wit.Ptr(shown.Text(*f.Detail))
	}
}

// head is the first lines of a text: traces of deep recursion have thousands.
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

// isA reports whether an error is of a kind, or wraps one that is.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
