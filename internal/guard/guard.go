// Package guard limits the damage of panics: each is returned as the error of the task, request or command in which it
// happened. But a panic while a lock of shared state is held ends the process, since the state may be inconsistent.
package guard

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
)

// PanicError is the error of a recovered panic.
type PanicError struct {
	Operation string // the text that was passed to [Recover]
	Value     any    // the panic's value
	Stack     []byte
}

func (p *PanicError) Error() string {
	return fmt.Sprintf("%s: an internal error of culvert, whose log has the stack: panic: %v", p.Operation, p.Value)
}

// Recover recovers a panic as a [*PanicError]: it logs the panic, sets *err unless err is nil, and calls the handlers.
// Call it with defer. A nil log means the default logger.
func Recover(log *slog.Logger, operation string, err *error, handlers ...func(*PanicError)) {
	value := recover()
	if value == nil {
		return
	}
	p := &PanicError{Operation: operation, Value: value, Stack: debug.Stack()}
	if log == nil {
		log = slog.Default()
	}
	log.Error("an internal error of culvert: the failed operation ends, everything else continues. Please report it "+
		"with this stack", "in", operation, "panic", fmt.Sprint(value), "stack", string(p.Stack))
	if err != nil {
		*err = p
	}
	for _, handle := range handlers {
		handle(p)
	}
	exitIfLocksStuck()
}

// Do calls f and returns its error, or its panic as an error.
func Do(log *slog.Logger, operation string, f func() error) (err error) {
	defer Recover(log, operation, &err)
	return f()
}

// Vital is deferred in goroutines that all tasks depend on: a panic ends the process.
func Vital(operation string) {
	if value := recover(); value != nil {
		exitAfterPanic(operation, value)
	}
}

// exit ends the process; tests replace it.
var exit = func() { os.Exit(2) }

func exitAfterPanic(operation string, value any) {
	fmt.Fprintf(os.Stderr, "culvert ends on purpose: a panic in %s may have left state that several tasks share "+
		"inconsistent: %v\n%s\n", operation, value, debug.Stack())
	exit()
}
