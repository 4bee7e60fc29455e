package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
	secrets "github.com/culvert-project/culvert/host/secret"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// remote is a worker that is asked by REST, Culvert's or Kafka Connect's.
type remote struct {
	url, user string
	json      bool
	timeout   time.Duration
}

// flags declares how a worker is reached.
func (r *remote) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", "http://127.0.0.1:8083", "`URL` of REST, Culvert's or Kafka Connect's")
	f.StringVar(&r.user, "user", "", "`NAME` of a user; the password is read from CULVERT_REST_PASSWORD")
	f.BoolVar(&r.json, "json", false, "print answers as JSON")
	f.DurationVar(&r.timeout, "timeout", 100*time.Second, "how long an answer may take, conflicts that pass included")
}

// refusedCall is an answer that says no.
type refusedCall struct {
	status int
	text   string
}

func (r *refusedCall) Error() string { return r.text }

// conflictPause is between two tries of what a worker answers with a conflict, which passes: it starts, or rebalances.
const conflictPause = 500 * time.Millisecond

// call sends a request and reads the answer into a value, where there is one. What a worker cannot do at the moment is
// tried again until the time is over; whatever else is refused is an error with the worker's own text.
func (r *remote) call(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for {
		err := r.once(ctx, method, path, body, into)
		var refused *refusedCall
		if !errors.As(err, &refused) || refused.status != http.StatusConflict || !momentary(refused.text) {
			return err
		}
		select {
		case <-time.After(conflictPause):
		case <-ctx.Done():
			return err
		}
	}
}

// momentary tells whether a conflict is one that passes.
func momentary(text string) bool {
	return strings.Contains(text, "momentarily") || strings.Contains(text, "rebalance")
}

func (r *remote) once(ctx context.Context, method, path string, body, into any) error {
	answer, err := r.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case err != nil:
		return failed(err)
	case answer.StatusCode >= http.StatusBadRequest:
		var told struct {
			Message string `json:"message"`
		}
		text := fmt.Sprintf("%s %s: %s", method, path, answer.Status)
		if json.Unmarshal(data, &told) == nil && told.Message != "" {
			text = told.Message
		}
		return failed(&refusedCall{answer.StatusCode, shown.Text(without(restPassword(), text))})
	case into == nil || len(data) == 0:
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return failed(fmt.Errorf("%s %s: expected a worker's answer in JSON: %w", method, path, err))
	}
	return nil
}

// send sends a request. Errors have the exit code that they come to.
func (r *remote) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	base, err := workerURL(r.url)
	if err != nil {
		return nil, err
	}
	if r.timeout <= 0 {
		return nil, wrong(fmt.Errorf("--timeout: expected a time such as 30s, found %v", r.timeout))
	}
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.url, "/")+path, sent)
	if err != nil {
		return nil, wrong(fmt.Errorf("--url: %w", err))
	}
	if path != "/metrics" {
		request.Header.Set("Accept", "application/json")
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.user != "" {
		request.SetBasicAuth(r.user, restPassword())
	}
	answer, err := (&http.Client{CheckRedirect: secrets.Redirect}).Do(request)
	if err != nil {
		return nil, noAnswer(base, err)
	}
	return answer, nil
}

// restPassword is that of --user.
func restPassword() string { return os.Getenv("CULVERT_REST_PASSWORD") }

// without is what a worker says, without the password that it was asked with.
func without(password, text string) string {
	var known secrets.Known
	known.Keep(password)
	return known.Strike(text)
}

// workerURL is --url.
func workerURL(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, wrong(fmt.Errorf("--url: expected http://HOST:PORT, found %q", shown.Line(text)))
	}
	return base, nil
}

// noAnswer says that no worker has answered.
func noAnswer(base *url.URL, err error) error {
	var asked *url.Error
	if errors.As(err, &asked) { // it repeats the whole request
		err = asked.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("there was no answer in time")
	}
	return failed(fmt.Errorf("expected a running worker at %s: %w", shown.Line(base.Redacted()), err))
}

// at is the path of a connector.
func at(name string, more ...string) string {
	path := "/connectors/" + url.PathEscape(name)
	for _, part := range more {
		path += "/" + part
	}
	return path
}

// expanded is what REST tells of a connector. Motion is Culvert's alone.
type expanded struct {
	Info   connect.Info   `json:"info"`
	Status connect.Status `json:"status"`
	Motion *rest.Motion   `json:"motion,omitempty"`
}

func (r *remote) all(ctx context.Context) (map[string]expanded, error) {
	var all map[string]expanded
	err := r.call(ctx, http.MethodGet, "/connectors?expand=info&expand=status", nil, &all)
	return all, err
}

// passwords tells which settings of a class are not shown, by what the worker says of it; of a class that it does not
// know by their names alone.
func (r *remote) passwords(ctx context.Context, class string) (func(key string) bool, error) {
	var definitions []check.Definition
	err := r.call(ctx, http.MethodGet, "/connector-plugins/"+url.PathEscape(class)+"/config", nil, &definitions)
	var refused *refusedCall
	if err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	var secrets []wit.SettingSpec
	for _, d := range definitions {
		if d.Type == "PASSWORD" {
			secrets = append(secrets, wit.SettingSpec{Name: d.Name, Kind: wit.KindPassword})
		}
	}
	declared := config.Declare(secrets...)
	return func(key string) bool { return config.IsPassword(key, declared) }, nil
}

func newConnectors() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "connectors",
		Short: "List, make, change and steer connectors of a worker by REST",
		Long: `List, make, change and steer connectors of a running worker by its REST, be it Culvert's or Kafka Connect's. Files are as for culvert run:
properties, JSON or YAML; their references (${file:…}) go to the worker as they are written.`,
		Example: `  culvert connectors list
  culvert connectors apply orders.properties --url http://connect.example.com:8083 --user anna
  culvert connectors restart orders --failed`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	r.flags(c)
	c.AddCommand(r.newList(), r.newShow(), r.newCreate(), r.newApply(),
		r.steered("delete", "Delete connectors; their offsets stay", "is deleted", func(ctx context.Context,
			name string) error {
			return r.call(ctx, http.MethodDelete, at(name), nil, nil)
		}),
		r.steered("pause", "Have connectors stop and keep their tasks, until resume", "is to be PAUSED",
			r.put("pause")),
		r.steered("resume", "Have connectors run that are paused or stopped", "is to run", r.put("resume")),
		r.steered("stop", "Have connectors end their tasks, until resume", "is to be STOPPED", r.put("stop")),
		r.newRestart(), r.newSnapshot())
	return c
}

func (r *remote) put(verb string) func(context.Context, string) error {
	return func(ctx context.Context, name string) error {
		return r.call(ctx, http.MethodPut, at(name, verb), nil, nil)
	}
}

func (r *remote) newList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List connectors with their states", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := r.all(c.Context())
			if err != nil {
				return err
			}
			if !r.json {
				return failed(printStates(c.OutOrStdout(), all))
			}
			of := map[string]func(string) bool{}
			for name, one := range all {
				class := one.Info.Config["connector.class"]
				if of[class] == nil {
					if of[class], err = r.passwords(c.Context(), class); err != nil {
						return err
					}
				}
				one.Info.Config = config.Masked(one.Info.Config, of[class])
				all[name] = one
			}
			return failed(printJSON(c.OutOrStdout(), all))
		},
	}
}

// printStates prints a table of connectors.
func printStates(out io.Writer, all map[string]expanded) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tTYPE\tSTATE\tTASKS\tCLASS")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		one := all[name]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", shown.Line(name), shown.Line(one.Status.Type),
			shown.Line(string(one.Status.Connector.State)),
			taskStates(one.Status), shown.Line(one.Info.Config["connector.class"]))
	}
	return w.Flush()
}

// taskStates are how many tasks are in each state, in the order of the states' names.
func taskStates(s connect.Status) string {
	counts := map[string]int{}
	for _, t := range s.Tasks {
		counts[string(t.State)]++
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[state], shown.Line(state)))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (r *remote) newShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a connector: configuration, states, and why it has failed", Args: one("NAME"),
		ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			var one expanded
			if err := r.call(c.Context(), http.MethodGet, at(args[0]), nil, &one.Info); err != nil {
				return err
			}
			password, err := r.passwords(c.Context(), one.Info.Config["connector.class"])
			if err != nil {
				return err
			}
			one.Info.Config = config.Masked(one.Info.Config, password)
			if err := r.call(c.Context(), http.MethodGet, at(args[0], "status"), nil, &one.Status); err != nil {
				return err
			}
			var told rest.Motion
			err = r.call(c.Context(), http.MethodGet, "/culvert"+at(args[0]), nil, &told)
			var refused *refusedCall
			switch {
			case err == nil:
				one.Motion = &told
			case !errors.As(err, &refused): // Kafka Connect has no such resource
				return err
			}
			if r.json {
				return failed(printJSON(c.OutOrStdout(), one))
			}
			return failed(printConnector(c.OutOrStdout(), one, time.Now()))
		},
	}
}

// printConnector prints a connector whole.
func printConnector(out io.Writer, one expanded, now time.Time) error {
	var b strings.Builder
	line := func(state connect.State, worker, trace string) {
		fmt.Fprintf(&b, "%s on %s\n", shown.Line(string(state)), shown.Line(worker))
		for _, l := range strings.Split(strings.TrimSpace(shown.Text(trace)), "\n") {
			if l != "" {
				fmt.Fprintf(&b, "    %s\n", l)
			}
		}
	}
	fmt.Fprintf(&b, "%s (%s): ", shown.Line(one.Info.Name), shown.Line(one.Info.Type))
	line(one.Status.Connector.State, one.Status.Connector.WorkerID, one.Status.Connector.Trace)
	for _, t := range one.Status.Tasks {
		fmt.Fprintf(&b, "  task %d: ", t.ID)
		line(t.State, t.WorkerID, t.Trace)
		if one.Motion == nil {
			continue
		}
		for _, m := range one.Motion.Tasks {
			if m.ID == t.ID {
				feedLines(&b, m.Feeds, now)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(one.Info.Config)) {
		fmt.Fprintf(&b, "  %s = %s\n", inLine(key), inLine(one.Info.Config[key]))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// feedLines say how far the feeds of a task are.
func feedLines(b *strings.Builder, feeds []rest.FeedMotion, now time.Time) {
	ago := func(at time.Time) string { return now.Sub(at).Round(time.Second).String() + " ago" }
	for _, f := range feeds {
		fmt.Fprintf(b, "    %s: ", shown.Line(f.Name))
		switch {
		case f.LastCaughtUp == nil:
			b.WriteString("is being read for the first time")
		case f.CaughtUp:
			b.WriteString("was read to its end " + ago(*f.LastCaughtUp))
		default:
			b.WriteString("is being read, and was read to its end " + ago(*f.LastCaughtUp))
		}
		if f.NextRun != nil {
			b.WriteString(", next at " + f.NextRun.Format(time.RFC3339))
		}
		if f.Notifications > 0 {
			fmt.Fprintf(b, ", %s wait", number(f.Notifications, "notification"))
		}
		b.WriteByte('\n')
		if r := f.LastRequest; r != nil {
			fmt.Fprintf(b, "      %s: %d in %d ms, %s\n", shown.Line(r.Request), r.Status, r.Milliseconds, ago(r.At))
		}
		if e := f.LastError; e != nil {
			fmt.Fprintf(b, "      last fault %s: %s\n", ago(e.At), shown.Line(e.Message))
		}
	}
}

// given is the configuration of a connector in a file, and the state that it is to begin with there, "" for none.
type given struct {
	settings map[string]string
	state    string
}

// filesOf reads the files of connectors, as they are written.
func filesOf(files []string) ([]given, error) {
	var all []given
	for _, file := range files {
		entries, problems, err := config.ReadFile(file)
		if err == nil {
			err = problems.Err()
		}
		if err != nil {
			return nil, wrong(err)
		}
		settings, state := map[string]string{}, ""
		for _, e := range entries {
			if e.Beside {
				state = e.Raw
				continue
			}
			settings[e.Key] = e.Raw
		}
		// A worker takes the name as it stands, which has blanks at the end of a line of properties.
		if settings["name"] = setting.Trim(settings["name"]); settings["name"] == "" {
			settings["name"] = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		}
		all = append(all, given{settings, state})
	}
	return all, nil
}

func (r *remote) newCreate() *cobra.Command {
	var state string
	c := &cobra.Command{
		Use: "create FILE…", Short: "Make connectors of files; one that is there is an error", Args: some("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			switch strings.ToUpper(strings.TrimSpace(state)) {
			case "", "RUNNING", "PAUSED", "STOPPED":
			default:
				return wrong(fmt.Errorf("--state: expected RUNNING, PAUSED or STOPPED, found %q", shown.Line(state)))
			}
			all, err := filesOf(args)
			if err != nil {
				return err
			}
			return r.each(c, len(all), func(i int) (name, did string, err error) {
				name = all[i].settings["name"]
				return name, "is made", r.create(c.Context(), name, given{all[i].settings, cmp.Or(state, all[i].state)})
			})
		},
	}
	c.Flags().StringVar(&state, "state", "", "`STATE` to begin with: RUNNING, PAUSED or STOPPED")
	return c
}

func (r *remote) newApply() *cobra.Command {
	return &cobra.Command{
		Use: "apply FILE…", Short: "Make or change connectors so that they are as in files", Args: some("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			all, err := filesOf(args)
			if err != nil {
				return err
			}
			return r.each(c, len(all), func(i int) (name, did string, err error) {
				name = all[i].settings["name"]
				var before map[string]string
				err = r.call(c.Context(), http.MethodGet, at(name, "config"), nil, &before)
				var refused *refusedCall
				switch {
				case errors.As(err, &refused) && refused.status == http.StatusNotFound:
					return name, "is made", r.create(c.Context(), name, all[i])
				case err != nil:
					return name, "", err
				case maps.Equal(before, all[i].settings):
					return name, "is so already", nil
				}
				return name, "is changed", r.call(c.Context(), http.MethodPut, at(name, "config"), all[i].settings, nil)
			})
		},
	}
}

// create makes a connector.
func (r *remote) create(ctx context.Context, name string, g given) error {
	body := map[string]any{"name": name, "config": g.settings}
	if g.state != "" {
		body["initial_state"] = strings.ToUpper(strings.TrimSpace(g.state))
	}
	return r.call(ctx, http.MethodPost, "/connectors", body, nil)
}

// steered is a command that does one thing to connectors.
func (r *remote) steered(verb, short, did string, do func(context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME…", Short: short, Args: some("NAME"), ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			return r.each(c, len(args), func(i int) (string, string, error) {
				return args[i], did, do(c.Context(), args[i])
			})
		},
	}
}

func (r *remote) newRestart() *cobra.Command {
	var onlyFailed bool
	task := -1
	c := &cobra.Command{
		Use: "restart NAME…", Short: "Restart connectors with their tasks, what of them has failed, or one task",
		Args: some("NAME"), ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			path, did := "restart?includeTasks=true&onlyFailed="+strconv.FormatBool(onlyFailed), "is restarted"
			switch {
			case c.Flags().Changed("task") && task < 0:
				return wrong(fmt.Errorf("--task: expected the number of a task, from 0 on, found %d", task))
			case onlyFailed && task >= 0:
				return wrong(errors.New("expected either --failed or --task, found both"))
			case onlyFailed:
				did = "has restarted what had failed"
			case task >= 0:
				path, did = fmt.Sprintf("tasks/%d/restart", task), fmt.Sprintf("has restarted task %d", task)
			}
			return r.each(c, len(args), func(i int) (string, string, error) {
				return args[i], did, r.call(c.Context(), http.MethodPost, at(args[i], path), nil, nil)
			})
		},
	}
	c.Flags().BoolVar(&onlyFailed, "failed", false, "only what has failed; the rest runs on")
	c.Flags().IntVar(&task, "task", -1, "`N` of a task, which is restarted alone")
	return c
}

// done is what was done to a connector.
type done struct {
	Connector string `json:"connector"`
	Done      string `json:"done,omitempty"`
	Error     string `json:"error,omitempty"`
}

// each does something to several connectors, all of them also where one fails.
func (r *remote) each(c *cobra.Command, n int, do func(i int) (name, did string, err error)) error {
	all := []done{}
	bad := 0
	var last error
	for i := range n {
		name, did, err := do(i)
		one := done{Connector: name, Done: did}
		if err != nil {
			bad, last = bad+1, err
			one.Done, one.Error = "", err.Error()
		}
		all = append(all, one)
		if r.json {
			continue
		}
		if err == nil {
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s %s\n", inLine(name), did)
			if err != nil {
				return failed(err)
			}
		} else if n > 1 {
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", inLine(name), one.Error)
		}
	}
	if r.json {
		if err := printJSON(c.OutOrStdout(), all); err != nil {
			return failed(err)
		}
	}
	switch {
	case bad > 1 || bad == 1 && n > 1:
		return failed(fmt.Errorf("%d of %s failed", bad, number(n, "connector")))
	case bad == 1:
		var code *failure
		if errors.As(last, &code) {
			return last
		}
		return failed(fmt.Errorf("%s: %w", inLine(all[0].Connector), last))
	}
	return nil
}

// complete suggests names of connectors to a shell.
func (r *remote) complete(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	quick := *r
	quick.timeout = 2 * time.Second
	var names []string
	if err := quick.once(c.Context(), http.MethodGet, "/connectors", nil, &names); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
