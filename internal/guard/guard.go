// Package guard keeps a mistake of the host's from ending more than it was made in: a panic becomes the fault of the
// task, request or command that it happened in, with its stack in the log. State that several tasks share may be half
// changed by then. So a panic while one of its locks is held ends the process, on purpose, and what restarts the worker
// finds everything as the brokers know it.
package guard

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
)

// Panic is the error that a panic becomes.
type Panic struct {
	// Operation was being done, Value what the panic said, Stack where it happened.
	Operation string
	Value     any
	Stack     []byte
}

func (p *Panic) Error() string {
	return fmt.Sprintf("%s: a mistake in culvert, which its log shows with a stack: panic: %v", p.Operation, p.Value)
}

// Recover ends a panic. It is deferred where a goroutine begins, and in whatever may fail alone; err, unless nil, gets
// a [*Panic]. More is called after that, to let others know.
func Recover(log *slog.Logger, operation string, err *error, handlers ...func(*Panic)) {
	value := recover()
	if value == nil {
		return
	}
	p := &Panic{operation, value, debug.Stack()}
	if log == nil {
		log = slog.Default()
	}
	log.Error("a mistake in culvert: what it was made in ends, everything else goes on. Please report it, with this "+
		"stack", "in", operation,
		"panic", fmt.Sprint(value), "stack", string(p.Stack))
	if err != nil {
		*err = p
	}
	for _, f := range handlers {
		f(p)
	}
	exitIfLocksStuck()
}

// Do calls f and makes an error of its panic.
func Do(log *slog.Logger, operation string, f func() error) (err error) {
	defer Recover(log, operation, &err)
	return f()
}

// Vital is deferred in goroutines whose work all tasks need: it says what happened and ends the process.
func Vital(operation string) {
	if value := recover(); value != nil {
		exitAfterPanic(operation, value)
	}
}

// exit ends the process; tests put something else there.
var exit = func() { os.Exit(2) }

// exitAfterPanic says why the process ends, and ends it.
func exitAfterPanic(why string, value any) {
	fmt.Fprintf(os.Stderr, "culvert ends on purpose: a panic in %s, so that nothing that several tasks share can be "+
		"trusted any more: %v\n%s\n",
		why, value, debug.Stack())
	exit()
}
