package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// expandedConnector is a connector in REST's responses. Only Culvert's workers return Metrics and Summary.
type expandedConnector struct {
	Info    connect.Info           `json:"info"`
	Status  connect.Status         `json:"status"`
	Metrics *connect.Metrics       `json:"motion,omitempty"`
	Summary *rest.ConnectorSummary `json:"listed,omitempty"`
}

func (r *remote) expandedConnectors(ctx context.Context) (connectors map[string]expandedConnector, err error) {
	err = r.get(ctx, "/connectors?expand=info&expand=status", &connectors)
	return connectors, err
}

// matchingConnectors returns the connectors with the state and the search text, of which "" matches any, and why states
// of some are unknown.
func (r *remote) matchingConnectors(
	ctx context.Context, state, search string) (connectors map[string]expandedConnector, unknown []string, err error) {
	if connectors, err = r.expandedConnectors(ctx); err != nil {
		return nil, nil, err
	}
	isFiltered := state+search != ""
	summaries, err := r.summaries(ctx, state, search)
	switch {
	case err != nil && isFiltered:
		return nil, nil, err
	case err != nil && !isRefused(err, http.StatusNotFound): // 404 is the answer of Kafka Connect
		unknown = append(unknown, "only Kafka Connect's states are shown, which do not include unavailable services: "+
			err.Error())
	}
	for i := range summaries.Connectors {
		summary := &summaries.Connectors[i]
		if connector, ok := connectors[summary.Name]; ok {
			connector.Summary = summary
			connectors[summary.Name] = connector
		}
	}
	if isFiltered {
		maps.DeleteFunc(connectors, func(_ string, c expandedConnector) bool { return c.Summary == nil })
	}
	return connectors, append(unknown, summaries.Silent...), nil
}

// summary returns Culvert's summary of the connector, or one derived from Kafka Connect's status.
func (e expandedConnector) summary() rest.ConnectorSummary {
	if e.Summary != nil {
		return *e.Summary
	}
	s := e.Status
	l := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: s.Name, Type: s.Type, Tasks: len(s.Tasks),
		State: connect.RemoteStatus(-1, s.Connector.State, "", "", s.Connector.Restarts).Condition}}
	for _, t := range s.Tasks {
		if t.State == connect.Failed {
			l.State = connect.ConditionFailed
			l.Failed++
		}
	}
	return l
}

// tasksText returns the number of tasks of a connector and how many have failed; - for no tasks.
func tasksText(summary rest.ConnectorSummary) string {
	switch {
	case summary.Failed > 0:
		return fmt.Sprintf("%d, %d failed", summary.Tasks, summary.Failed)
	case summary.Tasks == 0:
		return "-"
	}
	return strconv.Itoa(summary.Tasks)
}

// passwordTest returns a function that reports whether a setting of a class is a password. If the worker does not know
// the class, the name of the setting decides.
func (r *remote) passwordTest(ctx context.Context, class string) (func(key string) bool, error) {
	var definitions []check.Definition
	err := r.get(ctx, "/connector-plugins/{name}/config", &definitions, class)
	if err != nil && !isRefused(err, 0) {
		return nil, err
	}
	var secrets []wit.ConfigKey
	for _, d := range definitions {
		if d.Type == "PASSWORD" {
			secrets = append(secrets, wit.ConfigKey{Name: d.Name, Kind: wit.KindPassword})
		}
	}
	declared := config.Declare(secrets...)
	return func(key string) bool { return config.IsPassword(key, declared) }, nil
}

func newConnectors() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "connectors",
		Short: "List, create, change and control connectors of a worker by REST",
		Long: `List, create, change and control connectors of a running worker, Culvert's or Kafka Connect's, by its REST API. Files
are as for culvert run: properties, JSON or YAML; references in them (${file:…}) are sent unresolved.`,
		Example: `  culvert connectors list
  culvert connectors apply orders.properties --url http://connect.example.com:8083 --user anna
  culvert connectors diff orders.properties
  culvert connectors restart orders --failed`,
	}
	r.flags(c)
	c.AddCommand(r.newList(), r.newShow(), r.newEvents(), r.newCompare(), r.newApply(), r.newRestart(), r.newLockouts())
	for _, a := range []routeCommand{
		{use: "delete NAME…", route: "DELETE /connectors/{name}", message: "is deleted"},
		{use: "pause NAME…", route: "PUT /connectors/{name}/pause", message: "is being paused"},
		{use: "resume NAME…", route: "PUT /connectors/{name}/resume", message: "is being resumed"},
		{use: "stop NAME…", route: "PUT /connectors/{name}/stop", message: "is being stopped"},
		{use: "snapshot NAME FEED", route: "POST /culvert/connectors/{name}/feeds/{feed}/snapshot",
			message: "reads %s as snapshot %s"},
	} {
		c.AddCommand(r.newRouteCommand(a))
	}
	c.AddCommand(newHiddenCommand("create", func(*cobra.Command, []string) error {
		return asUsageError(errors.New("expected culvert connectors apply, which also creates connectors"))
	}))
	return c
}

func (r *remote) newList() *cobra.Command {
	var state, search string
	c := &cobra.Command{
		Use: "list", Short: "List connectors as culvert status shows them",
		Long: `List connectors as culvert status shows them. Exit code: 0, whatever their states are. --state and --search need a
Culvert worker.`,
		Example: `  culvert connectors list
  culvert connectors list --state failed
  culvert connectors list --search orders`,
		RunE: func(c *cobra.Command, _ []string) error {
			snapshot, err := r.snapshot(c.Context(), state, search)
			if err != nil {
				return err
			}
			return snapshot.print(c.OutOrStdout(), nil, r.output)
		},
	}
	c.Flags().StringVar(&state, "state", "", "list only connectors in this `STATE`: "+
		strings.ReplaceAll(strings.Trim(fmt.Sprint(connect.Conditions), "[]"), " ", ", "))
	c.Flags().StringVar(&search, "search", "", "list only connectors with this `TEXT` in name, class, sets, topics or cause")
	return c
}

func (r *remote) newShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a connector: configuration, states, and why it has failed",
		ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			var connector expandedConnector
			if err := r.get(c.Context(), "/connectors/{name}", &connector.Info, args[0]); err != nil {
				return err
			}
			isPassword, err := r.passwordTest(c.Context(), connector.Info.Config["connector.class"])
			if err != nil {
				return err
			}
			connector.Info.Config = config.MaskPasswords(connector.Info.Config, isPassword)
			if err := r.get(c.Context(), "/connectors/{name}/status", &connector.Status, args[0]); err != nil {
				return err
			}
			var figures connect.Metrics
			err = r.get(c.Context(), "/culvert/connectors/{name}", &figures, args[0])
			switch {
			case err == nil:
				connector.Metrics = &figures
			case !isRefused(err, 0): // Kafka Connect has no such resource
				return err
			}
			if summaries, err := r.summaries(c.Context(), "", args[0]); err == nil {
				for i, summary := range summaries.Connectors {
					if summary.Name == args[0] {
						connector.Summary = &summaries.Connectors[i]
					}
				}
			}
			return r.print(c.OutOrStdout(), connector, func(out io.Writer) error {
				return printConnector(out, connector, time.Now())
			})
		},
	}
}

func (r *remote) newEvents() *cobra.Command {
	const route = "GET /culvert/connectors/{name}/events"
	return withRouteHelp(route, &cobra.Command{
		Use: "events NAME", ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			var list rest.ConnectorEvents
			if err := r.call(c.Context(), route, nil, &list, args[0]); err != nil {
				return err
			}
			return r.print(c.OutOrStdout(), list, nil)
		},
	})
}

func printConnector(out io.Writer, connector expandedConnector, now time.Time) error {
	var b strings.Builder
	writeState := func(state, worker, trace string) {
		fmt.Fprintf(&b, "%s on %s\n", shown.Line(state), shown.Line(worker))
		for _, l := range strings.Split(strings.TrimSpace(shown.Text(trace)), "\n") {
			if l != "" {
				fmt.Fprintf(&b, "    %s\n", l)
			}
		}
	}
	fmt.Fprintf(&b, "%s (%s): ", shown.Line(connector.Info.Name), shown.Line(connector.Info.Type))
	summary := connector.summary()
	writeState(string(summary.State), connector.Status.Connector.WorkerID, connector.Status.Connector.Trace)
	if summary.Cause != "" && summary.State != connect.ConditionFailed {
		fmt.Fprintf(&b, "    %s\n", strings.TrimSpace(shown.Line(summary.Cause)+". "+shown.Line(summary.Advice)))
	}
	for _, t := range connector.Status.Tasks {
		fmt.Fprintf(&b, "  task %d: ", t.ID)
		writeState(string(t.State), t.WorkerID, t.Trace)
		if connector.Metrics == nil {
			continue
		}
		for _, m := range connector.Metrics.Tasks {
			switch {
			case m.Task != t.ID: // the metrics of another task
			case m.Progress == nil:
				fmt.Fprintf(&b, "    has no metrics: %s\n", shown.Line(m.Error))
			default:
				writeFeeds(&b, m.Feeds, now)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(connector.Info.Config)) {
		fmt.Fprintf(&b, "  %s = %s\n", inLine(key), inLine(connector.Info.Config[key]))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func writeFeeds(b *strings.Builder, feeds []connect.FeedProgress, now time.Time) {
	ago := func(at time.Time) string { return now.Sub(at).Round(time.Second).String() + " ago" }
	for _, f := range feeds {
		fmt.Fprintf(b, "    %s: ", shown.Line(f.Name))
		switch {
		case f.LastCaughtUp == nil:
			b.WriteString("is being read for the first time")
		case f.CaughtUp:
			b.WriteString("caught up " + ago(*f.LastCaughtUp))
		default:
			b.WriteString("is being read, last caught up " + ago(*f.LastCaughtUp))
		}
		if f.NextRun != nil {
			b.WriteString(", next at " + f.NextRun.Format(time.RFC3339))
		}
		if f.Notifications > 0 {
			fmt.Fprintf(b, ", %s waiting", number(f.Notifications, "notification"))
		}
		if l := f.Load; l != nil {
			fmt.Fprintf(b, ", %s read", number(int(l.Read), "row"))
			if l.Total != nil {
				fmt.Fprintf(b, " of %d", *l.Total)
			}
		}
		if f.Complete != nil {
			b.WriteString(", last load complete: " + shown.Line(*f.Complete))
		}
		b.WriteByte('\n')
		if r := f.LastRequest; r != nil {
			fmt.Fprintf(b, "      %s: %d in %d ms, %s\n", shown.Line(r.Request), r.Status, r.Milliseconds, ago(r.At))
		}
		if e := f.LastError; e != nil {
			fmt.Fprintf(b, "      last error %s: %s\n", ago(e.At), shown.Line(e.Message))
		}
	}
}

// connectorFile is a connector's configuration in a file, with its initial state; "" means that the file has no state.
type connectorFile struct {
	settings     map[string]string
	initialState string
}

// readConnectorFiles reads files without resolving references.
func readConnectorFiles(files []string) ([]connectorFile, error) {
	var configurations []connectorFile
	for _, file := range files {
		entries, problems, err := config.ReadFile(file)
		if err = cmp.Or(err, problems.Err()); err != nil {
			return nil, asUsageError(err)
		}
		settings := map[string]string{}
		state := ""
		for _, e := range entries {
			if e.Key == config.InitialStateKey {
				state = e.Raw
				continue
			}
			settings[e.Key] = e.Raw
		}
		// A worker does not trim the name, which may have blanks in a properties file.
		if settings["name"] = setting.Trim(settings["name"]); settings["name"] == "" {
			settings["name"] = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		}
		configurations = append(configurations, connectorFile{settings: settings, initialState: state})
	}
	return configurations, nil
}

func (r *remote) newCompare() *cobra.Command {
	return &cobra.Command{
		Use: "diff FILE", Short: "Show what apply would do with a file, and change nothing",
		Long: `Show what applying a file would do to a connector of a worker: which settings differ, whether its tasks would restart,
and which feeds would be read again. Nothing is changed. The printed version is for culvert connectors apply
--if-version. Exit code: 0, or 1 if the file would be refused.`,
		Example: "  culvert connectors diff orders.properties --url http://connect.example.com:8083",
		RunE: func(c *cobra.Command, args []string) error {
			configurations, err := readConnectorFiles(args)
			if err != nil {
				return err
			}
			var comparison rest.Comparison
			settings := configurations[0].settings
			request := rest.DiffRequest{Name: settings["name"], Config: settings}
			if err := r.call(c.Context(), "POST /culvert/diff", request, &comparison); err != nil {
				return err
			}
			return printPlan(c.OutOrStdout(), comparison, []rest.Comparison{comparison}, r.output)
		},
	}
}

func (r *remote) newApply() *cobra.Command {
	var version, state string
	c := &cobra.Command{
		Use: "apply FILE…", Short: "Create or change connectors so that they are as in files",
		Example: `  culvert connectors apply orders.properties
  culvert connectors apply orders.properties --if-version 5f1c…e0`,
		RunE: func(c *cobra.Command, args []string) error {
			state = strings.ToUpper(strings.TrimSpace(state))
			if !slices.Contains([]string{"", "RUNNING", "PAUSED", "STOPPED"}, state) {
				return asUsageError(fmt.Errorf("--state: expected RUNNING, PAUSED or STOPPED, found %q",
					shown.Line(state)))
			}
			configurations, err := readConnectorFiles(args)
			if err != nil {
				return err
			}
			updater := *r // for the PUT alone, which has --if-version
			if version != "" {
				if len(configurations) > 1 {
					return asUsageError(errors.New("--if-version: expected exactly one FILE"))
				}
				updater.header = http.Header{"If-Match": {strconv.Quote(version)}}
			}
			return r.forEach(c, len(configurations), func(i int) (name, message string, err error) {
				settings := configurations[i].settings
				name = settings["name"]
				var current map[string]string
				err = r.get(c.Context(), "/connectors/{name}/config", &current, name)
				switch {
				case isRefused(err, http.StatusNotFound) && version == "":
					body := map[string]any{"name": name, "config": settings}
					initialState := cmp.Or(state, strings.ToUpper(strings.TrimSpace(configurations[i].initialState)))
					if initialState != "" {
						body[config.InitialStateKey] = initialState
					}
					return name, "is created", r.call(c.Context(), "POST /connectors", body, nil)
				case err != nil:
					return name, "", err
				case state != "":
					return name, "", asUsageError(fmt.Errorf("--state is for a connector that is created, and %s "+
						"exists", inLine(name)))
				case version == "" && maps.Equal(current, settings):
					return name, "needs no change", nil
				}
				return name, "is changed", updater.call(c.Context(), "PUT /connectors/{name}/config", settings, nil,
					name)
			})
		},
	}
	c.Flags().StringVar(&state, "state", "", "initial `STATE` of new connectors: RUNNING, PAUSED or STOPPED")
	c.Flags().StringVar(&version, "if-version", "", "change it only if it has the `VERSION` that culvert connectors "+
		"diff shows")
	return c
}

// withRouteHelp uses the description of a REST route as a command's help, and its first clause in lists of commands.
func withRouteHelp(route string, c *cobra.Command) *cobra.Command {
	c.Long = rest.Summary(route)
	c.Short, _, _ = strings.Cut(c.Long, ", {")
	if end := strings.IndexAny(c.Short, ";.:"); end > 0 {
		c.Short = c.Short[:end]
	}
	return c
}

type routeCommand struct {
	// use is the usage line with the route's arguments. If it ends with …, the route is called for each argument.
	use     string
	route   string
	example string
	name    string // printed instead of the first argument; "" means that the command has arguments
	// message is printed after the name. Each %s is replaced by the next argument, or by the worker's answer.
	message string
	// body returns the request's body for the arguments. A nil function sends no body.
	body func(args []string) any
}

func (r *remote) newRouteCommand(command routeCommand) *cobra.Command {
	c := withRouteHelp(command.route, &cobra.Command{
		Use: command.use, Example: command.example,
		RunE: func(c *cobra.Command, args []string) error {
			calls := [][]string{args}
			if strings.HasSuffix(command.use, "…") {
				calls = slices.Collect(slices.Chunk(args, 1))
			}
			return r.forEach(c, len(calls), func(i int) (string, string, error) {
				name := command.name
				message := command.message
				args := slices.Clip(calls[i]) // the answer's values are appended to a copy
				var body any
				if command.body != nil {
					body = command.body(args)
				}
				var answer string
				err := r.call(c.Context(), command.route, body, &answer, args[:strings.Count(command.route, "{")]...)
				_, answerValues := members([]byte(answer))
				for _, value := range answerValues {
					args = append(args, cell(value))
				}
				if name == "" {
					name = args[0]
					args = args[1:]
				}
				for _, value := range args {
					message = strings.Replace(message, "%s", inLine(value), 1)
				}
				return name, message, err
			})
		},
	})
	if strings.Contains(command.route, connectorPath) {
		c.ValidArgsFunction = r.complete
	}
	return c
}

func (r *remote) newRestart() *cobra.Command {
	var onlyFailed bool
	task := -1
	c := &cobra.Command{
		Use: "restart NAME…", Short: "Restart connectors with all tasks, only their failed parts, or one task",
		ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			route := "POST /connectors/{name}/restart?includeTasks=true&onlyFailed=" + strconv.FormatBool(onlyFailed)
			message := "is restarted"
			switch {
			case c.Flags().Changed("task") && task < 0:
				return asUsageError(fmt.Errorf("--task: expected the number of a task, from 0 on, found %d", task))
			case onlyFailed && task >= 0:
				return asUsageError(errors.New("expected either --failed or --task, found both"))
			case onlyFailed:
				message = "has its failed parts restarted"
			case task >= 0:
				route = "POST /connectors/{name}/tasks/{task}/restart"
				message = fmt.Sprintf("has restarted task %d", task)
			}
			return r.forEach(c, len(args), func(i int) (string, string, error) {
				// A route without {task} ignores the last argument.
				return args[i], message, r.call(c.Context(), route, nil, nil, args[i], strconv.Itoa(task))
			})
		},
	}
	c.Flags().BoolVar(&onlyFailed, "failed", false, "restart only the failed parts")
	c.Flags().IntVar(&task, "task", -1, "restart only task `N`")
	return c
}

func (r *remote) newLockouts() *cobra.Command {
	const route = "GET /culvert/lockouts"
	c := withRouteHelp(route, &cobra.Command{
		Use: "lockouts",
		Example: `  culvert connectors lockouts
  culvert connectors lockouts resume --url http://connect.example.com:8083`,
		RunE: func(c *cobra.Command, _ []string) error {
			var lockouts rest.Lockouts
			if err := r.call(c.Context(), route, nil, &lockouts); err != nil {
				return err
			}
			return r.print(c.OutOrStdout(), lockouts, nil)
		},
	})
	const resume = "PUT /culvert/lockouts/resume"
	c.AddCommand(withRouteHelp(resume, &cobra.Command{
		Use: "resume",
		RunE: func(c *cobra.Command, _ []string) error {
			return r.forEach(c, 1, func(int) (string, string, error) {
				var answer struct{ Resumed int }
				err := r.call(c.Context(), resume, nil, &answer)
				if err != nil && !isRefused(err, 0) { // no worker answers
					err = fmt.Errorf("%w; without a worker, culvert run --resume-logons retries them", err)
				}
				return number(answer.Resumed, "refused logon"), "will be retried", err
			})
		},
	}))
	return c
}

type commandResult struct {
	Connector string `json:"connector"`
	Done      string `json:"done,omitempty"`
	Error     string `json:"error,omitempty"`
}

// forEach runs do for n connectors, also after a failure, and prints the results. The error means that one failed.
func (r *remote) forEach(c *cobra.Command, n int, do func(i int) (name, message string, err error)) error {
	results := []commandResult{}
	failures := 0
	var lastErr error
	for i := range n {
		name, message, err := do(i)
		result := commandResult{Connector: name, Done: message}
		if err != nil {
			failures++
			lastErr = err
			result.Error = err.Error()
			result.Done = ""
		}
		results = append(results, result)
		if r.json {
			continue
		}
		if err == nil {
			if _, err := fmt.Fprintf(c.OutOrStdout(), "%s %s\n", inLine(name), message); err != nil {
				return asFailure(err)
			}
		} else if n > 1 {
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", inLine(name), result.Error)
		}
	}
	if r.json {
		if err := printJSON(c.OutOrStdout(), results); err != nil {
			return asFailure(err)
		}
	}
	switch {
	case failures > 1 || (failures == 1 && n > 1):
		return asFailure(fmt.Errorf("%d of %s failed", failures, number(n, "connector")))
	case failures == 1:
		var code *exitError
		if errors.As(lastErr, &code) {
			return lastErr
		}
		return asFailure(fmt.Errorf("%s: %w", inLine(results[0].Connector), lastErr))
	}
	return nil
}

// complete returns the names of the worker's connectors, with which a shell completes the first argument, or each one
// if the usage ends with ….
func (r *remote) complete(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	worker := *r
	worker.timeout = 2 * time.Second
	var names []string
	if len(args) == 0 || strings.HasSuffix(c.Use, "…") {
		_ = worker.call(c.Context(), "GET /connectors", nil, &names) // without a worker there are no names
	}
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

// summaries returns the summaries of connectors with the state and the search text, of which "" matches any. It does
// not wait until the group has a leader.
func (r *remote) summaries(ctx context.Context, state, search string) (list rest.ConnectorList, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for after := ""; ; after = list.Next {
		var page rest.ConnectorList
		query := url.Values{"state": {state}, "search": {search}, "after": {after}, "limit": {"1000"}}
		if err := r.callOnce(ctx, "GET /culvert/connectors?"+query.Encode(), nil, &page); err != nil {
			return list, err
		}
		page.Connectors = append(list.Connectors, page.Connectors...)
		if list = page; list.Next == "" {
			return list, nil
		}
	}
}
