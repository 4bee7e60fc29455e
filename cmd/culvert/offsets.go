package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
)

// offsetsTime is how long a worker may take to answer a call: a little more than it gives itself.
const offsetsTime = 100 * time.Second

func newOffsets() *cobra.Command {
	c := &cobra.Command{
		Use:   "offsets",
		Short: "Show, set, reset or take over where a connector goes on",
		Long: `Show, set or reset where a connector goes on: a source in its service, a sink in its topics. With --url a worker that runs is asked, be it
Culvert or Kafka Connect; offsets are changed there only while the connector is stopped (PUT /connectors/NAME/stop). Without --url the
files of the installation are named, as for culvert run, and no worker may be at work in its data folder; a worker that runs elsewhere
writes its own offsets over what is set here, so stop it first.`,
		Example: `  culvert offsets show orders --url http://127.0.0.1:8083
  culvert offsets show orders --config /etc/culvert > orders.json
  culvert offsets set orders orders.json --config /etc/culvert
  culvert offsets reset orders worker.properties orders.properties`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		newOffsetsCommand("show NAME [worker-file connector-files…]", "Print a connector's offsets as JSON",
			[]string{"NAME"}, func(c *cobra.Command, call caller, args []string) error {
				answer, err := call(http.MethodGet, nil)
				if err != nil {
					return err
				}
				var indented bytes.Buffer
				if err := json.Indent(&indented, answer, "", "  "); err != nil {
					return failed(fmt.Errorf("expected JSON, found %s: %w", shown.Within(string(answer), 200), err))
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), indented.String())
				return failed(err)
			}),
		newOffsetsCommand("set NAME FILE [worker-file connector-files…]",
			"Set offsets from JSON as show prints it; null deletes one, - reads from stdin", []string{"NAME", "FILE"},
			func(c *cobra.Command, call caller, args []string) error {
				body, err := readOffsets(c.InOrStdin(), args[1])
				if err == nil && !json.Valid(body) {
					err = fmt.Errorf("%s: expected JSON, as culvert offsets show prints it", inLine(args[1]))
				}
				if err != nil {
					return wrong(err)
				}
				return printed(c)(call(http.MethodPatch, body))
			}),
		newOffsetsCommand("reset NAME [worker-file connector-files…]",
			"Delete a connector's offsets: everything is read again", []string{"NAME"},
			func(c *cobra.Command, call caller, args []string) error {
				return printed(c)(call(http.MethodDelete, nil))
			}), newOffsetsImport())
	return c
}

// caller sends a request about a connector's offsets and returns what was answered.
type caller func(method string, body []byte) ([]byte, error)

// newOffsetsCommand makes a command with arguments of its own, after which files of an installation come.
func newOffsetsCommand(use, short string, names []string,
	do func(c *cobra.Command, call caller, args []string) error) *cobra.Command {
	var in installation
	var at string
	c := &cobra.Command{
		Use: use, Short: short, Args: first(names...),
		RunE: func(c *cobra.Command, args []string) error {
			own := len(names)
			if at != "" {
				if in.folder != "" || len(args) > own {
					return wrong(errors.New("expected either --url or files, found both"))
				}
				if _, err := workerURL(at); err != nil {
					return err
				}
				worker := remote{url: at, timeout: offsetsTime}
				return do(c, worker.offsets(c.Context(), args[0]), args)
			}
			configuration, err := in.read(args[own:], "expected --url, --config DIR or files of the installation",
				c.ErrOrStderr())
			if err != nil {
				return err
			}
			err = host.Offline(c.Context(), configuration, func(h http.Handler) error {
				worker := remote{url: "http://localhost", timeout: offsetsTime, transport: rest.Local{Handler: h}}
				return do(c, worker.offsets(c.Context(), args[0]), args)
			})
			return setUp(err)
		},
	}
	in.flags(c, "warn")
	in.folderFlag(c)
	c.Flags().StringVar(&at, "url", "",
		"`address` of a worker that runs, as http://HOST:PORT; http://USER:PASSWORD@HOST:PORT logs on")
	return c
}

// readOffsets reads a file, - is stdin.
func readOffsets(stdin io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(stdin, maxAnswer))
	}
	return os.ReadFile(file)
}

// printed prints what a worker says of a change.
func printed(c *cobra.Command) func([]byte, error) error {
	return func(answer []byte, err error) error {
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), messageOf(answer))
		return failed(err)
	}
}

// messageOf is the text of an answer.
func messageOf(answer []byte) string {
	var m struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &m) != nil || m.Message == "" {
		return shown.Within(strings.TrimSpace(string(answer)), 1000)
	}
	return shown.Text(m.Message)
}

// offsets returns a caller for a connector's offsets.
func (r *remote) offsets(ctx context.Context, connector string) caller {
	return func(method string, body []byte) (answer []byte, err error) {
		var sent any
		if body != nil {
			sent = json.RawMessage(body)
		}
		var text string
		err = r.call(ctx, method+" /connectors/{name}/offsets", sent, &text, connector)
		return []byte(text), err
	}
}
