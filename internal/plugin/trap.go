package plugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
)

// Trap is the error of a call that trapped, exited, broke the contract or exceeded a limit. Its instance is discarded.
// Errors that the plugin reports are [*wit.Error].
type Trap struct {
	Plugin    string
	Version   string
	Connector string // "" for the host's own calls
	Function  string // the contract's name: `decode`
	Reason    error  // wazero's error with the guest's stack, or a violation of the contract
	Output    string // stdout and stderr of the call, up to 16 KiB, such as a panic's text
	Limit     string // the exceeded limit: `call.ms`; "" for other reasons
	Hint      string // how to change the limit, "" for none
}

// maxPanicChars bounds the text of a panic in [Trap.Cause].
const maxPanicChars = 200

// Cause returns the limit or the first line of the reason, with the text of a panic, in one line.
func (t *Trap) Cause() string {
	if t.Limit != "" {
		return t.Limit
	}
	reason, _, _ := strings.Cut(t.reason(), "\n")
	// In Go the text of a panic ends before the stack, which follows an empty line. Of other output the
	// first paragraph counts.
	output := strings.TrimSpace(t.Output)
	if start := strings.Index(output, "panic: "); start >= 0 {
		output = output[start:]
	}
	message, _, _ := strings.Cut(output, "\n\n")
	if message != "" {
		reason += ": " + shown.LineUpTo(message, maxPanicChars)
	}
	return reason
}

// Error names plugin, function, reason and limit in the first line; output and stack follow.
func (t *Trap) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "plugin %s %s", shown.Line(t.Plugin), shown.Line(t.Version))
	if t.Connector != "" {
		fmt.Fprintf(&text, " (connector %s)", shown.Line(t.Connector))
	}
	reason, stack, _ := strings.Cut(t.reason(), "\n")
	fmt.Fprintf(&text, ": %s: %s", t.Function, reason)
	if t.Hint != "" {
		text.WriteString("; " + t.Hint)
	}
	if output := strings.TrimSpace(t.Output); output != "" {
		// Guest lines begin with a tab, so that they cannot be mistaken for log lines.
		text.WriteString(": " + strings.ReplaceAll(shown.Text(firstLines(output)), "\n", "\n\t"))
	}
	if stack != "" {
		text.WriteString("\n" + shown.Text(firstLines(stack)))
	}
	return text.String()
}

// sanitize makes an error of a plugin safe for logs and terminals; the message becomes one line.
func sanitize(failure *wit.Error) {
	failure.Message = shown.Line(failure.Message)
	for _, name := range []*string{failure.Setting, failure.Code} {
		if name != nil {
			*name = shown.LineUpTo(*name, maxNameBytes)
		}
	}
	if failure.Detail != nil {
		*failure.Detail = shown.Text(*failure.Detail)
	}
}

func firstLines(output string) string {
	const lines, size = 16, 2000
	short := output[:min(len(output), size)]
	if parts := strings.SplitN(short, "\n", lines+1); len(parts) > lines {
		short = strings.Join(parts[:lines], "\n")
	}
	if len(short) == len(output) {
		return output
	}
	return strings.ToValidUTF8(short, "") + fmt.Sprintf("\n... (%d bytes more)", len(output)-len(short))
}

func (t *Trap) reason() string {
	if exit, ok := errors.AsType[*sys.ExitError](t.Reason); ok {
		return fmt.Sprintf("the guest exited with code %d", exit.ExitCode())
	}
	return t.Reason.Error()
}

// Unwrap returns the reason.
func (t *Trap) Unwrap() error { return t.Reason }

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
