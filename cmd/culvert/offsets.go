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

// offsetsTime exceeds the time limit of a worker for the call.
const offsetsTime = 100 * time.Second

// maxMessage bounds the characters of a response that is shown because it has no message.
const maxMessage = 1000

func newOffsets() *cobra.Command {
	c := &cobra.Command{
		Use:   "offsets",
		Short: "Show, set, reset or import the offsets of a connector",
		Long: `Show, set, reset or import the offsets of a connector: the position of a source in its service, or of a sink in its
topics. With --url the command calls a running worker, Culvert's or Kafka Connect's; stop the connector there before you
change its offsets. Without --url pass the files of the installation, as for culvert run; no worker may run on its data
folder.`,
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

// newOffsetsCommand creates a command that sends a request about a connector's offsets to the worker at --url, or to
// a worker that is opened from the files after the command's own arguments. read returns the body; if it returns nil,
// nothing is sent. A nil read means no body.
func newOffsetsCommand(use, short, method string, read func(c *cobra.Command, args []string) ([]byte, error),
) *cobra.Command {
	var in installation
	var address string
	var o output
	argumentCount := strings.Count(strings.Split(use, " [")[0], " ") // 1 for NAME, 2 for NAME FILE
	c := &cobra.Command{
		Use: use, Short: short,
		ValidArgsFunction: func(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault // files
			}
			return (&remote{url: address}).complete(c, args, text)
		},
		RunE: func(c *cobra.Command, args []string) error {
			configuration, err := in.offsetsFiles(c, &address, args[argumentCount:])
			if err != nil {
				return err
			}
			var body any
			if read != nil {
				document, err := read(c, args)
				if err != nil || document == nil {
					return err
				}
				body = json.RawMessage(document)
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
			if address != "" {
				return send(remote{url: address})
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
	c.Flags().StringVar(&address, "url", "",
		"`address` of a worker that runs, as http://HOST:PORT; http://USER:PASSWORD@HOST:PORT logs on (default "+
			"without files: CULVERT_URL)")
	return c
}

// offsetsFiles returns the configuration of a command's files, an empty one with --url. With neither it sets address to
// the value of CULVERT_URL. It rejects wrong use before the command reads anything; only a dry run needs neither.
func (in *installation) offsetsFiles(c *cobra.Command, address *string, args []string) (config host.Config, err error) {
	hasFiles := in.folder != "" || len(args) > 0
	from := "--url"
	if !hasFiles && *address == "" {
		from = environmentURL
		*address = os.Getenv(environmentURL)
	}
	isDryRun, _ := c.Flags().GetBool("dry-run") // false for commands without the flag
	switch {
	case *address != "" && hasFiles:
		return config, asUsageError(errors.New("expected either --url or files, found both"))
	case *address != "":
		_, err = workerURL(from, *address)
		return config, err
	case isDryRun && !hasFiles:
		return config, nil
	}
	return in.read(args, "expected --url, --config DIR or files of the installation", c.ErrOrStderr())
}

func messageOf(answer []byte) string {
	if _, members := members(answer); members["message"] != nil {
		return shown.Text(cell(members["message"]))
	}
	return shown.LineUpTo(strings.TrimSpace(string(answer)), maxMessage)
}
