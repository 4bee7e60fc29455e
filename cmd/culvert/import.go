package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/shown"
)

// urlField is the field of a source's offset with the URL from which it continues.
const urlField = "url"

type offsetImport struct {
	topic      string
	servers    string
	file       string
	standalone string
	field      string   // "" means that chooseField sets it
	names      []string // pairs THEIRS=OURS
	isYes      bool
	isDryRun   bool
}

func newOffsetsImport() *cobra.Command {
	var i offsetImport
	c := newOffsetsCommand("import NAME [worker-file connector-files…]",
		"Import offsets that another connector has stored, whatever their fields are called", http.MethodPatch,
		func(c *cobra.Command, args []string) (body []byte, err error) {
			if (i.topic == "") == (i.standalone == "") {
				return nil, asUsageError(errors.New("expected one of --from-topic and --from-file"))
			}
			data, err := c.Flags().GetString("data")
			if err != nil {
				return nil, asUsageError(err)
			}
			err = withWorkerFile(i.file, c.ErrOrStderr(), func(w *config.Worker, log *slog.Logger) error {
				stored, err := i.read(c.Context(), data, args[0], w, log)
				if err == nil {
					body, err = i.decide(stored, c.InOrStdin(), c.OutOrStdout())
				}
				return err
			})
			return body, err
		})
	c.Long = `Import offsets that another connector of the same name has stored in a topic of Kafka Connect's format, or in a
standalone worker's file. Fields with a URL are shown, and the command asks from which one to continue unless --field
names it. The topic is read from the cluster of --bootstrap-servers or of the worker's file -p, else from the embedded
broker in --data. See culvert reference guide/init-connector.`
	c.Example = `  culvert offsets import orders --from-topic connect-offsets -p worker.properties --dry-run
  culvert offsets import orders --from-topic connect-offsets -p worker.properties --field nextLink --yes \
      --partition servicePath=service --partition set=entityset --url http://127.0.0.1:8083
  culvert offsets import orders --from-file /var/lib/connect/offsets --url http://127.0.0.1:8083`
	f := c.Flags()
	f.StringVar(&i.topic, "from-topic", "", "`TOPIC` with the offsets")
	f.StringVar(&i.standalone, "from-file", "", "`FILE` with the offsets of a standalone worker, instead of a topic")
	f.StringVar(&i.servers, "bootstrap-servers", "", "Kafka brokers of the topic as `host:port`,…")
	f.StringVarP(&i.file, "properties", "p", "", "`file` of the worker, for the connection to the topic's brokers")
	f.StringVar(&i.field, "field", "", "`NAME` of the field with the URL from which to continue")
	f.StringArrayVar(&i.names, "partition", nil, "field of the partitions and its name in Culvert, as `THEIRS=OURS`")
	f.BoolVar(&i.isYes, "yes", false, "ask nothing")
	f.BoolVar(&i.isDryRun, "dry-run", false, "show what would be set, and change nothing")
	return c
}

func (i *offsetImport) read(ctx context.Context, data, connector string, w *config.Worker,
	log *slog.Logger) (stored []connect.StoredOffset, err error) {
	from := "topic " + i.topic
	if i.standalone != "" {
		from = i.standalone
		stored, err = connect.ReadStandaloneOffsets(i.standalone, connector, log)
	} else {
		brokers, detach, openErr := openBrokers(ctx, data, i.servers, w, log)
		if openErr != nil {
			return nil, openErr
		}
		defer detach()
		stored, err = connect.ReadTopicOffsets(ctx, brokers, i.topic, connector, log)
	}
	if err != nil {
		return nil, asFailure(err)
	}
	if len(stored) == 0 {
		return nil, asFailure(fmt.Errorf("%s holds no offsets of connector %s", from, connector))
	}
	return stored, nil
}

// decide prints the offsets and determines the field with the URL. It returns the request's body, nil if nothing is
// sent.
func (i *offsetImport) decide(stored []connect.StoredOffset, in io.Reader, out io.Writer) (body []byte, err error) {
	// --partition THEIRS=OURS names Culvert's field by the other connector's.
	names := map[string]string{}
	for _, pair := range i.names {
		theirs, ours, ok := strings.Cut(pair, "=")
		if !ok || theirs == "" || ours == "" {
			return nil, asUsageError(fmt.Errorf("--partition: expected THEIRS=OURS, found %q", pair))
		}
		names[theirs] = ours
	}
	answers := bufio.NewReader(in)
	if err := i.chooseField(stored, answers, out); err != nil {
		return nil, err
	}
	body = []byte(`{"offsets":[`)
	for n, s := range stored {
		encoded, err := s.RESTBody(i.field, urlField, names)
		if err != nil {
			return nil, asFailure(err)
		}
		if n > 0 {
			body = append(body, ',')
		}
		body = append(body, encoded...)
	}
	body = append(body, "]}"...)
	fmt.Fprintf(out, "To be set, from the field %s:\n%s\n", shown.Text(i.field), shown.Text(string(body)))
	switch {
	case i.isDryRun:
		return nil, nil
	case i.isYes:
		return body, nil
	}
	fmt.Fprint(out, "Set it (yes or no)? ")
	reply, err := answer(answers)
	if err != nil {
		return nil, asFailure(err)
	}
	if reply != "yes" {
		return nil, asFailure(errors.New("nothing was changed"))
	}
	return body, nil
}

// chooseField prints the offsets. Unless --field has set i.field, it sets it to a field with a URL in all of them.
func (i *offsetImport) chooseField(stored []connect.StoredOffset, answers *bufio.Reader, out io.Writer) (err error) {
	var fields []string
	for n, s := range stored {
		fmt.Fprintln(out, shown.Text(s.String()))
		if n == 0 {
			fields = s.URLFields()
		}
		fields = slices.DeleteFunc(fields, func(name string) bool { return !slices.Contains(s.URLFields(), name) })
	}
	fieldNames := shown.Text(strings.Join(fields, ", "))
	switch {
	case i.field != "": // chosen by --field
	case len(fields) == 0:
		return asFailure(errors.New("no field has a URL in all offsets: name one with --field"))
	case len(fields) == 1:
		i.field = fields[0]
	case i.isYes || i.isDryRun:
		return asFailure(fmt.Errorf("several fields have a URL (%s): name the one from which to continue with --field",
			fieldNames))
	default:
		fmt.Fprintf(out, "Fields with a URL: %s. From which one does the connector continue? ", fieldNames)
		i.field, err = answer(answers)
	}
	return asFailure(err)
}

// answer reads a line and trims it. The end of the input instead of a line is an error.
func answer(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil && strings.TrimSpace(line) == "" {
		return "", fmt.Errorf("expected an answer, or --field and --yes: %w", err)
	}
	return strings.TrimSpace(line), nil
}
