package console

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/rest"
)

type logPage struct {
	Head       *connectorHead
	Level      string
	Logger     string
	Connector  string
	Worker     string
	Text       string
	Connectors []string
	Workers    []string
	rest.LogPage
}

// logLine is a line of the log in columns.
type logLine struct {
	rest.LogLine
	Task   string
	Fields []logField // the other attributes except the connector
}

type logField struct {
	Name  string
	Value string
}

// Rows returns the lines with their attributes, which follow a message as NAME=VALUE. A value that was cut is the last.
func (l logPage) Rows() (rows []logLine) {
	for _, line := range l.Lines {
		row := logLine{LogLine: line}
		attributes, ok := strings.CutPrefix(line.Text, line.Message)
		if !ok {
			row.Message = line.Text // a message that was cut
		}
		for ok && attributes != "" {
			name, value, _ := strings.Cut(strings.TrimSpace(attributes), "=")
			quoted, err := strconv.QuotedPrefix(value)
			switch {
			case err == nil:
				attributes = value[len(quoted):]
				value, _ = strconv.Unquote(quoted)
			case strings.HasPrefix(value, `"`):
				attributes = ""
			default:
				value, attributes, _ = strings.Cut(value, " ")
			}
			switch name {
			case "connector":
				// it has a column of its own
			case "task":
				row.Task = value
			default:
				row.Fields = append(row.Fields, logField{name, value})
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func (logPage) Levels() []string { return []string{"INFO", "WARN", "ERROR", "DEBUG", "TRACE"} }

func (pr *pageRequest) log() (any, error) {
	page := logPage{Level: pr.query.Get("level"), Logger: pr.query.Get("logger"), Connector: pr.query.Get("connector"),
		Worker: pr.query.Get("worker"), Text: pr.query.Get("text")}
	var err error
	if page.Head, err = pr.head(page.Connector, "log"); isRefused(err, 404) {
		err = nil // a deleted connector still has lines
	}
	limit := ""
	if page.Text != "" {
		limit = "1000" // the lines to search
	}
	filter := pairs("level", page.Level, "logger", page.Logger, "connector", page.Connector, "worker", page.Worker,
		"limit", limit)
	err = cmp.Or(err, pr.get("GET /culvert/log?"+filter.Encode(), &page.LogPage))
	slices.Reverse(page.Lines)
	page.Lines = slices.DeleteFunc(page.Lines, func(line rest.LogLine) bool {
		return !strings.Contains(strings.ToLower(line.Text), strings.ToLower(page.Text))
	})
	if !pr.isScript { // the form is in no fragment
		for _, c := range pr.connectors() {
			page.Connectors = append(page.Connectors, c.Name)
		}
		var workers []rest.WorkerInfo
		_ = pr.get("GET /culvert/workers", &workers) // after a failure, the chosen worker is the only choice
		for _, w := range currentWorkers(workers) {
			page.Workers = append(page.Workers, w.Worker)
		}
		page.Connectors = sortedWith(page.Connectors, page.Connector)
		page.Workers = sortedWith(page.Workers, page.Worker)
	}
	return page, err
}

func sortedWith(names []string, name string) []string {
	if name != "" {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
