package main

import (
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
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

// offsetsTime is how long a worker may take to answer a call: a little more than it gives itself.
const offsetsTime = 100 * time.Second

// maxMessage is how many characters of an answer without a message are shown.
const maxMessage = 1000

func newOffsets() *cobra.Command {
	c := &cobra.Command{
		Use:   "offsets",
		Short: "Show, set, reset or take over where a connector goes on",
		Long: `Show, set or reset where a connector goes on: a source in its service, a sink in its topics. With --url a running worker
is asked, be it Culvert or Kafka Connect; the connector must be stopped there for a change. Without --url the files of
the installation are named, as for culvert run, and no worker may be at work in its data folder.`,
		Example: `  culvert offsets show orders --url http://127.0.0.1:8083
  culvert offsets show orders --config /etc/culvert --json > orders.json
  culvert offsets set orders orders.json --config /etc/culvert
  culvert offsets reset orders worker.properties orders.properties`,
	}
	c.AddCommand(
		newOffsetsCommand("show NAME [worker-file connector-files…]", "Print a connector's offsets",
			http.MethodGet, nil),
		newOffsetsCommand("set NAME FILE [worker-file connector-files…]",
			"Set offsets from JSON as show --json prints it; null deletes one, - reads from stdin", http.MethodPatch,
			func(c *cobra.Command, args []string) (body []byte, err error) {
				if args[1] == "-" {
					body, err = io.ReadAll(io.LimitReader(c.InOrStdin(), maxAnswer))
				} else {
					body, err = os.ReadFile(args[1])
				}
				if err == nil && !json.Valid(body) {
					err = fmt.Errorf("%s: expected JSON, as culvert offsets show --json prints it", inLine(args[1]))
				}
				return body, asUsageError(err)
			}),
		newOffsetsCommand("reset NAME [worker-file connector-files…]",
			"Delete a connector's offsets: everything is read again", http.MethodDelete, nil),
		newOffsetsImport())
	return c
}

// newOffsetsCommand creates a command that sends a request about a connector's offsets: to the worker at --url, or to
// one that is opened for it from the files that follow the command's own arguments. The command ends without a request
// if read returns no body; read nil means that the request has none.
func newOffsetsCommand(use, short, method string, read func(c *cobra.Command, args []string) ([]byte, error),
) *cobra.Command {
	var in installation
	var at string
	var o output
	own := strings.Count(strings.Split(use, " [")[0], " ")
	c := &cobra.Command{
		Use: use, Short: short,
		RunE: func(c *cobra.Command, args []string) error {
			configuration, err := in.offsetsFiles(c, at, args[own:])
			if err != nil {
				return err
			}
			var body any
			if read != nil {
				text, err := read(c, args)
				if err != nil || text == nil {
					return err
				}
				body = json.RawMessage(text)
			}
			send := func(worker remote) error {
				worker.timeout = offsetsTime
				var answer string
				err := worker.call(c.Context(), method+" /connectors/{name}/offsets", body, &answer, args[0])
				if err != nil {
					return err
				}
				if method == http.MethodGet {
					return asFailure(printOffsets(c.OutOrStdout(), []byte(answer), o.json))
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), messageOf([]byte(answer)))
				return asFailure(err)
			}
			if at != "" {
				return send(remote{url: at})
			}
			return asSetupError(host.Offline(c.Context(), configuration, func(h http.Handler) error {
				return send(remote{url: "http://localhost", transport: rest.Local{Handler: h}})
			}))
		},
	}
	in.flags(c, "warn")
	in.folderFlag(c)
	if method == http.MethodGet {
		o.flag(c, "print the offsets as JSON, as culvert offsets set reads them")
	}
	c.Flags().StringVar(&at, "url", "",
		"`address` of a worker that runs, as http://HOST:PORT; http://USER:PASSWORD@HOST:PORT logs on")
	return c
}

// offsetsFiles returns the configuration of a command's files, an empty one with --url. It rejects wrong use before the
// command reads anything; only a dry run works without both.
func (in *installation) offsetsFiles(c *cobra.Command, at string, args []string) (none host.Config, err error) {
	files := in.folder != "" || len(args) > 0
	dry, _ := c.Flags().GetBool("dry-run") // false for commands without the flag
	switch {
	case at != "" && files:
		return none, asUsageError(errors.New("expected either --url or files, found both"))
	case at != "":
		_, err = workerURL(at)
		return none, err
	case dry && !files:
		return none, nil
	}
	return in.read(args, "expected --url, --config DIR or files of the installation", c.ErrOrStderr())
}

// messageOf returns the message of a worker's answer to a change, or the answer itself if it has none.
func messageOf(answer []byte) string {
	if _, members := members(answer); members["message"] != nil {
		return shown.Text(cell(members["message"]))
	}
	return shown.Within(strings.TrimSpace(string(answer)), maxMessage)
}
