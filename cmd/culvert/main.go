// Command culvert moves data between OData services and Apache Kafka.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/shown"
)

// Exit codes.
const (
	exitDone      = 0
	exitFailed    = 1   // a check or a task failed
	exitWrong     = 2   // wrong use or configuration
	exitInterrupt = 130 // a second signal
)

// version is set by the build to the output of git describe: -ldflags "-X main.version=1.2.3".
var version string

func main() {
	buildinfo.Release = version
	ctx, stop := signalContext()
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// signalContext returns a context that the first SIGINT or SIGTERM ends. The second ends the process.
func signalContext() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "shutting down; press Ctrl-C again to exit immediately")
		cancel()
		<-signals
		os.Exit(exitInterrupt)
	}()
	return ctx, cancel
}

type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func asFailure(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitFailed, err: err}
}

func asUsageError(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitWrong, err: err}
}

// execute runs a command line and returns its exit code. An error without an exit code is cobra's: wrong use.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	captureLibraryLogs(logger)
	err := guard.Do(logger, "culvert", func() error {
		root := newRoot(ctx, args)
		root.SetArgs(args)
		root.SetOut(stdout)
		root.SetErr(stderr)
		return root.ExecuteContext(ctx)
	})
	if err == nil {
		return exitDone
	}
	if message := err.Error(); message != "" {
		fmt.Fprintln(shown.Writer{To: stderr}, message)
	}
	if crash := new(guard.PanicError); errors.As(err, &crash) {
		return exitFailed
	}
	var f *exitError
	if errors.As(err, &f) {
		return f.code
	}
	return exitWrong
}

func captureLibraryLogs(to *slog.Logger) {
	slog.SetDefault(to) // before SetOutput, since it sets the output of package log too
	log.SetFlags(0)
	log.SetOutput(libraryLogWriter{to: to})
}

// libraryLogWriter receives the lines of package log. net/http logs unexpected responses with their cookies, so nothing
// after a quoted line break is shown.
type libraryLogWriter struct{ to *slog.Logger }

// Write logs the first line of p.
func (l libraryLogWriter) Write(p []byte) (int, error) {
	line, _, _ := strings.Cut(strings.TrimSpace(string(p)), "\n")
	line, _, _ = strings.Cut(line, `\r`)
	line, _, _ = strings.Cut(line, `\n`)
	l.to.Debug("library: " + shown.LineUpTo(line, 300))
	return len(p), nil
}

func newRoot(ctx context.Context, args []string) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:   "culvert",
		Short: "Move data between OData services and Apache Kafka",
		Long: `Culvert moves data between SAP OData v2 and v4 services and Apache Kafka, in both directions. It runs Kafka
Connect's connector files unchanged; sandboxed plugins implement the protocols of services.

Results go to stdout, everything else to stderr. Exit code: 0 done, or stopped by SIGTERM or Ctrl-C; 1 a check failed,
or a task with --once; 2 wrong use or configuration; 130 exited immediately on a second signal.

Plugins of connectors add commands, culvert COMMAND -p FILE; the list below has the built-in plugins' commands. See
culvert reference guide/commands.`,
		Example: `  culvert run --once orders.properties   # move the existing data, with an embedded broker
  culvert consume Orders                  # read it
  culvert run --config /etc/culvert       # a worker, until it is stopped`,
		RunE: func(c *cobra.Command, _ []string) error {
			if showVersion {
				return printVersion(c, output{})
			}
			return c.Help()
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.Flags().BoolVar(&showVersion, "version", false, "print the version")
	root.AddCommand(newRun(), newConsume(), newProduce(), newTopics(), newValidate(), newDiff(), newInit(),
		newPlugins(), newBroker(), newDoctor(), newTest(), newTunnel(), newReference(), newOffsets(), newDLQ(),
		newConnectors(), newStatus(), newCluster(), newDrain(), newVersion())
	addTools(root, args)
	root.SetFlagErrorFunc(flagError)
	root.InitDefaultCompletionCmd()
	finish(root)
	return root
}

func dataFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "data", "culvert-data", "`folder` of the embedded broker and of caches")
}
