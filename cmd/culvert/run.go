package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/shown"
)

// installation has the flags of commands that read configurations.
type installation struct {
	plugins   string
	data      string
	folder    string
	logLevel  string
	logFormat string
	set       []string
}

// flags declares the flags; logLevel is the default of --log-level.
func (in *installation) flags(c *cobra.Command, logLevel string) {
	dataFlag(c, &in.data)
	c.Flags().StringVar(&in.plugins, "plugins", "",
		"`folder` with .wasm plugins, in addition to the built-in ones and plugin.path")
	in.logFlags(c, logLevel)
	c.Flags().StringArrayVar(&in.set, "set", nil, "a setting of the worker, as `name=value`, which overrides its file")
}

func (in *installation) logFlags(c *cobra.Command, level string) {
	c.Flags().StringVar(&in.logLevel, "log-level", level, "debug, info, warn or error")
	c.Flags().StringVar(&in.logFormat, "log-format", logText,
		"text; text+location, which adds the place in the program (ohja.location); or json, one object per line, "+
			"with the place")
}

const (
	logText        = "text"
	logLocatedText = "text+location"
	logJSON        = "json"
)

// logger returns a logger as the flags declare it, which also receives the log of libraries.
func (in *installation) logger(stderr io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(in.logLevel)); err != nil {
		return nil, asUsageError(fmt.Errorf("--log-level: expected debug, info, warn or error, found %q", in.logLevel))
	}
	var handler slog.Handler
	switch in.logFormat {
	case logText:
		handler = slog.NewTextHandler(stderr, logging.HandlerOptions())
	case logLocatedText:
		handler = slog.NewTextHandler(stderr, logging.LocatedHandlerOptions())
	case logJSON:
		handler = slog.NewJSONHandler(shown.Writer{To: stderr}, logging.LocatedHandlerOptions())
	default:
		return nil, asUsageError(fmt.Errorf("--log-format: expected text, text+location or json, found %q",
			in.logFormat))
	}
	log := logging.New(handler, level)
	captureLibraryLogs(log)
	return log, nil
}

func (in *installation) settings() (map[string]string, error) {
	settings := map[string]string{}
	for i, s := range in.set {
		name, value, ok := strings.Cut(s, "=")
		if !ok { // the text is not printed: it may contain a password
			return nil, asUsageError(fmt.Errorf("--set number %d: expected name=value, found no =", i+1))
		}
		settings[name] = value
	}
	return settings, nil
}

func (in *installation) worker(file string) (*config.Worker, error) {
	settings, err := in.settings()
	if err != nil {
		return nil, err
	}
	return loadWorker(file, settings)
}

func loadWorker(file string, settings map[string]string) (*config.Worker, error) {
	w, problems, err := config.LoadWorker(file, os.Environ(), settings)
	return w, asUsageError(cmp.Or(err, problems.Err()))
}

func (in *installation) config(files config.Files, stderr io.Writer) (host.Config, error) {
	log, err := in.logger(stderr)
	if err != nil {
		return host.Config{}, err
	}
	settings, err := in.settings()
	if err != nil {
		return host.Config{}, err
	}
	c := host.Config{Files: files, Data: in.data, Embedded: builtInPlugins(), Environ: os.Environ(), Settings: settings,
		Logger: log}
	if in.plugins != "" {
		c.Plugins = []string{in.plugins}
	}
	return c, nil
}

func (in *installation) files(args []string) (config.Files, error) {
	switch {
	case in.folder != "" && len(args) > 0:
		return config.Files{}, asUsageError(errors.New("expected either --config or files, found both"))
	case in.folder != "":
		files, err := host.ListFolder(in.folder)
		return files, asUsageError(err)
	}
	files, err := config.ParseArguments(args)
	return files, asUsageError(err)
}

// read returns the host's configuration for the --config folder or the files named as arguments. If both are missing,
// the error is expected, unless it is "".
func (in *installation) read(args []string, expected string, stderr io.Writer) (host.Config, error) {
	files, err := in.files(args)
	switch {
	case err != nil:
		return host.Config{}, err
	case expected != "" && in.folder == "" && len(args) == 0:
		return host.Config{}, asUsageError(errors.New(expected))
	}
	return in.config(files, stderr)
}

func (in *installation) folderFlag(c *cobra.Command) {
	c.Flags().StringVar(&in.folder, "config", "", "`folder` with the worker's file and the connectors'")
}

// asSetupError sets the exit code of wrong use for a [host.SetupError], which occurs before anything runs. Other errors
// are returned unchanged.
func asSetupError(err error) error {
	var setup *host.SetupError
	if errors.As(err, &setup) {
		return asUsageError(err)
	}
	return err
}

func newRun() *cobra.Command {
	var in installation
	var once, showProgress, resumeLogons bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "run [--config DIR | worker-file connector-files…]",
		Short: "Run a worker with its connectors",
		Long: `Run a worker with its connectors, until it is stopped by SIGTERM or Ctrl-C: then records in flight are acknowledged and
offsets are stored, within task.shutdown.graceful.timeout.ms. See culvert reference guide/worker.

In a --config folder worker.properties or worker.yaml is the worker's file, every other .properties, .json, .yaml or
.yml file a connector's. The folder is watched, and an invalid file stops only its own connector. Files named as
arguments work as in Kafka's connect-standalone: the worker's first, which is optional, and all connectors run or none.

With --once every source reads until it has caught up, then every sink delivers what its topics contain at that time. A
failed task does not stop the others. After --timeout everything stops as by SIGTERM: offsets are stored, and the next
run continues. Exit code: 1 for a failed task or --timeout, 2 for an invalid file.

A password that a service has refused is not sent again until it is changed: see culvert connectors lockouts resume.`,
		Example: `  culvert run --config /etc/culvert
  culvert run worker.properties orders.properties products.json
  culvert run --once --progress orders.properties`,
		RunE: func(c *cobra.Command, args []string) error {
			if in.folder == "" && len(args) == 0 {
				return asUsageError(errors.New("expected --config DIR or files of connectors; see culvert run --help"))
			}
			hostConfig, err := in.read(args, "", c.ErrOrStderr())
			if err != nil {
				return err
			}
			hostConfig.Once = once
			hostConfig.ResumeLogons = resumeLogons
			ctx := c.Context()
			if c.Flags().Changed("timeout") {
				switch {
				case !once:
					return asUsageError(errors.New("--timeout: expected --once as well"))
				case timeout <= 0:
					return asUsageError(fmt.Errorf("--timeout: expected a time such as 30m, found %v", timeout))
				}
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			err = run(ctx, &in, hostConfig, showProgress, c.ErrOrStderr())
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				err = asFailure(errors.Join(err, fmt.Errorf("not done within %v: offsets are stored, and the next run "+
					"continues", timeout)))
			}
			return err
		},
	}
	in.flags(c, "info")
	in.folderFlag(c)
	c.Flags().BoolVar(&once, "once", false, "stop when all existing data was delivered")
	c.Flags().DurationVar(&timeout, "timeout", 0, "`time` after which a run with --once fails if it is not done")
	c.Flags().BoolVar(&showProgress, "progress", false, "show what each connector is doing")
	c.Flags().BoolVar(&resumeLogons, "resume-logons", false,
		"retry passwords that a service has refused, after its user was unlocked")
	return c
}

func run(ctx context.Context, in *installation, hostConfig host.Config, showProgress bool, stderr io.Writer,
) (err error) {
	var progressDisplay *display
	if showProgress {
		progressDisplay = &display{out: stderr}
		if hostConfig.Logger, err = in.logger(progressDisplay); err != nil {
			return err
		}
	}
	var hangUps chan os.Signal
	if in.folder != "" && !hostConfig.Once {
		hangUps = make(chan os.Signal, 1)
		signal.Notify(hangUps, syscall.SIGHUP) // while it starts, too, since a SIGHUP ends the process otherwise
	}
	h, err := host.New(ctx, hostConfig)
	if err != nil && ctx.Err() != nil {
		return nil // stopped before anything ran
	}
	if err != nil {
		return asUsageError(err)
	}
	defer h.Close()
	if progressDisplay != nil {
		defer progressDisplay.follow(h.Progress)()
	}
	if hangUps != nil {
		defer onHangUp(hangUps, h.Reload, hostConfig.Logger)()
	}
	return asSetupError(asFailure(h.Run(ctx)))
}

// onHangUp starts a goroutine that calls reload for each signal until stop is called.
func onHangUp(signals chan os.Signal, reload func(), log *slog.Logger) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer guard.Recover(log, "reloading on SIGHUP", nil)
		for {
			select {
			case <-signals:
				reload()
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}
