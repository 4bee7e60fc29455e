package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/shown"
)

const watchInterval = 2 * time.Second

func newStatus() *cobra.Command {
	r := &remote{}
	var watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what a worker's connectors are doing",
		Long: `Show what the connectors of a running worker, or of its group, are doing: states and, if the worker is Culvert's, rows,
lag, refused records and dead letters, and problems below the table. Exit code: 0, or 1 if a connector or task has
failed, a service does not answer, records were refused since the tasks were created, or states are unknown.`,
		Example: "  culvert status\n  culvert status --watch --url http://connect.example.com:8083",
		RunE: func(c *cobra.Command, _ []string) error {
			if !watch {
				snapshot, err := r.snapshot(c.Context(), "", "")
				if err != nil {
					return err
				}
				if err := snapshot.print(c.OutOrStdout(), nil, r.output); err != nil {
					return err
				}
				return snapshot.problem()
			}
			return r.watch(c.Context(), c.OutOrStdout())
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&watch, "watch", false, "repeat every two seconds, with rates, until Ctrl-C")
	return c
}

type statusSnapshot struct {
	at         time.Time
	connectors map[string]expandedConnector // by name
	notes      []string                     // about the whole worker: its group, and why there are no metrics
	unknown    []string                     // reasons why states of connectors are unknown
}

func (ss statusSnapshot) problem() error {
	names := map[connect.Condition][]string{}
	for _, name := range slices.Sorted(maps.Keys(ss.connectors)) {
		summary := ss.connectors[name].summary()
		state := summary.State
		switch {
		case summary.Failed > 0 && state != connect.ConditionAway:
			state = connect.ConditionFailed
		case summary.Refused != nil && *summary.Refused > 0 && state.Urgency() > connect.ConditionRefusing.Urgency():
			state = connect.ConditionRefusing
		}
		names[state] = append(names[state], inLine(name))
	}
	var problems []string
	for _, state := range connect.Conditions[:connect.ConditionStarting.Urgency()] { // later ones are no problem
		if len(names[state]) > 0 {
			problems = append(problems, string(state)+": "+strings.Join(names[state], ", "))
		}
	}
	if len(problems) > 0 {
		problems[len(problems)-1] += " (see culvert connectors show NAME)"
	}
	if len(ss.unknown) > 0 {
		problems = append(problems, "unknown states of connectors: "+shown.Line(strings.Join(ss.unknown, ", ")))
	}
	if len(problems) == 0 {
		return nil
	}
	return asFailure(errors.New(strings.Join(problems, "; ")))
}

func (r *remote) snapshot(ctx context.Context, state, search string) (statusSnapshot, error) {
	connectors, unknown, err := r.matchingConnectors(ctx, state, search)
	if err != nil {
		return statusSnapshot{}, err
	}
	ss := statusSnapshot{at: time.Now(), connectors: connectors, notes: unknown, unknown: slices.Clone(unknown)}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var withMetrics map[string]expandedConnector
	if err := r.callOnce(ctx, "GET /connectors?expand=motion", nil, &withMetrics); err != nil {
		ss.notes = append(ss.notes, "No metrics: "+err.Error())
	}
	for name, connector := range connectors {
		connector.Metrics = withMetrics[name].Metrics
		connectors[name] = connector
	}
	var group groupview.Group
	if err := r.callOnce(ctx, "GET /culvert/cluster", nil, &group); err == nil && group.Group != "" {
		ss.notes = append(ss.notes, fmt.Sprintf("Group %s, generation %d: %s, led by %s", group.Group, group.Generation,
			number(len(group.Members), "worker"), group.Leader))
		ss.notes = append(ss.notes, group.Problems...)
		for _, former := range group.Former {
			ss.notes = append(ss.notes, "Worker "+former.WorkerID+": "+former.Text)
		}
	}
	return ss, nil
}

// rows returns the rows of all tasks, nil if they are unknown; unknown is the reason, "" without metrics or tasks.
func (e expandedConnector) rows() (rows *float64, unknown string) {
	if e.Metrics == nil || len(e.Metrics.Tasks) == 0 {
		return nil, ""
	}
	var sum float64
	for _, t := range e.Metrics.Tasks {
		if t.Progress == nil {
			return nil, fmt.Sprintf("task %d has no metrics: %s", t.Task, t.Error)
		}
		sum += float64(t.Rows)
	}
	return &sum, ""
}

// proofs returns by feed the proof that its last load is complete, "-" if there is no proof.
func (e expandedConnector) proofs() map[string]string {
	proofs := map[string]string{}
	if e.Metrics == nil {
		return proofs
	}
	for _, t := range e.Metrics.Tasks {
		if t.Progress == nil {
			continue
		}
		for _, f := range t.Feeds {
			proofs[f.Name] = "-"
			if f.Complete != nil {
				proofs[f.Name] = *f.Complete
			}
		}
	}
	return proofs
}

type connectorState struct {
	Connector string     `json:"connector"`
	Type      string     `json:"type"`
	State     string     `json:"state"`
	Since     *time.Time `json:"since,omitempty"`
	Tasks     []string   `json:"tasks"`
	Rows      *float64   `json:"rows,omitempty"`
	// Rate is the mean since the earlier snapshot of --watch, else of the last minute.
	Rate    *float64 `json:"rows_per_second,omitempty"`
	Lag     *int64   `json:"lag,omitempty"`
	Refused *int64   `json:"refused,omitempty"`
	Letters *int64   `json:"letters_open,omitempty"`
	// Complete has the proof of the last load of each feed, see [connect.FeedProgress]. Load is a load under way.
	Complete map[string]string `json:"complete,omitempty"`
	Load     *connect.Load     `json:"load,omitempty"`
	Note     string            `json:"note,omitempty"`
	Cause    string            `json:"cause,omitempty"`
	Advice   string            `json:"advice,omitempty"`
	// Errors are the reasons for failures, an unavailable service, a rejected configuration and missing metrics.
	Errors []string        `json:"errors,omitempty"`
	Action *connect.Action `json:"action,omitempty"`
}

func statusErrors(s connect.Status) (messages []string) {
	add := func(prefix, trace, restarts string) {
		message, _, _ := strings.Cut(strings.TrimSpace(trace), "\n")
		if restarts != "" {
			message += " (restarts automatically at " + restarts + ")"
		}
		messages = append(messages, prefix+message)
	}
	if c := s.Connector; c.State == connect.Failed {
		add("", c.Trace, c.Restarts)
	}
	if refused := s.Connector.ConfigError; refused != "" {
		add("a newer configuration is refused: ", refused, "")
	}
	for _, t := range s.Tasks {
		if t.State == connect.Failed {
			add(fmt.Sprintf("task %d: ", t.ID), t.Trace, t.Restarts)
		}
	}
	return messages
}

// states returns the connectors, with rates since an earlier snapshot.
func (ss statusSnapshot) states(earlier *statusSnapshot) []connectorState {
	states := []connectorState{}
	for _, name := range slices.Sorted(maps.Keys(ss.connectors)) {
		s := ss.connectors[name].Status
		summary := ss.connectors[name].summary()
		state := connectorState{Connector: name, Type: s.Type, State: string(summary.State), Tasks: []string{},
			Errors: statusErrors(s), Letters: summary.LettersOpen, Since: summary.Since, Action: summary.Action,
			Complete: ss.connectors[name].proofs(), Rate: summary.Rows, Refused: summary.Refused, Load: summary.Load,
			Note: summary.Note, Cause: summary.Cause, Advice: summary.Advice}
		if s.Type == "sink" {
			state.Lag = summary.Lag
		}
		if summary.Cause != "" { // in the words of the console; culvert connectors show has all errors
			state.Errors = []string{strings.TrimSpace(summary.Cause + ". " + summary.Advice)}
		}
		for _, t := range s.Tasks {
			state.Tasks = append(state.Tasks, string(t.State))
		}
		var unknown string
		if state.Rows, unknown = ss.connectors[name].rows(); unknown != "" {
			state.Errors = append(state.Errors, unknown)
		}
		if earlier != nil && state.Rows != nil {
			previous, _ := earlier.connectors[name].rows()
			if seconds := ss.at.Sub(earlier.at).Seconds(); previous != nil && *state.Rows >= *previous && seconds > 0 {
				rate := (*state.Rows - *previous) / seconds
				state.Rate = &rate
			}
		}
		states = append(states, state)
	}
	return states
}

// print prints a snapshot, with rates since the previous one, if any.
func (ss statusSnapshot) print(out io.Writer, earlier *statusSnapshot, format output) error {
	states := ss.states(earlier)
	return format.print(out, states, func(out io.Writer) error {
		var rows [][]string
		for _, s := range states {
			rows = append(rows, []string{s.Connector, s.Type, s.State, tasksText(ss.connectors[s.Connector].summary()),
				numberText(s.Rows), numberText(s.Rate), numberText(s.Lag), numberText(s.Refused), numberText(s.Letters),
				s.completeness()})
		}
		const titles = "NAME TYPE STATE TASKS ROWS ROWS/S LAG REFUSED LETTERS COMPLETE"
		if err := printColumns(out, titles, rows); err != nil {
			return err
		}
		var lines []string
		for _, s := range states {
			if s.Note != "" {
				lines = append(lines, shown.Line(s.Connector)+": "+shown.Line(s.Note)+"\n")
			}
			for _, message := range s.Errors {
				lines = append(lines, shown.Line(s.Connector)+": "+shown.Line(message)+"\n")
			}
		}
		for _, note := range ss.notes {
			lines = append(lines, shown.Line(note)+"\n")
		}
		_, err := io.WriteString(out, strings.Join(lines, ""))
		return err
	})
}

// completeness returns the part of a load that has been read, else the different proofs of feeds, - without any.
func (s *connectorState) completeness() string {
	if s.Load != nil && s.Load.Total != nil && *s.Load.Total > 0 {
		return fmt.Sprintf("%d%%", min(100*s.Load.Read / *s.Load.Total, 100))
	}
	proofs := slices.Compact(slices.Sorted(maps.Values(s.Complete)))
	if len(proofs) == 0 {
		return "-"
	}
	return shown.Line(strings.Join(proofs, ","))
}

func numberText[N int64 | float64](n *N) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f", float64(*n))
}

// watch prints snapshots until ctx ends, on a terminal each over the previous one. It continues if the worker does not
// respond.
func (r *remote) watch(ctx context.Context, out io.Writer) error {
	onTerminal := isTerminal(out)
	var previous *statusSnapshot
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		snapshot, err := r.snapshot(ctx, "", "")
		var exit *exitError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &exit) && exit.code == exitWrong:
			return err
		}
		var b strings.Builder
		if onTerminal {
			b.WriteString("\x1b[H\x1b[2J") // clears the terminal
		}
		if err != nil {
			fmt.Fprintln(&b, shown.Line(err.Error()))
		} else {
			if err := snapshot.print(&b, previous, r.output); err != nil {
				return err
			}
			previous = &snapshot
		}
		if !onTerminal && !r.json {
			b.WriteByte('\n')
		}
		if _, err := io.WriteString(out, b.String()); err != nil {
			return asFailure(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
